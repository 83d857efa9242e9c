"""Tests of compiled programs: which there are, and whom they serve."""

import threading

import keras
import numpy as np
import pytest

from skmnist import MNISTClassifier
from skmnist.network import build_network
from skmnist.training import compiled as programs
from skmnist.training.batches import Batches
from skmnist.training.loop import train


def test_many_configurations_cause_no_warning_of_retracing(data, caplog):
    for units in range(2, 9):
        model = build_network(20, 4, units=(units,), seed=0)
        model.compile("sgd", "categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)
        train(model, Batches(data), epochs=1)
    assert "retracing" not in caplog.text


def test_one_program_serves_data_of_any_size(compiled, data):
    programs._programs.clear()
    for n_samples, rate in [(1203, 1e-3), (1202, 1e-2), (1180, 1e-3)]:
        arrays = tuple(a[:n_samples] for a in data)
        model = compiled(keras.optimizers.RMSprop(rate), seed=n_samples)
        train(model, Batches(arrays, seed=0), Batches(arrays), epochs=1)
    (program,) = programs._programs.values()
    # A loop and a single step, for training and for validation.
    assert len(program.functions) == 4


@pytest.mark.parametrize(
    ("limit", "value", "kept"),
    [("MAX_PROGRAMS", 2, 2), ("MAX_PROGRAM_BYTES", 0, 0)],
)
def test_programs_are_bounded(compiled, data, monkeypatch, limit, value, kept):
    monkeypatch.setattr(programs, limit, value)
    for optimizer in "sgd", "adam", "rmsprop":
        train(compiled(optimizer), Batches(data), epochs=1)
    assert len(programs._programs) == kept


def test_fits_in_threads_give_what_each_gives_alone(data):
    X, y, _ = data
    labels = y.argmax(axis=1)

    def fit(seed):
        clf = MNISTClassifier((16, 8), epochs=2, dropout=0.1, random_state=seed)
        return clf.fit(X, labels).model_.get_weights()

    alone = [fit(seed) for seed in range(2)]
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
    (program,) = programs._programs.values()
    assert len(program.functions) == 2
    for i in range(6):
        for one, other in zip(alone[i % 2], together[i], strict=True):
            np.testing.assert_array_equal(one, other)
