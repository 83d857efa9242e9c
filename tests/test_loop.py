"""The loop over epochs, compared with Keras' own loop."""

import hashlib
import os
import random
import signal

import keras
import numpy as np
import pytest
from estimators import small_classifier
from processes import run_python

from skmnist.training.batches import Batches
from skmnist.training.loop import train

# Left out on other Pythons.
pytestmark = pytest.mark.long

N_SAMPLES = 1203  # as in the fixture `data`
ON_JAX = """
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
np.testing.assert_allclose(proba[:1], fits[0].predict_proba(X[:1]), atol=1e-6)
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
UNDER_A_STRATEGY = """
import pickle
import tensorflow as tf
from skmnist import load_digits_28x28, make_pipeline

(X, y), _ = load_digits_28x28(random_state=0)
X, y = X[:500], y[:500]
strategies = tf.distribute.MirroredStrategy, tf.distribute.OneDeviceStrategy
for strategy, device in zip(strategies, (["/cpu:0"], "/cpu:0")):
    with strategy(device).scope():
        pipe = make_pipeline(32, 5, random_state=0).fit(X, y)
        assert pipe.score(X, y) > 0.5
        assert pipe.predict(X[:1]) == pipe.predict(X)[:1]
    pickled = pickle.loads(pickle.dumps(pipe))
    assert (pickled.predict(X) == pipe.predict(X)).all()
    pipe["classifier"].partial_fit(pipe["preprocess"].transform(X), y)
    assert pipe.score(X, y) > 0.5
"""


class EveryBatch(keras.callbacks.Callback):
    """Count batches, which needs Keras' own loop."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_batch_begin(self, batch, logs=None):
        self.batches.append(batch)


def assert_same_weights(a, b, atol=0.0):
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("optimizer", "n_samples", "epochs"),
    [
        ("sgd", N_SAMPLES, 1),
        ("rmsprop", N_SAMPLES, 2),
        ("adam", 1184, 2),
        ("rmsprop", 100, 2),
    ],
    ids=["partial batch", "2 epochs", "full batches", "uncompiled"],
)
def test_train_equals_keras_train_on_batch(
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
def test_train_history_equals_keras_loop(compiled, data, weighted):
    arrays = data if weighted else data[:2]
    histories = []
    for callbacks in [], [EveryBatch()]:
        model = compiled(weighted_metrics=["accuracy"])
        batches, validation = Batches(arrays, seed=0), Batches(arrays, np.arange(500))
        histories.append(
            train(model, batches, validation, epochs=2, callbacks=callbacks)
        )
        loss = model.evaluate(*(a[:500] for a in data[:2]), verbose=0)[0]
        if not weighted:
            assert histories[-1]["val_loss"][-1] == pytest.approx(loss, abs=1e-5)
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} < histories[0].keys()
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        assert values == pytest.approx(histories[1][name], abs=2e-6), name


@pytest.mark.parametrize("n_samples", [N_SAMPLES, 100])
def test_train_in_parts_equals_train_at_once(compiled, data, n_samples):
    """Fails if Keras changes the state of a dropout layer's seed generator."""
    arrays = tuple(a[:n_samples] for a in data)
    whole, parts = compiled(dropout=0.3), compiled(dropout=0.3)
    train(whole, Batches(arrays, seed=0), epochs=3)
    history = train(parts, Batches(arrays, seed=0), epochs=1)
    assert train(parts, Batches(arrays, seed=0), epochs=2, history=history) is history
    assert len(history["loss"]) == 3
    assert_same_weights(whole, parts)
    without = compiled()
    train(without, Batches(arrays, seed=0), epochs=3)
    assert np.abs(whole.get_weights()[0] - without.get_weights()[0]).max() > 1e-3


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
def test_train_any_optimizer_equals_keras_loop(compiled, data, optimizer):
    model, oracle = compiled(optimizer()), compiled(optimizer())
    train(model, Batches(data, seed=0), epochs=2)
    train(oracle, Batches(data, seed=0), epochs=2, callbacks=[EveryBatch()])
    assert_same_weights(model, oracle, atol=2e-6)
    assert int(model.optimizer.iterations) == 2 * 38


def test_train_sparse_targets_equal_one_hot_targets(compiled, data):
    X, y, _ = data
    model = compiled(loss="sparse_categorical_crossentropy")
    oracle = compiled()
    train(model, Batches((X, y.argmax(axis=1)), seed=0), epochs=2)
    train(oracle, Batches((X, y), seed=0), epochs=2)
    assert_same_weights(model, oracle, atol=1e-6)


def test_train_early_stopping_restores_the_best_weights(compiled, data):
    X, y, _ = data
    seen = []
    model = compiled(keras.optimizers.SGD(0.5))
    callbacks = [
        # With mode="max" a falling loss never improves.
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


def test_train_uses_and_records_the_learning_rate_of_a_callback(compiled, data):
    model, oracle = compiled("sgd"), compiled("sgd")
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 10)
    history = train(model, Batches(data, seed=0), epochs=2, callbacks=[schedule])
    train(oracle, Batches(data, seed=0), epochs=2, callbacks=[schedule, EveryBatch()])
    assert history["learning_rate"] == pytest.approx([1e-3, 1e-4])
    assert_same_weights(model, oracle, atol=1e-7)


def test_train_callbacks_write_files(compiled, data, tmp_path):
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


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_batch_begin"])
def test_train_callback_for_batches_is_called_for_each(compiled, data, tmp_path, hook):
    counted = []
    kind = type(
        "Counting",
        (keras.callbacks.ModelCheckpoint,),
        {hook: lambda self, batch, logs=None: counted.append(batch)},
    )
    checkpoint = kind(tmp_path / "last.weights.h5", save_weights_only=True)
    every_batch = EveryBatch()
    train(compiled(), Batches(data), callbacks=[checkpoint])
    train(compiled(), Batches(data), callbacks=[every_batch])
    assert counted == every_batch.batches == list(range(38))


def test_train_verbose_shows_keras_progress_bar(compiled, data, capsys):
    train(compiled(), Batches(data), Batches(data), epochs=2, verbose=1)
    shown = capsys.readouterr().out
    assert "Epoch 2/2" in shown
    assert "38/38" in shown
    assert "val_accuracy" in shown
    train(compiled(), Batches(data), epochs=1)
    assert capsys.readouterr().out == ""


class InterruptedBatches(Batches):
    """Batches that send SIGINT in the middle of an epoch, as Ctrl-C does."""

    interrupted_epoch: int | None = None

    def take(self, first, number):
        if self.epoch == self.interrupted_epoch and first > len(self) // 2:
            signal.raise_signal(signal.SIGINT)
        return super().take(first, number)


@pytest.mark.parametrize("finished", [0, 2])
def test_train_interrupted_keeps_finished_epochs(compiled, data, finished):
    model, oracle = (compiled(keras.optimizers.Adam(use_ema=True)) for _ in range(2))
    batches = InterruptedBatches(tuple(np.concatenate([a] * 5) for a in data), seed=0)
    history, expected = train(model, batches), train(oracle, batches)
    batches.interrupted_epoch = 1 + finished
    with pytest.raises(KeyboardInterrupt):
        train(model, batches, epochs=9, history=history)
    if finished:
        train(oracle, batches, epochs=2, history=expected)
        assert_same_weights(model, oracle)
    assert history == expected


@pytest.mark.parametrize(
    ("pixel", "rate", "problem"),
    [
        (np.nan, 1e-3, "epoch 1, the loss is NaN"),
        (1, 1e22, "epoch 2, weights are"),
    ],
    ids=["NaN", "large weights"],
)
def test_train_diverged_raises(compiled, data, pixel, rate, problem):
    X, y, _ = (a[:3].copy() for a in data)
    X[0, 0] = pixel
    history = {} if np.isnan(pixel) else {"loss": [2.5]}
    before = dict(history)
    with pytest.raises(ValueError, match=f"diverged: after.*{problem}") as error:
        train(compiled(keras.optimizers.SGD(rate)), Batches((X, y)), history=history)
    assert np.isnan(pixel) == ("weights" not in str(error.value))
    assert history == before


def test_fit_neither_reads_nor_changes_global_state(data):
    X, y, _ = data

    def states():
        return random.getstate(), str(np.random.get_state()), dict(os.environ)  # noqa: NPY002

    def fit():
        return small_classifier(dropout=0.1).fit(X, y.argmax(axis=1))

    before = states()
    first = fit()
    assert states() == before
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    keras.random.uniform((1,))
    assert_same_weights(first.model_, fit().model_)


@pytest.mark.process
def test_fit_in_a_fresh_process_gives_the_same_bits():
    X = np.random.default_rng(0)
    X, y = X.random((1203, 20), dtype=np.float32), X.integers(0, 4, 1203)
    clf = small_classifier(units=(16, 8), epochs=2, dropout=0.1).fit(X, y)
    weights = b"".join(w.tobytes() for w in clf.model_.get_weights())
    # Another number of threads than this process may have.
    done = run_python(HASH_OF_A_FIT, TF_NUM_INTRAOP_THREADS="1")
    assert done.stdout.strip() == hashlib.sha256(weights).hexdigest()


@pytest.mark.backend
def test_fit_on_jax_uses_keras_loop():
    pytest.importorskip("jax")
    run_python(ON_JAX, KERAS_BACKEND="jax")


@pytest.mark.process
def test_fit_under_a_distribution_strategy_uses_keras_loop():
    run_python(UNDER_A_STRATEGY)
