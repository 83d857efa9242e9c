"""How an epoch is run.

Keras' own ``train_step`` (its forward pass, loss, gradient, optimizer and metrics)
is called in a loop inside one XLA-compiled function that gets many batches at a
time, so an epoch costs its arithmetic and not thousands of calls from Python.
What cannot run so, runs in Keras' own loop, over the same batches.
"""

import json
import math
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import joblib
import keras
import numpy as np
from numpy.typing import NDArray

from skmnist import __version__
from skmnist.distortion import distort, draw
from skmnist.memory import EpochCache, fingerprint

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

# Rows that one call of a compiled loop gets: few enough to stay in the processor's
# cache, enough that the call itself does not count.
CHUNK_ROWS = 2048
# Below this many full batches an epoch, compiling takes longer than it saves.
MIN_COMPILED_STEPS = 32
# Programs that are kept for the next fit of their configuration, and the bytes of
# their variables, at most.
MAX_PROGRAMS = 8
MAX_PROGRAM_BYTES = 256 * 2**20

Arrays = tuple[NDArray[Any], ...]
Report = Callable[[int, int], None]


class Batches(keras.utils.PyDataset):
    """The batches of an epoch, whose randomness only seed and epoch decide.

    Parameters
    ----------
    arrays : tuple of ndarray of shape (n_samples, ...)
        Features, targets and, optionally, sample weights. They are not copied.
    rows : ndarray of int, optional
        The samples to use, in order; by default all.
    batch_size : int, default=32
        Samples in a batch; the last one of an epoch may have fewer.
    seed : int, optional
        Shuffles the samples anew for each epoch, and decides their distortion. By
        default they stay as they are, in order.
    shuffle : bool, default=True
        False keeps them in order, with a seed too.
    distortion : float, default=0.0
        Strength by which the features, images, are distorted anew for each epoch.
    """

    def __init__(
        self,
        arrays: Arrays,
        rows: NDArray[np.intp] | None = None,
        *,
        batch_size: int = 32,
        seed: int | None = None,
        shuffle: bool = True,
        distortion: float = 0.0,
    ):
        super().__init__()
        self.arrays = arrays
        self.batch_size = batch_size
        self.rows = np.arange(len(arrays[0])) if rows is None else rows
        self.seed = seed
        self.shuffle = shuffle
        self.distortion = distortion
        self.order = self.rows
        self.epoch = 0

    def start_epoch(self, epoch: int) -> None:
        """Put the samples in the order of an epoch, counted from 0."""
        self.epoch = epoch
        if self.seed is not None and self.shuffle:
            self.order = np.random.default_rng([self.seed, epoch]).permutation(
                self.rows
            )

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, index: int) -> Arrays:
        return self.take(index, 1)

    def take(self, first: int, number: int) -> Arrays:
        """Return a number of successive batches as one."""
        rows = self.order[first * self.batch_size :][: number * self.batch_size]
        X, *others = (array[rows] for array in self.arrays)
        if self.seed is not None and self.distortion:
            # A generator for each batch, since Keras looks at the first one twice. They
            # count from 1: with a 0 at its end, a seed is the one of the epoch's order.
            draws = [
                draw(
                    np.random.default_rng([self.seed, self.epoch, batch + 1]),
                    min(self.batch_size, len(self.rows) - batch * self.batch_size),
                )
                for batch in range(first, first + number)
            ]
            X = distort(X, np.concatenate(draws), self.distortion)
        return X, *others


def train(
    model: keras.Model,
    batches: Batches,
    validation: Batches | None = None,
    *,
    epochs: int = 1,
    initial_epoch: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    memory: joblib.Memory | None = None,
    verbose: int | str = 0,
    **fit_options: Any,
) -> dict[str, list[float]]:
    """Train a compiled model, as ``model.fit`` does and with what that gives.

    Parameters
    ----------
    model : keras.Model
        Compiled, its optimizer built. Trained in place, epoch by epoch.
    batches, validation : Batches
        Training data, and what to validate on after each epoch.
    epochs, initial_epoch : int
        Trains from epoch `initial_epoch` up to `epochs`. An epoch's number decides
        the order of its samples and what dropout drops, so that training 10 epochs
        is training 5 and then, with ``initial_epoch=5``, 5 more.
    callbacks : sequence of keras.callbacks.Callback
        One that looks at single batches is served by Keras' own loop.
    memory : joblib.Memory, optional
        Keeps the state after each epoch. An epoch that was trained before, from the
        same state on the same data, is taken from there. Keras' own loop does not.
    verbose : {0, 1, 2, "auto"}
        As in ``model.fit``.
    **fit_options
        Further options of ``model.fit``, which is then what runs.

    Returns
    -------
    dict of str to list of float
        Loss and metrics, one value for each epoch.
    """

    def start_epoch(epoch: int, logs: object = None) -> None:
        batches.start_epoch(epoch)
        _seed_dropout(model, epoch * len(batches))

    callbacks = [keras.callbacks.LambdaCallback(start_epoch), *callbacks]
    if (
        keras.backend.backend() != "tensorflow"
        or model.run_eagerly
        or fit_options
        or any(_looks_at_batches(callback) for callback in callbacks)
    ):
        history = model.fit(
            batches,
            validation_data=validation,
            epochs=epochs,
            initial_epoch=initial_epoch,
            shuffle=False,
            callbacks=callbacks,
            verbose=verbose,
            **fit_options,
        )
        return dict(history.history)

    callbacks = keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=len(batches),
    )
    _train_compiled(
        model, batches, validation, range(initial_epoch, epochs), callbacks, memory
    )
    return dict(model.history.history)


def _train_compiled(
    model: keras.Model,
    batches: Batches,
    validation: Batches | None,
    epochs: range,
    callbacks: keras.callbacks.CallbackList,
    memory: joblib.Memory | None,
) -> None:
    """Run epochs as Keras' own loop does, but for how their batches are run."""
    program = _program(model, batches.batch_size)
    cache = None
    if memory is not None and program.configuration is not None:
        cache = EpochCache(
            memory, _origin(model, program.configuration, batches, validation)
        )

    # Only the progress bar can be one of these here.
    reports = any(_looks_at_batches(callback) for callback in callbacks.callbacks)

    def report(first: int, number: int) -> None:
        callbacks.on_train_batch_begin(first)
        callbacks.on_train_batch_end(first + number - 1, _metrics(model))

    def run() -> dict[str, float]:
        program.run(model, "train_step", batches, report if reports else None)
        logs = _metrics(model)
        if validation is not None:
            callbacks.on_test_begin()
            program.run(model, "test_step", validation)
            val_logs = _metrics(model)
            callbacks.on_test_end(val_logs)
            logs |= {f"val_{name}": value for name, value in val_logs.items()}
        return logs

    logs: dict[str, float] = {}
    model.stop_training = False
    callbacks.on_train_begin()
    for epoch in epochs:
        callbacks.on_epoch_begin(epoch)
        if cache is not None and (known := cache.recall(epoch)):
            values, logs = known
            assign(state_variables(model), values)
        else:
            logs = run()
            if cache is not None:
                values = [variable.numpy() for variable in state_variables(model)]
                cache.keep(epoch, (values, logs))
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)


class _Program:
    """Keras' steps as compiled functions, for all models of a configuration.

    They are made from a copy of the first such model. When one is called, it reads and
    writes the variables of the model that is trained in the place of the copy's. So a
    program has no state, and may serve several models at once.
    """

    def __init__(self, model: keras.Model, configuration: str | None):
        self.configuration = configuration
        self.model = model
        if configuration is not None:
            self.model = keras.models.clone_model(model)
            self.model.compile_from_config(model.get_compile_config())
        self.functions: dict[Any, Callable[..., Any]] = {}
        self.tracing = threading.Lock()
        self.called_for = threading.local()

    @property
    def nbytes(self) -> int:
        return sum(4 * int(np.prod(v.shape)) for v in state_variables(self.model))

    def run(
        self,
        model: keras.Model,
        step: str,
        batches: Batches,
        report: Report | None = None,
    ) -> None:
        """Run a step of a model on every batch."""
        self._make_metrics(model, batches)
        model.reset_metrics()
        self.called_for.variables = _all_variables(model)
        try:
            self._run_pieces(step, batches, report)
        finally:
            del self.called_for.variables

    def _make_metrics(self, model: keras.Model, batches: Batches) -> None:
        """Let metrics make their variables, as they do when they are first used.

        A function in which variables are made would be traced, and compiled, twice.
        """
        row = tuple(array[:1] for array in batches.arrays)
        with self.tracing:
            if not self.functions:
                self.model.test_step(row)
        if not all(getattr(metric, "built", True) for metric in model.metrics):
            output = np.zeros((1, *model.output_shape[1:]), np.float32)
            model.compute_metrics(row[0], row[1], output)

    def _run_pieces(self, step: str, batches: Batches, report: Report | None) -> None:
        """Run a step on full batches in the loop, on the rest one by one."""
        size, full = batches.batch_size, len(batches.rows) // batches.batch_size
        looped = full if full >= MIN_COMPILED_STEPS else 0
        at_once = max(1, CHUNK_ROWS // size)
        pieces = [(i, min(at_once, looped - i)) for i in range(0, looped, at_once)]
        pieces += [(i, 1) for i in range(looped, len(batches))]

        def gather(first: int, number: int) -> list["tf.Tensor"]:
            arrays = batches.take(first, number)
            if first < looped:
                arrays = tuple(_stack(array, at_once, size) for array in arrays)
            return [tf.constant(array) for array in arrays]

        # The next ones are gathered, and distorted, while these are trained on.
        coming = _pool.submit(gather, *pieces[0])
        for (first, number), after in zip(pieces, [*pieces[1:], None], strict=True):
            tensors = coming.result()
            if after is not None:
                coming = _pool.submit(gather, *after)
            if first < looped:
                self._loop(step, tensors)(tf.constant(number), *tensors)
            else:
                self._single(step, tensors)(*tensors)
            if report is not None:
                report(first, number)

    def _loop(self, step: str, chunk: Sequence["tf.Tensor"]) -> Callable[..., Any]:
        """Return a loop of a step over batches that are stacked in arrays.

        The number of steps is an argument and the arrays always have the same shape,
        so that data of any size runs in one program.
        """
        run = getattr(self.model, step)

        def loop(steps: "tf.Tensor", *arrays: "tf.Tensor") -> None:
            def body(i: "tf.Tensor") -> tuple["tf.Tensor"]:
                run(tuple(array[i] for array in arrays))
                return (i + 1,)

            tf.while_loop(lambda i: i < steps, body, (tf.constant(0),))

        specs = [tf.TensorSpec(array.shape, array.dtype) for array in chunk]
        return self._function(loop, (tf.TensorSpec((), tf.int32), *specs), step, True)

    def _single(self, step: str, batch: Sequence["tf.Tensor"]) -> Callable[..., Any]:
        """Return a step as a function of one batch, of any size."""
        run = getattr(self.model, step)
        specs = [tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in batch]
        return self._function(lambda *batch: run(batch), tuple(specs), step, False)

    def _function(
        self, function: Callable[..., Any], specs: Any, step: str, compiled: bool
    ) -> Callable[..., Any]:
        """Trace a function once. Called directly, it does not warn of retracing."""
        key = step, specs
        with self.tracing:
            if key not in self.functions:
                traced = tf.function(
                    function, jit_compile=compiled, autograph=False
                ).get_concrete_function(*specs)
                variables = _all_variables(self.model)
                places = {id(v.value.handle): i for i, v in enumerate(variables)}
                traced.set_external_captures(
                    [
                        partial(self._handle, places[id(captured)])
                        if id(captured) in places
                        else captured
                        for captured in traced.captured_inputs
                    ]
                )
                self.functions[key] = traced
        return self.functions[key]

    def _handle(self, place: int) -> "tf.Tensor":
        """Return what tells TensorFlow which variable a call is for."""
        return self.called_for.variables[place].value.handle


def _stack(array: NDArray[Any], steps: int, size: int) -> NDArray[Any]:
    """Stack batches to shape (steps, size, ...), the last ones empty if need be."""
    if len(array) < steps * size:
        filled = np.zeros((steps * size, *array.shape[1:]), array.dtype)
        filled[: len(array)] = array
        array = filled
    return array.reshape(steps, size, *array.shape[1:])


_programs: dict[str, _Program] = {}
_programs_lock = threading.Lock()
# Gathers batches. Kept, because a new thread may well get, and leave behind, a heap of
# its own.
_pool = ThreadPoolExecutor(thread_name_prefix="skmnist")


def _program(model: keras.Model, batch_size: int) -> _Program:
    """Return the program of a model's configuration, a new one if there is none."""
    with _programs_lock:
        configuration = _configuration(model, batch_size)
        if configuration is None:
            return _Program(model, None)
        program = _programs.pop(configuration, None) or _Program(model, configuration)
        _programs[configuration] = program  # the one used last comes last
        while (
            len(_programs) > MAX_PROGRAMS
            or sum(p.nbytes for p in _programs.values()) > MAX_PROGRAM_BYTES
        ):
            del _programs[next(iter(_programs))]
    return program


def _configuration(model: keras.Model, batch_size: int) -> str | None:
    """Return what decides the compiled program, or None if that cannot be told.

    Seeds and the learning rate are variables, and as such the model's own.
    What is not Keras' own is known by its name only, which two things may share.
    """

    def essence(config: Any) -> Any:
        if isinstance(config, dict):
            # Of a lambda, Keras notes the code as a value.
            if config.get("registered_name") is not None or config.keys() == {"value"}:
                raise TypeError("not Keras' own")
            return {
                key: essence(value)
                for key, value in config.items()
                if key not in ("name", "seed")
                and not (key == "learning_rate" and isinstance(value, float))
            }
        if isinstance(config, list | tuple):
            return [essence(value) for value in config]
        # Parameters from a grid that is an array are NumPy's.
        return config.item() if isinstance(config, np.generic) else config

    try:
        with warnings.catch_warnings():
            # Keras warns of lambdas as if this were for saving the model.
            warnings.filterwarnings("ignore", ".*includes a `lambda`", UserWarning)
            config = [model.get_config(), model.get_compile_config(), batch_size]
        return json.dumps(essence(config))
    except (TypeError, ValueError):
        return None


def _origin(
    model: keras.Model, configuration: str, batches: Batches, validation: Batches | None
) -> str:
    """Return a digest of all that decides what comes of training."""
    versions = [np.__version__, tf.__version__, keras.__version__, __version__]
    choices = [batches.seed, bool(batches.shuffle), float(batches.distortion)]
    arrays = [variable.numpy() for variable in state_variables(model)]
    for part in (batches, validation):
        arrays += [] if part is None else [*part.arrays, part.rows, None]
    return fingerprint(json.dumps([configuration, *choices, *versions]), arrays)


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """Return all that training changes in a model."""
    return [*model.variables, *model.optimizer.variables]


def _metrics(model: keras.Model) -> dict[str, float]:
    """Return loss and metrics of the last run, or of a run so far."""
    return {name: float(v) for name, v in model.get_metrics_result().items()}


def _all_variables(model: keras.Model) -> list[keras.Variable]:
    return [*state_variables(model), *model.metrics_variables]


def assign(variables: Sequence[keras.Variable], values: Sequence[Any]) -> None:
    """Set variables to values, such as those of `state_variables`."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _seed_dropout(model: keras.Model, steps: int) -> None:
    """Let dropout go on as it would after a number of steps."""
    for layer in model.layers:
        if (generator := getattr(layer, "seed_generator", None)) is not None:
            seed = generator.state.numpy()[0]
            generator.state.assign(np.array([seed, steps]))


_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


def _looks_at_batches(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback is to be called for every single batch."""
    idle: list[type] = [keras.callbacks.Callback]
    # These two can look at batches, but seldom do.
    if getattr(callback, "save_freq", None) == "epoch":
        idle.append(keras.callbacks.ModelCheckpoint)
    if getattr(callback, "update_freq", None) == "epoch":
        idle.append(keras.callbacks.TensorBoard)
    return any(
        getattr(getattr(callback, hook), "__func__", None)
        not in [getattr(kind, hook) for kind in idle]
        for hook in _BATCH_HOOKS
    )
