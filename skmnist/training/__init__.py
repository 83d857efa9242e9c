"""Training of the network.

Keras' own ``train_step`` (forward pass, loss, gradient, optimizer and metrics) runs in
a loop inside one XLA-compiled function that gets many batches in one call. Models and
options that cannot be compiled so are trained by Keras' own loop, on the same batches.
"""
