"""Tests of compiled programs."""

import threading

import keras
import numpy as np
from estimators import small_classifier, state

from skmnist.network import build_network
from skmnist.training import compiled as programs
from skmnist.training.batches import Batches
from skmnist.training.loop import train


def test_program_trains_the_model_it_is_called_for(compiled, data):
    """Fails if TensorFlow changes `set_external_captures` or `captured_inputs`."""
    programs._programs.clear()
    first, second, untrained = (compiled(seed=seed) for seed in (1, 2, 2))
    train(first, Batches(data[:2], seed=0))
    (program,) = programs._programs.values()
    before = [weight.copy() for weight in first.get_weights()]
    copied = [weight.copy() for weight in program.model.get_weights()]
    train(second, Batches(data[:2], seed=0))
    assert list(programs._programs.values()) == [program]
    for weights, same in [(first, before), (program.model, copied)]:
        for one, other in zip(weights.get_weights(), same, strict=True):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(second.get_weights(), untrained.get_weights(), strict=True):
        assert not np.array_equal(one, other)


def test_read_variable_follows_assignments():
    """Fails if TensorFlow changes the attribute `handle`."""
    variable = keras.Variable(np.arange(3, dtype=np.float32))
    value = programs.read_variable(variable)
    variable.assign([3, 4, 5])
    np.testing.assert_array_equal(value, [0, 1, 2])
    np.testing.assert_array_equal(programs.read_variable(variable), [3, 4, 5])


def test_program_serves_data_of_any_size_seed_and_learning_rate(compiled, data):
    programs._programs.clear()
    for n_samples, rate in [(1203, 1e-3), (1202, 1e-2), (1180, 1e-3)]:
        arrays = tuple(a[:n_samples] for a in data)
        model = compiled(keras.optimizers.RMSprop(rate), seed=n_samples)
        train(model, Batches(arrays, seed=0), Batches(arrays), epochs=1)
    (program,) = programs._programs.values()
    # A loop and a single step, for training and for validation.
    assert len(program.functions) == 4


def test_programs_are_distinct_for_distinct_configurations(compiled, data):
    """Fails if Keras changes its configuration dicts so that they hide a difference."""
    models = [
        compiled(),
        compiled("sgd"),
        compiled(keras.optimizers.SGD(0.01, momentum=0.9)),
        compiled(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 9))),
        compiled(dropout=0.1),
        compiled(dropout=0.2),
        compiled(loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1)),
        compiled(metrics=["mse"]),
        build_network(20, 4, units=(16, 8)),
    ]
    models[-1].compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
    keys = [programs._configuration(model, 32) for model in models]
    assert None not in keys
    assert len({*keys, programs._configuration(models[0], 64)}) == len(models) + 1


def test_user_functions_have_a_program_of_their_own(compiled, data):
    """A loss outside of Keras is known by its name, which two losses may share."""

    def make_loss(factor):
        def loss(y_true, y_pred):
            return factor * keras.losses.categorical_crossentropy(y_true, y_pred)

        return loss

    losses = [
        train(compiled("sgd", loss=loss), Batches(data[:2], seed=0))["loss"][0]
        for loss in (make_loss(1.0), make_loss(0.0), lambda y, p: 0 * p, lambda y, p: p)
    ]
    assert losses[0] > 0.5
    assert losses[1] == losses[2] == 0
    assert losses[3] > 0.1


def test_programs_are_bounded(compiled, data, monkeypatch):
    for limit, value, kept in [("MAX_PROGRAMS", 2, 2), ("MAX_PROGRAM_BYTES", 0, 0)]:
        monkeypatch.setattr(programs, limit, value)
        for optimizer in "sgd", "adam", "rmsprop":
            programs.find_program(compiled(optimizer), 32)
        assert len(programs._programs) == kept


def test_fits_in_threads_equal_fits_alone(data, caplog):
    X, y = data[0], data[1].argmax(axis=1)

    def fit(seed):
        return small_classifier(epochs=2, dropout=0.1, random_state=seed).fit(X, y)

    alone = [state(fit(seed)) for seed in range(2)]
    programs._programs.clear()
    together = {}
    threads = [
        threading.Thread(target=lambda i=i: together.__setitem__(i, fit(i % 2)))
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(6):
        assert state(together[i]) == alone[i % 2]
    # TensorFlow warns of retracing after five traces of a function.
    assert "retracing" not in caplog.text
