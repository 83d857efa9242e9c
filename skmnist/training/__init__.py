"""Training of the network.

Keras' own ``train_step`` (forward pass, loss, gradient, optimizer and metrics) runs in
a loop inside one XLA-compiled function that gets many batches in one call. An epoch
then costs its arithmetic and not thousands of calls from Python. Models and options
that cannot be compiled so are trained by Keras' own loop, on the same batches.

``loop`` runs the epochs, ``compiled`` the steps of an epoch. ``batches`` has an epoch's
samples, which ``augmentation`` changes. ``epoch_cache`` stores trained epochs on disk.
``callbacks`` calls scikit-learn's callbacks.
"""
