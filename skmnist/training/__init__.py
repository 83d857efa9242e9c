"""How the network is trained.

Keras' own ``train_step`` (its forward pass, loss, gradient, optimizer and metrics) is
called in a loop inside one XLA-compiled function that gets many batches at a time, so
an epoch costs its arithmetic and not thousands of calls from Python. What cannot run
so, runs in Keras' own loop, over the same batches.

``loop`` runs epochs; ``memory`` keeps what came of them; ``programs`` are what runs a
part of an epoch; ``batches`` are what an epoch looks at, ``distortion`` what is done to
images before; ``callbacks`` tell scikit-learn of each epoch.
"""
