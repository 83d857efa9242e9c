"""The loop over epochs."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from skmnist._keras import assign, keras, state_variables, tf
from skmnist.training.batches import Batches
from skmnist.training.callbacks import looks_at_batches
from skmnist.training.compiled import MIN_COMPILED_STEPS, Report, find_program, metrics
from skmnist.training.epoch_cache import Folder, Logs, cached

# Products of two weights of this size overflow.
MAX_WEIGHT = np.sqrt(np.finfo(np.float32).max)

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
    """Train a compiled model in place, with the same result as ``model.fit``.

    `history` has the loss and metrics of the epochs trained so far, and is updated in
    place and returned. The number of an epoch decides what is random in it, so training
    10 epochs equals training 5 and then 5 more. Callbacks with hooks for batches and
    further options of ``model.fit`` need Keras' own loop, without `epoch_cache`.

    Diverged training raises a ValueError and leaves `history` unchanged. After a
    KeyboardInterrupt, model and `history` are those of the finished epochs.
    """
    history = {} if history is None else history
    first = len(history.get("loss", ()))
    numbers = range(first, first + epochs)
    finished = FinishedEpochs(history)

    def start_epoch(epoch: int, logs: object = None) -> None:
        batches.start_epoch(epoch)
        _seed_dropout(model, epoch * len(batches))

    # An epoch is finished when all other callbacks have seen its end.
    callbacks = [keras.callbacks.LambdaCallback(start_epoch), *callbacks, finished]
    try:
        if fit_options or not _can_be_compiled(model, callbacks):
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
            _run_epochs(model, batches, validation, numbers, callbacks, epoch_cache)
    except KeyboardInterrupt:
        finished.restore()
        history.update(finished.history)
        raise
    _check_finite(model, finished.history)
    history.update(finished.history)
    return history


class FinishedEpochs(keras.callbacks.Callback):
    """Note the history of finished epochs, and the state after the last of them."""

    def __init__(self, history: History):
        super().__init__()
        self.history = history
        self.state: tuple[list[keras.Variable], list[Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        last = epoch + 1 == self.params["epochs"]  # No further one changes them.
        variables = [] if last else state_variables(self.model)
        state = variables, [variable.numpy() for variable in variables]
        history = {n: [*self.history.get(n, ()), v] for n, v in (logs or {}).items()}
        self.state, self.history = state, self.history | history

    def restore(self) -> None:
        """Set the model to the state after the last finished epoch, if there is one."""
        if self.state is not None:
            assign(*self.state)
            # As at the end of training: an optimizer may average weights.
            self.model.optimizer.finalize_variable_values(self.model.trainable_weights)


def _can_be_compiled(
    model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]
) -> bool:
    """Return whether a model can be trained in a compiled program."""
    if keras.backend.backend() != "tensorflow" or model.run_eagerly:
        return False
    with model.distribute_strategy.scope():
        if tf.distribute.has_strategy():
            return False
    if not all(layer.trainable for layer in model.layers):
        return False
    return not any(looks_at_batches(callback) for callback in callbacks)


def _check_finite(model: keras.Model, history: History) -> None:
    """Raise an error if training has diverged."""
    losses = history["loss"]
    if np.isnan(losses[-1]):
        problem = "the loss is NaN"
    elif all((np.abs(array) < MAX_WEIGHT).all() for array in model.get_weights()):
        return
    else:
        problem = f"weights are not finite or larger than {MAX_WEIGHT:.0e}"
    raise ValueError(
        f"Training has diverged: after epoch {len(losses)}, {problem}. Lower the"
        " learning rate (optimizer__learning_rate), or scale the features to about 1."
    )


def _run_epochs(
    model: keras.Model,
    batches: Batches,
    validation: Batches | None,
    epochs: range,
    callbacks: keras.callbacks.CallbackList,
    epoch_cache: Folder | None,
) -> None:
    """Run epochs in a compiled program, with callbacks in the order of Keras' loop."""
    program = find_program(model, batches.batch_size)
    program.make_metrics(model, tuple(array[:1] for array in batches.arrays))
    # Only the progress bar can have hooks for batches.
    reports = any(looks_at_batches(callback) for callback in callbacks.callbacks)

    def report(first: int, number: int) -> None:
        callbacks.on_train_batch_begin(first)
        callbacks.on_train_batch_end(first + number - 1, metrics(model))

    def run(step: str, data: Batches, report: Report | None = None) -> Logs:
        with closing(data.chunks(MIN_COMPILED_STEPS, tf.constant)) as chunks:
            return program.run(model, step, chunks, report)

    def train_epoch(epoch: int) -> Logs:
        logs = run("train_step", batches, report if reports else None)
        if validation is not None:
            callbacks.on_test_begin()
            val_logs = run("test_step", validation)
            callbacks.on_test_end(val_logs)
            logs |= {f"val_{name}": value for name, value in val_logs.items()}
        return logs

    run_epoch: Callable[[int], Logs] = train_epoch
    if epoch_cache is not None and (key := program.configuration) is not None:
        run_epoch = cached(train_epoch, model, epoch_cache, key, batches, validation)
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
    """Set dropout layers to their state after a number of steps from the start."""
    for layer in model.layers:
        if (generator := getattr(layer, "seed_generator", None)) is not None:
            # Undocumented as of Keras 3.15: the state is the seed and the number of
            # random tensors drawn so far.
            generator.state.assign(np.array([generator.state.numpy()[0], steps]))
