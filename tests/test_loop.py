"""The loop over epochs against Keras' own, and all that Keras' loop gives."""

import hashlib
import os
import random
import subprocess
import sys

import keras
import numpy as np
import pytest

from skmnist import MNISTClassifier
from skmnist.training import compiled as programs
from skmnist.training.batches import Batches
from skmnist.training.loop import train

N_SAMPLES = 1203  # as the fixture `data` has
BACKEND_CHECK = """
import keras
import numpy as np
from skmnist import MNISTClassifier

assert keras.backend.backend() == "jax"
rng = np.random.default_rng(0)
X = rng.random((300, 20), dtype=np.float32)
y = (X.sum(axis=1) > 10).astype(int)
fits = [
    MNISTClassifier(
        (16, 8),
        epochs=10,
        dropout=0.1,
        optimizer="adam",
        optimizer__learning_rate=0.03,
        random_state=0,
    ).fit(X, y, X_val=X, y_val=y)
    for _ in range(2)
]
proba = fits[0].predict_proba(X)
np.testing.assert_array_equal(proba, fits[1].predict_proba(X))
np.testing.assert_allclose(proba, fits[0].model_.predict(X, verbose=0), atol=1e-6)
assert fits[0].score(X, y) > 0.75, fits[0].score(X, y)
assert len(fits[0].history_["val_loss"]) == 10
fits[0].partial_fit(X, y)
"""
HASH_OF_A_FIT = """
import hashlib
import numpy as np
from skmnist import MNISTClassifier

rng = np.random.default_rng(0)
X = rng.random((1203, 20), dtype=np.float32)
y = rng.integers(0, 4, 1203)
clf = MNISTClassifier((16, 8), epochs=2, dropout=0.1, random_state=0).fit(X, y)
weights = b"".join(w.tobytes() for w in clf.model_.get_weights())
print(hashlib.sha256(weights).hexdigest())
"""


class EveryBatch(keras.callbacks.Callback):
    """Count batches, which takes Keras' own loop."""

    def __init__(self):
        super().__init__()
        self.batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


def assert_same_weights(a, b, atol=0.0):
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("n_samples", "epochs"),
    [(N_SAMPLES, 1), (N_SAMPLES, 3), (1184, 2), (100, 2)],
    ids=["partial batch", "3 epochs", "full batches", "uncompiled"],
)
def test_weights_are_those_of_keras_train_on_batch(
    compiled, data, optimizer, weighted, n_samples, epochs
):
    arrays = tuple(a[:n_samples] for a in (data if weighted else data[:2]))
    model, oracle = compiled(optimizer), compiled(optimizer)

    train(model, Batches(arrays, seed=0), epochs=epochs)

    for epoch in range(epochs):
        order = np.random.default_rng([0, epoch]).permutation(n_samples)
        for start in range(0, n_samples, 32):
            oracle.train_on_batch(*(a[order[start : start + 32]] for a in arrays))
    assert_same_weights(model, oracle, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_history_is_that_of_keras_loop(compiled, data, weighted):
    arrays = data if weighted else data[:2]
    histories = []
    for callbacks in [], [EveryBatch()]:
        model = compiled(weighted_metrics=["accuracy"])
        histories.append(
            train(
                model,
                Batches(arrays, seed=0),
                Batches(arrays, np.arange(500)),
                epochs=3,
                callbacks=callbacks,
            )
        )
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} < histories[0].keys()
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        assert values == pytest.approx(histories[1][name], abs=2e-6), name


def test_history_is_what_the_model_then_evaluates_to(compiled, data):
    model = compiled()
    history = train(model, Batches(data[:2], seed=0), Batches(data[:2]), epochs=2)
    loss, accuracy = model.evaluate(*data[:2], verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, abs=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("n_samples", [N_SAMPLES, 100])
def test_epochs_can_be_trained_in_parts(compiled, data, dropout, n_samples):
    arrays = tuple(a[:n_samples] for a in data)
    whole, parts = compiled(dropout=dropout), compiled(dropout=dropout)
    train(whole, Batches(arrays, seed=0), epochs=3)
    history = train(parts, Batches(arrays, seed=0), epochs=1)
    history = train(parts, Batches(arrays, seed=0), epochs=2, history=history)
    assert len(history["loss"]) == 3
    assert_same_weights(whole, parts)


def test_dropout_drops(compiled, data):
    with_dropout, without = compiled(dropout=0.5), compiled()
    train(with_dropout, Batches(data, seed=0), epochs=1)
    train(without, Batches(data, seed=0), epochs=1)
    assert np.abs(with_dropout.get_weights()[0] - without.get_weights()[0]).max() > 1e-3


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(
            keras.optimizers.schedules.ExponentialDecay(0.1, 20, 0.5)
        ),
        lambda: keras.optimizers.Adam(use_ema=True, ema_momentum=0.9),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
        lambda: keras.optimizers.AdamW(weight_decay=0.01),
    ],
    ids=["schedule", "EMA", "momentum", "weight decay"],
)
def test_any_optimizer_of_keras(compiled, data, optimizer):
    model, oracle = compiled(optimizer()), compiled(optimizer())
    train(model, Batches(data, seed=0), epochs=2)
    train(oracle, Batches(data, seed=0), epochs=2, callbacks=[EveryBatch()])
    assert_same_weights(model, oracle, atol=2e-6)
    assert int(model.optimizer.iterations) == 2 * 38


def test_sparse_labels_and_another_loss(compiled, data):
    X, y, _ = data
    model = compiled(loss="sparse_categorical_crossentropy")
    oracle = compiled()
    train(model, Batches((X, y.argmax(axis=1)), seed=0), epochs=2)
    train(oracle, Batches((X, y), seed=0), epochs=2)
    assert_same_weights(model, oracle, atol=1e-6)


def test_a_loss_of_the_users_own_is_trained_on_and_not_kept(compiled, data):
    def half(y_true, y_pred):
        return 0.5 * keras.losses.categorical_crossentropy(y_true, y_pred)

    before = list(programs._programs)
    model, oracle = compiled(loss=half), compiled(loss=half)
    train(model, Batches(data, seed=0), epochs=1)
    train(oracle, Batches(data, seed=0), epochs=1, callbacks=[EveryBatch()])
    assert_same_weights(model, oracle, atol=1e-6)
    assert list(programs._programs) == before


def test_early_stopping_restores_the_best_weights(compiled, data):
    X, y, _ = data
    seen = []
    model = compiled(keras.optimizers.SGD(0.5))
    callbacks = [
        # A patience that ends training, since this metric never gets better.
        keras.callbacks.EarlyStopping(
            "loss", mode="max", patience=2, restore_best_weights=True
        ),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append(model.get_weights())
        ),
    ]
    history = train(model, Batches((X, y), seed=0), epochs=9, callbacks=callbacks)
    assert len(history["loss"]) == len(seen) == 3
    for restored, best in zip(model.get_weights(), seen[0], strict=True):
        np.testing.assert_array_equal(restored, best)


def test_a_learning_rate_set_by_a_callback_is_trained_with(compiled, data):
    model, oracle = compiled("sgd"), compiled("sgd")
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 10)
    train(model, Batches(data, seed=0), epochs=2, callbacks=[schedule])
    train(oracle, Batches(data, seed=0), epochs=2, callbacks=[schedule, EveryBatch()])
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-4)
    assert_same_weights(model, oracle, atol=1e-7)


def test_callbacks_that_write_files(compiled, data, tmp_path):
    model = compiled()
    callbacks = [
        keras.callbacks.ReduceLROnPlateau("loss", mode="max", patience=1, factor=0.5),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "{epoch}.weights.h5", save_weights_only=True
        ),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TensorBoard(tmp_path / "board"),
    ]
    train(model, Batches(data, seed=0), epochs=3, callbacks=callbacks)
    assert sorted(p.name for p in tmp_path.glob("*.h5")) == [
        f"{epoch}.weights.h5" for epoch in (1, 2, 3)
    ]
    assert (tmp_path / "log.csv").read_text().count("\n") == 4
    assert list(tmp_path.glob("board/train/*"))
    assert float(model.optimizer.learning_rate) < 1e-3
    last = compiled(seed=2)
    last.load_weights(tmp_path / "3.weights.h5")
    assert_same_weights(model, last)


def test_a_callback_for_batches_is_called_for_each(compiled, data):
    every_batch, counted = EveryBatch(), []
    callbacks = [
        every_batch,
        keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: counted.append(batch)
        ),
    ]
    train(compiled(), Batches(data), epochs=2, callbacks=callbacks[:1])
    train(compiled(), Batches(data), epochs=2, callbacks=callbacks[1:])
    assert every_batch.batches == 2 * 38
    assert counted == [*range(38), *range(38)]


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_batch_begin"])
def test_a_subclass_of_a_callback_of_keras_can_look_at_batches(
    compiled, data, tmp_path, hook
):
    counted = []
    kind = type(
        "Counting",
        (keras.callbacks.ModelCheckpoint,),
        {hook: lambda self, batch, logs=None: counted.append(batch)},
    )
    checkpoint = kind(tmp_path / "last.weights.h5", save_weights_only=True)
    train(compiled(), Batches(data), epochs=1, callbacks=[checkpoint])
    assert counted == list(range(38))


def test_the_progress_bar_is_keras_own(compiled, data, capsys):
    train(compiled(), Batches(data), Batches(data), epochs=2, verbose=1)
    shown = capsys.readouterr().out
    assert "Epoch 2/2" in shown
    assert "38/38" in shown
    assert "val_accuracy" in shown
    train(compiled(), Batches(data), epochs=1)
    assert capsys.readouterr().out == ""


def test_global_state_is_neither_read_nor_changed(data):
    X, y, _ = data

    def states():
        return random.getstate(), str(np.random.get_state()), dict(os.environ)  # noqa: NPY002

    def fit():
        clf = MNISTClassifier((16, 8), epochs=1, dropout=0.1, random_state=0)
        return clf.fit(X, y.argmax(axis=1))

    before = states()
    first = fit()
    assert states() == before
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    keras.random.uniform((1,))
    assert_same_weights(first.model_, fit().model_)


def run(script, **environment):
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_fresh_process_gives_the_same_bits(threads):
    X = np.random.default_rng(0)
    X, y = X.random((1203, 20), dtype=np.float32), X.integers(0, 4, 1203)
    clf = MNISTClassifier((16, 8), epochs=2, dropout=0.1, random_state=0).fit(X, y)
    weights = b"".join(w.tobytes() for w in clf.model_.get_weights())
    process = run(HASH_OF_A_FIT, TF_NUM_INTRAOP_THREADS=threads)
    assert process.stdout.strip() == hashlib.sha256(weights).hexdigest(), process.stderr


@pytest.mark.backend
def test_another_backend_runs_in_keras_own_loop():
    pytest.importorskip("jax")
    process = run(BACKEND_CHECK, KERAS_BACKEND="jax")
    assert process.returncode == 0, process.stderr
