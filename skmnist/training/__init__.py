"""How the network is trained.

Keras' own ``train_step`` (its forward pass, loss, gradient, optimizer and metrics) is
called in a loop inside one XLA-compiled function that gets many batches at a time, so
an epoch costs its arithmetic and not thousands of calls from Python. What cannot run
so, runs in Keras' own loop, over the same batches.

``loop`` runs epochs; ``epoch_cache`` stores their results; ``compiled`` runs a part of
an epoch; ``batches`` holds the samples of an epoch, ``augmentation`` changes them;
``callbacks`` informs scikit-learn of each epoch.
"""
