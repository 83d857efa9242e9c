"""Keras' steps as compiled programs, kept for the next fit of their configuration.

All use of TensorFlow's internals is in this module: `Program._function` and
`read_variable`.
"""

import json
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from skmnist._keras import keras, state_variables, tf
from skmnist.training.batches import Arrays, Chunk

# With fewer full batches in an epoch, compiling takes longer than it saves.
MIN_COMPILED_STEPS = 32
# Maximum number of programs kept, and of bytes of their variables.
MAX_PROGRAMS = 8
MAX_PROGRAM_BYTES = 256 * 2**20

Report = Callable[[int, int], None]


class Program:
    """Keras' steps as compiled functions, for all models of one configuration.

    The functions are traced from a copy of the first such model. A call reads and
    writes the variables of the model that is trained, so a program is stateless and
    serves several models at once. Without a configuration, it is for one model only.
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
        """Create the variables of the metrics, so that no function is traced twice."""
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
        """Run a step of a model on chunks of tensors, and return loss and metrics."""
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

    def _loop(self, step: str, stacks: Sequence[tf.Tensor]) -> Callable[..., Any]:
        """Return a loop of a number of steps over batches stacked in arrays."""
        run = getattr(self.model, step)

        def loop(steps: tf.Tensor, *arrays: tf.Tensor) -> None:
            def body(i: tf.Tensor) -> tuple[tf.Tensor]:
                run(tuple(array[i] for array in arrays))
                return (i + 1,)

            tf.while_loop(lambda i: i < steps, body, (tf.constant(0),))

        specs = [tf.TensorSpec(array.shape, array.dtype) for array in stacks]
        return self._function(loop, (tf.TensorSpec((), tf.int32), *specs), step, True)

    def _single(self, step: str, batch: Sequence[tf.Tensor]) -> Callable[..., Any]:
        """Return a step as a function of one batch, of any size."""
        run = getattr(self.model, step)
        specs = [tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in batch]
        return self._function(lambda *batch: run(batch), tuple(specs), step, False)

    def _function(
        self, function: Callable[..., Any], specs: Any, step: str, compiled: bool
    ) -> Callable[..., Any]:
        """Trace a function on its first use."""
        key = step, specs
        with self.tracing:
            if key not in self.functions:
                # A concrete function: tf.function itself would warn of retracing.
                program = tf.function(function, jit_compile=compiled, autograph=False)
                traced = program.get_concrete_function(*specs)
                # Undocumented as of TensorFlow 2.21, to exchange the variables of a
                # traced function. A callable is called at each call of the function.
                handles = {
                    id(variable.value.handle): partial(self._handle, place)
                    for place, variable in enumerate(all_variables(self.model))
                }
                captures = [handles.get(id(c), c) for c in traced.captured_inputs]
                traced.set_external_captures(captures)
                self.functions[key] = traced
        return self.functions[key]

    def _handle(self, place: int) -> tf.Tensor:
        """Return TensorFlow's handle of a variable of the model being trained."""
        return self.called_for.variables[place].value.handle


def all_variables(model: keras.Model) -> list[keras.Variable]:
    """Return the state variables, then those in which the model counts its metrics."""
    return [*state_variables(model), *model.metrics_variables]


def read_variable(variable: keras.Variable) -> Any:
    """Return the value of a variable, not copied if TensorFlow has it on the CPU."""
    if keras.backend.backend() != "tensorflow":
        return variable.numpy()
    value = variable.value
    if isinstance(value, tf.distribute.DistributedValues):
        return tf.convert_to_tensor(value)
    # `handle` is undocumented as of TensorFlow 2.21. `numpy()` copies, and
    # `read_value()` would add a quarter to the time to predict one image.
    return tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype)


def metrics(model: keras.Model) -> dict[str, Any]:
    """Return loss and metrics of the current or last run."""
    values = {n: np.asarray(v) for n, v in model.get_metrics_result().items()}
    # As in Keras' loop, a metric with several values stays an array.
    return {n: v if v.ndim else float(v) for n, v in values.items()}


_programs: dict[str, Program] = {}
_programs_lock = threading.Lock()


def find_program(model: keras.Model, batch_size: int) -> Program:
    """Return the program for a model's configuration, a new one if there is none."""
    with _programs_lock:
        configuration = _configuration(model, batch_size)
        if configuration is None:
            return Program(model, None)
        program = _programs.pop(configuration, None) or Program(model, configuration)
        _programs[configuration] = program  # last: the most recently used
        while (
            len(_programs) > MAX_PROGRAMS
            or sum(p.nbytes for p in _programs.values()) > MAX_PROGRAM_BYTES
        ):
            del _programs[next(iter(_programs))]
    return program


def _configuration(model: keras.Model, batch_size: int) -> str | None:
    """Return all that decides the compiled program, or None if that is unknown.

    Seeds and the learning rate are variables, so they belong to the model. Functions
    and classes outside of Keras have only a name, which two of them may share.
    """

    def reduced(config: dict[str, Any]) -> dict[str, Any]:
        # Keras serializes a lambda as a dict of its code: {"value": ...}.
        if config.get("registered_name") is not None or config.keys() == {"value"}:
            raise TypeError("not part of Keras")
        return {
            key: value
            for key, value in config.items()
            if key not in ("name", "seed")
            and not (key == "learning_rate" and isinstance(value, float))
        }

    try:
        with warnings.catch_warnings():
            # Keras warns that a model with a lambda cannot be saved.
            warnings.filterwarnings("ignore", ".*includes a `lambda`", UserWarning)
            config = [model.get_config(), model.get_compile_config(), batch_size]
        # The configuration of a dtype policy may lack its name.
        config.append([layer.dtype_policy.name for layer in (model, *model.layers)])
        return json.dumps(json.loads(json.dumps(config), object_hook=reduced))
    except Exception:
        # A user's own class may have no configuration.
        return None
