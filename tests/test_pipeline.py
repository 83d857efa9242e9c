"""Tests of the pipeline of preprocessing and classifier."""

import re

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skmnist import MNISTClassifier, flatten_and_scale, make_pipeline, to_sklearn


@pytest.fixture(scope="module")
def pipe(digits):
    """Return a fitted pipeline."""
    return make_pipeline(16, 2, random_state=0).fit(*digits[0])


def test_make_pipeline_returns_a_plain_pipeline():
    pipe = make_pipeline()
    assert type(pipe) is Pipeline
    assert list(pipe.named_steps) == ["preprocess", "classifier"]
    assert isinstance(pipe["preprocess"], FunctionTransformer)
    assert type(pipe["classifier"]) is MNISTClassifier
    assert is_classifier(pipe)


def test_make_pipeline_defaults_are_those_of_the_classifier():
    pipe = make_pipeline()
    assert pipe["classifier"].get_params() == MNISTClassifier().get_params()
    assert (pipe["classifier"].units, pipe["classifier"].epochs) == (512, 5)
    assert pipe["preprocess"].kw_args == {"scale": 255.0}
    assert pipe.memory is None


def test_make_pipeline_passes_parameters_on(tmp_path):
    params = {"dropout": 0.5, "optimizer__learning_rate": 0.1, "epoch_cache": tmp_path}
    pipe = make_pipeline((64, 32), 3, scale=16, memory=str(tmp_path), **params)
    expected = MNISTClassifier((64, 32), epochs=3, **params)
    assert pipe["classifier"].get_params() == expected.get_params()
    assert pipe["preprocess"].kw_args == {"scale": 16}
    assert pipe.memory == str(tmp_path)


def test_make_pipeline_takes_units_and_epochs_by_position():
    with pytest.raises(TypeError, match="positional"):
        make_pipeline(64, 3, 255.0)


def test_set_params_reaches_the_steps():
    params = {
        "classifier__units": 7,
        "classifier__epochs": 3,
        "classifier__optimizer__learning_rate": 0.1,
        "preprocess__kw_args": {"scale": 16.0},
    }
    pipe = clone(make_pipeline().set_params(**params))
    assert params.items() <= pipe.get_params().items()


def test_pipeline_equals_preprocessing_and_classifier(digits, pipe):
    (images, y), (test_images, _) = digits
    X, X_test = (a.reshape(len(a), 784) / 255 for a in (images, test_images))
    clf = MNISTClassifier(16, epochs=2, random_state=0).fit(X, y)
    proba = pipe.predict_proba(test_images)
    np.testing.assert_allclose(proba, clf.predict_proba(X_test), atol=1e-5)
    assert pipe.classes_.tolist() == list(range(10))
    assert pipe.predict(test_images).tolist() == proba.argmax(axis=1).tolist()


# Of names in one of the two only.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize(
    "container",
    [
        lambda X: X[..., np.newaxis],
        lambda X: X.reshape(-1, 784),
        lambda X: X.astype(np.float64),
        lambda X: X.tolist(),
        lambda X: np.asfortranarray(X),
        lambda X: pd.DataFrame(X.reshape(-1, 784)).rename(columns=str),
        lambda X: pl.DataFrame(X.reshape(-1, 784)),
    ],
    ids=["channel", "flat", "float64", "list", "columns first", "pandas", "polars"],
)
def test_pipeline_accepts_any_container(digits, pipe, container):
    (images, y), (test_images, _) = digits
    expected = pipe.predict_proba(test_images)
    np.testing.assert_array_equal(pipe.predict_proba(container(test_images)), expected)
    other = clone(pipe).fit(container(images), y)
    np.testing.assert_array_equal(other.predict_proba(test_images), expected)


def test_scale_is_the_divisor_of_pixels(digits, pipe):
    (images, y), (test_images, _) = digits
    scaled = make_pipeline(16, 2, scale=1.0, random_state=0)
    scaled.fit(images / np.float32(255), y)
    np.testing.assert_array_equal(
        scaled.predict_proba(test_images / np.float32(255)),
        pipe.predict_proba(test_images),
    )


def test_predict_proba_of_one_image(digits, pipe):
    images, _ = digits[1]
    proba = pipe.predict_proba(images[3][np.newaxis])
    assert proba.shape == (1, 10)
    np.testing.assert_allclose(proba, pipe.predict_proba(images)[[3]], atol=1e-6)


@pytest.mark.parametrize("as_path", [True, False])
def test_memory_caches_transformed_images(digits, pipe, tmp_path, as_path):
    memory = str(tmp_path) if as_path else joblib.Memory(tmp_path, verbose=0)
    cached = make_pipeline(16, 2, memory=memory, random_state=0)
    for _ in range(2):
        proba = cached.fit(*digits[0]).predict_proba(digits[1][0])
        np.testing.assert_array_equal(proba, pipe.predict_proba(digits[1][0]))
    assert len(list(tmp_path.rglob("output.pkl"))) == 1


def test_repr_shows_both_steps(pipe):
    shown = re.sub(r"\s+", " ", repr(pipe))
    assert (
        "('classifier', MNISTClassifier(epochs=2, random_state=0, units=16))" in shown
    )
    assert "('preprocess', ImageTransformer(func=<function flatten_and_scale" in shown


def test_transformer_works_without_fit(digits):
    images, _ = digits[1]
    np.testing.assert_array_equal(
        make_pipeline()["preprocess"].transform(images), flatten_and_scale(images)
    )


NAMES = [f"at{i}" for i in range(784)]
FRAMES = {
    "pandas": lambda X: pd.DataFrame(X.reshape(-1, 784), columns=NAMES),
    "polars": lambda X: pl.DataFrame(X.reshape(-1, 784), schema=NAMES),
}


@pytest.mark.parametrize("container", FRAMES)
@pytest.mark.parametrize("exported", [False, True])
def test_predict_checks_column_names(digits, container, exported):
    (images, y), (test_images, _) = digits
    frame = FRAMES[container](test_images)
    pipe = make_pipeline(8, 1, random_state=0).fit(FRAMES[container](images), y)
    expected = make_pipeline(8, 1, random_state=0).fit(images, y).predict(test_images)
    assert pipe.feature_names_in_.tolist() == NAMES
    assert pipe[:-1].get_feature_names_out().tolist() == NAMES
    if exported:
        pipe = to_sklearn(pipe)
    np.testing.assert_array_equal(pipe.predict(frame), expected)
    renamed = FRAMES[container](test_images)
    renamed.columns = [f"x{name}" for name in NAMES]
    for wrong in (frame[NAMES[::-1]], frame[NAMES[1:]], renamed):
        with pytest.raises(ValueError, match="feature names should match"):
            pipe.predict(wrong)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(
            pipe.predict(test_images.reshape(-1, 784)), expected
        )


@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("shape", [(-1, 28, 28), (-1, 28, 28, 1), (-1, 784)])
def test_transform_output_returns_frames_with_pixel_names(digits, container, shape):
    (images, y), (test_images, _) = digits
    images, test_images = images.reshape(shape), test_images.reshape(shape)
    expected = make_pipeline(8, 1, random_state=0).fit(images, y).predict(test_images)
    with sklearn.config_context(transform_output=container):
        pipe = make_pipeline(8, 1, random_state=0).fit(images, y)
        np.testing.assert_array_equal(pipe.predict(test_images), expected)
        frame = pipe[:-1].transform(test_images)
    assert type(frame).__module__.startswith(container)
    assert list(frame.columns) == [f"pixel{i}" for i in range(784)]
    np.testing.assert_array_equal(frame.to_numpy(), flatten_and_scale(test_images))
    assert pipe[:-1].get_feature_names_out().tolist() == list(frame.columns)


def test_set_output_keeps_column_names(digits):
    (images, y), (test_images, _) = digits
    pipe = make_pipeline(8, 1, random_state=0).set_output(transform="pandas")
    pipe.fit(FRAMES["pandas"](images), y)
    frame = FRAMES["pandas"](test_images)
    assert list(pipe[:-1].transform(frame).columns) == NAMES
    with pytest.raises(ValueError, match="feature names should match"):
        pipe.predict(frame[NAMES[::-1]])
