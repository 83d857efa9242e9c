"""Keras' steps as compiled programs, kept for the next fit of their configuration."""

import json
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from skmnist._keras import keras
from skmnist.training.batches import Arrays, Chunk
from skmnist.training.variables import all_variables, state_variables

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

# Below this many full batches an epoch, compiling takes longer than it saves.
MIN_COMPILED_STEPS = 32
# Programs that are kept for the next fit of their configuration, and the bytes of
# their variables, at most.
MAX_PROGRAMS = 8
MAX_PROGRAM_BYTES = 256 * 2**20

Report = Callable[[int, int], None]


class Program:
    """Keras' steps as compiled functions, for all models of a configuration.

    They are made from a copy of the first such model. When one is called, it reads and
    writes the variables of the model that is trained in the place of the copy's. So a
    program has no state, and may serve several models at once.

    Parameters
    ----------
    model : keras.Model
        The first model, compiled.
    configuration : str or None
        What the copy is known by. None makes no copy: a program for this model alone.
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

    def make_metrics(self, model: keras.Model, row: Arrays) -> None:
        """Let metrics make their variables, as they do when they are first used.

        A function in which variables are made would be traced, and compiled, twice.
        """
        with self.tracing:
            if not self.functions:
                self.model.test_step(row)
        if not all(getattr(metric, "built", True) for metric in model.metrics):
            output = np.zeros((1, *model.output_shape[1:]), np.float32)
            model.compute_metrics(row[0], row[1], output)

    def run(
        self,
        model: keras.Model,
        step: str,
        chunks: Iterable[Chunk],
        report: Report | None = None,
    ) -> dict[str, float]:
        """Run a step of a model on chunks of tensors, and return loss and metrics.

        `report` is told of each chunk: its first batch, and their number.
        """
        model.reset_metrics()
        self.called_for.variables = all_variables(model)
        try:
            for chunk in chunks:
                if chunk.stacked:
                    loop = self._loop(step, chunk.arrays)
                    loop(tf.constant(chunk.number), *chunk.arrays)
                else:
                    self._single(step, chunk.arrays)(*chunk.arrays)
                if report is not None:
                    report(chunk.first, chunk.number)
        finally:
            del self.called_for.variables
        return metrics(model)

    def _loop(self, step: str, stacks: Sequence["tf.Tensor"]) -> Callable[..., Any]:
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

        specs = [tf.TensorSpec(array.shape, array.dtype) for array in stacks]
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
                variables = all_variables(self.model)
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


def metrics(model: keras.Model) -> dict[str, Any]:
    """Return loss and metrics of the last run, or of a run so far."""
    values = {n: np.asarray(v) for n, v in model.get_metrics_result().items()}
    # As Keras' loop has it, a metric with several values stays an array.
    return {n: v if v.ndim else float(v) for n, v in values.items()}


_programs: dict[str, Program] = {}
_programs_lock = threading.Lock()


def find_program(model: keras.Model, batch_size: int) -> Program:
    """Return the program of a model's configuration, a new one if there is none."""
    with _programs_lock:
        configuration = _configuration(model, batch_size)
        if configuration is None:
            return Program(model, None)
        program = _programs.pop(configuration, None) or Program(model, configuration)
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
        return config

    try:
        with warnings.catch_warnings():
            # Keras warns of lambdas as if this were for saving the model.
            warnings.filterwarnings("ignore", ".*includes a `lambda`", UserWarning)
            config = [model.get_config(), model.get_compile_config(), batch_size]
        # A policy has nothing but a name.
        config.append([layer.dtype_policy.name for layer in (model, *model.layers)])
        return json.dumps(essence(config))
    except Exception:
        # What is the user's own may have no configuration, or fail to tell it.
        return None
