"""The loop over epochs."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from skmnist._keras import keras
from skmnist.training.batches import Batches
from skmnist.training.callbacks import looks_at_batches
from skmnist.training.compiled import (
    MIN_COMPILED_STEPS,
    Report,
    find_program,
    metrics,
)
from skmnist.training.epoch_cache import Folder, Logs, remember

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

# Products of weights from here on are not finite. Where units have died, weights may
# grow so large, and the loss stay finite.
LARGEST = np.sqrt(np.finfo(np.float32).max)

# Loss and metrics, one value for each epoch.
History = dict[str, list[float]]


def train(
    model: keras.Model,
    batches: Batches,
    validation: Batches | None = None,
    *,
    epochs: int = 1,
    history: History | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    epoch_cache: Folder | None = None,
    verbose: int | str = 0,
    **fit_options: Any,
) -> History:
    """Train a compiled model, as ``model.fit`` does and with what that gives.

    Parameters
    ----------
    model : keras.Model
        Compiled, its optimizer built. Trained in place, epoch by epoch.
    batches, validation : Batches
        Training data, and what to validate on after each epoch.
    epochs : int
        Number of epochs to train.
    history : dict of str to list of float, optional
        What was returned for the epochs before. The number of an epoch decides the
        order of its samples and what dropout drops, so that training 10 epochs is
        training 5 and then 5 more.
    callbacks : sequence of keras.callbacks.Callback
        One that looks at single batches is served by Keras' own loop.
    epoch_cache : str, path or joblib.Memory, optional
        Keeps the state after each epoch. An epoch that was trained before, from the
        same state on the same data, is taken from there. Keras' own loop does not.
    verbose : {0, 1, 2, "auto"}
        As in ``model.fit``.
    **fit_options
        Further options of ``model.fit``, which is then what runs.

    Returns
    -------
    dict of str to list of float
        Loss and metrics, one value for each epoch, `history` included.

    Raises
    ------
    ValueError
        If training has diverged: the loss is NaN, or weights are not finite, or so
        large that their products are not.
    """
    history = history or {}
    first = len(history.get("loss", ()))
    numbers = range(first, first + epochs)

    def start_epoch(epoch: int, logs: object = None) -> None:
        batches.start_epoch(epoch)
        _seed_dropout(model, epoch * len(batches))

    callbacks = [keras.callbacks.LambdaCallback(start_epoch), *callbacks]
    if (
        keras.backend.backend() != "tensorflow"
        or model.run_eagerly
        or fit_options
        or not all(layer.trainable for layer in model.layers)
        or any(looks_at_batches(callback) for callback in callbacks)
    ):
        model.fit(
            batches,
            validation_data=validation,
            epochs=numbers.stop,
            initial_epoch=numbers.start,
            shuffle=False,
            callbacks=callbacks,
            verbose=verbose,
            **fit_options,
        )
    else:
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=numbers.stop,
            steps=len(batches),
        )
        run = _compiled_epoch(model, batches, validation, callbacks, epoch_cache)
        _run_epochs(model, run, numbers, callbacks)
    history = history | {
        name: history.get(name, []) + values
        for name, values in model.history.history.items()
    }
    _check_finite(model, history)
    return history


def _check_finite(model: keras.Model, history: History) -> None:
    """Refuse a model whose training has diverged."""
    losses = history["loss"]
    if np.isnan(losses[-1]) or not all(
        (np.abs(weights) < LARGEST).all() for weights in model.get_weights()
    ):
        raise ValueError(
            f"Training has diverged: after {len(losses)} epochs the loss is"
            f" {losses[-1]:g}, and weights are not finite or larger than {LARGEST:.0e}."
            " Lower the learning rate (optimizer__learning_rate), or scale the features"
            " to about 1."
        )


def _compiled_epoch(
    model: keras.Model,
    batches: Batches,
    validation: Batches | None,
    callbacks: keras.callbacks.CallbackList,
    epoch_cache: Folder | None,
) -> Callable[[int], Logs]:
    """Return what trains an epoch in a compiled program, or remembers it."""
    program = find_program(model, batches.batch_size)
    program.make_metrics(model, tuple(array[:1] for array in batches.arrays))
    # Only the progress bar can be one of these here.
    reports = any(looks_at_batches(callback) for callback in callbacks.callbacks)

    def report(first: int, number: int) -> None:
        callbacks.on_train_batch_begin(first)
        callbacks.on_train_batch_end(first + number - 1, metrics(model))

    def run(step: str, data: Batches, report: Report | None = None) -> Logs:
        with closing(data.chunks(MIN_COMPILED_STEPS, tf.constant)) as chunks:
            return program.run(model, step, chunks, report)

    def run_epoch(epoch: int) -> Logs:
        logs = run("train_step", batches, report if reports else None)
        if validation is not None:
            callbacks.on_test_begin()
            val_logs = run("test_step", validation)
            callbacks.on_test_end(val_logs)
            logs |= {f"val_{name}": value for name, value in val_logs.items()}
        return logs

    if epoch_cache is None or program.configuration is None:
        return run_epoch
    return remember(
        run_epoch, model, epoch_cache, program.configuration, batches, validation
    )


def _run_epochs(
    model: keras.Model,
    run_epoch: Callable[[int], Logs],
    epochs: range,
    callbacks: keras.callbacks.CallbackList,
) -> None:
    """Run epochs as Keras' own loop does, but for what runs one."""
    logs: Logs = {}
    model.stop_training = False
    callbacks.on_train_begin()
    for epoch in epochs:
        callbacks.on_epoch_begin(epoch)
        logs = run_epoch(epoch)
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)


def _seed_dropout(model: keras.Model, steps: int) -> None:
    """Let dropout go on as it would after a number of steps."""
    for layer in model.layers:
        if (generator := getattr(layer, "seed_generator", None)) is not None:
            seed = generator.state.numpy()[0]
            generator.state.assign(np.array([seed, steps]))
