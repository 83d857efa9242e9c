"""Tests of the Displays, by their artists' data."""

import matplotlib
import numpy as np
import pytest
from PIL import Image
from processes import run_python
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from skmnist import (
    DigitsDisplay,
    HistoryDisplay,
    MNISTClassifier,
    PictureDisplay,
    flatten_and_scale,
    make_pipeline,
    read_digits,
    to_sklearn,
)

matplotlib.use("agg")
import matplotlib.pyplot as plt

# Left out on other Pythons.
pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _close_figures():
    # Of the test before, which may be a doctest.
    plt.close("all")


@pytest.fixture(scope="module")
def pipe(digits):
    X, y = digits[0]
    return make_pipeline(32, 4, validation_split=0.2, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def forest(digits):
    """Return a classifier of scikit-learn."""
    preprocess = FunctionTransformer(flatten_and_scale)
    forest = RandomForestClassifier(20, random_state=0)
    return Pipeline([("flatten", preprocess), ("forest", forest)]).fit(*digits[0])


# HistoryDisplay


@pytest.mark.parametrize("last_only", [False, True])
def test_history_draws_each_curve(pipe, last_only):
    clf = pipe["classifier"]
    display = HistoryDisplay.from_estimator(clf if last_only else pipe)
    assert display.lines_.keys() == clf.history_.keys()
    for name, line in display.lines_.items():
        assert list(line.get_xdata()) == [1, 2, 3, 4]
        assert list(line.get_ydata()) == clf.history_[name]
    loss, accuracy = display.axes_
    assert list(loss.lines) == [display.lines_["loss"], display.lines_["val_loss"]]
    for ax, name in ((loss, "loss"), (accuracy, "accuracy")):
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", name)
        legend = [text.get_text() for text in ax.get_legend().get_texts()]
        assert legend == ["training", "validation"]
    assert display.figure_ is loss.figure


def test_history_validation_differs_in_line_style(pipe):
    lines = HistoryDisplay.from_estimator(pipe).lines_
    assert lines["loss"].get_linestyle() != lines["val_loss"].get_linestyle()


def test_history_of_one_epoch_has_markers():
    one, many = (HistoryDisplay({"loss": [0.5] * n}).plot() for n in (1, 99))
    assert one.lines_["loss"].get_marker() == "o"
    assert many.lines_["loss"].get_marker() == "None"


@pytest.mark.parametrize(
    ("frequency", "count", "epochs"),
    [
        (1, 6, [1, 2, 3, 4, 5, 6]),
        (2, 3, [2, 4, 6]),
        (4, 1, [4]),
        (1, 2, [5, 6]),  # the first epochs had no validation data
    ],
)
def test_history_validation_freq_places_epochs(frequency, count, epochs):
    history = {"loss": range(6), "val_loss": range(count)}
    display = HistoryDisplay(history, validation_freq=frequency).plot()
    assert list(display.lines_["loss"].get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert list(display.lines_["val_loss"].get_xdata()) == epochs


def test_history_validation_freq_of_classifier(rows):
    X, y = rows[0]
    clf = MNISTClassifier(
        8, epochs=4, validation_split=0.2, fit__validation_freq=2
    ).fit(X, y)
    display = HistoryDisplay.from_estimator(clf)
    assert list(display.lines_["val_loss"].get_xdata()) == [2, 4]


def test_history_of_exported_pipeline(pipe):
    display = HistoryDisplay.from_estimator(to_sklearn(pipe))
    assert display.lines_.keys() == {"loss"}
    losses = pipe["classifier"].history_["loss"]
    assert list(display.lines_["loss"].get_ydata()) == losses


def test_history_of_mlpclassifier(rows):
    mlp = MLPClassifier((8,), early_stopping=True, random_state=0, max_iter=500)
    display = HistoryDisplay.from_estimator(mlp.fit(*rows[0]))
    loss, accuracy = display.axes_
    assert list(loss.lines[0].get_ydata()) == mlp.loss_curve_
    assert list(accuracy.lines[0].get_ydata()) == mlp.validation_scores_


def test_history_divides_the_place_of_ax():
    figure, (left, right) = plt.subplots(1, 2)
    display = HistoryDisplay({"loss": [2, 1], "accuracy": [0, 1]}).plot(right)
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    whole = right.get_subplotspec().get_position(figure)
    for ax in display.axes_:
        assert ax is not left
        assert whole.x0 - 1e-9 <= ax.get_position().x0 < ax.get_position().x1
        assert ax.get_position().x1 <= whole.x1 + 1e-9
    with pytest.raises(ValueError, match="axes at a place of their own"):
        HistoryDisplay({"loss": [2, 1]}).plot(figure.add_axes([0, 0, 1, 1]))


def test_history_missing_raises(rows, forest):
    with pytest.raises(TypeError, match="got RandomForestClassifier; of a"):
        HistoryDisplay.from_estimator(forest)
    with pytest.raises(NotFittedError):
        HistoryDisplay.from_estimator(make_pipeline())
    untrained = MNISTClassifier(8).initialize(*rows[0])
    for estimator in (untrained, to_sklearn(untrained)):
        with pytest.raises(ValueError, match="The history is empty"):
            HistoryDisplay.from_estimator(estimator)
    assert plt.get_fignums() == []


# DigitsDisplay


def test_digits_have_labels_as_titles(digits):
    X, y = digits[0]
    display = DigitsDisplay(X, y).plot(n_images=7)
    assert [ax.get_title() for ax in display.axes_] == list(map(str, y[:7]))
    for ax, image in zip(display.axes_, X, strict=False):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
    assert not any(ax.get_frame_on() for ax in display.figure_.axes)
    assert [ax.get_title() for ax in DigitsDisplay(X[:3]).plot().axes_] == [""] * 3


@pytest.mark.parametrize("model", ["pipe", "forest", "exported", "search"])
def test_digits_errors_come_first_by_confidence(digits, pipe, forest, model):
    X, y = digits[1]
    estimator = {"pipe": pipe, "forest": forest, "exported": to_sklearn(pipe)}.get(
        model
    )
    if model == "search":
        estimator = GridSearchCV(forest, {}, cv=2).fit(X, y)
        y = np.roll(y, 1)  # nearly all are wrong
    display = DigitsDisplay.from_estimator(estimator, X, y, n_images=30)
    order = display.indices
    assert sorted(order) == list(range(len(X)))
    np.testing.assert_array_equal(display.images, X[order])
    np.testing.assert_array_equal(display.labels, y[order])
    np.testing.assert_array_equal(display.predicted, estimator.predict(X)[order])
    best = estimator.predict_proba(X).max(axis=1)
    np.testing.assert_array_equal(display.confidence, best[order])
    wrong = display.labels != display.predicted
    mistakes = int(wrong.sum())
    assert 0 < mistakes < len(X)
    assert wrong[:mistakes].all()
    assert (np.diff(display.confidence[:mistakes]) <= 0).all()
    assert (np.diff(display.confidence[mistakes:]) >= 0).all()
    for i, ax in enumerate(display.axes_):
        title = ax.get_title().split("\n")[0]
        label, predicted = display.labels[i], display.predicted[i]
        assert title == (f"{label} read as {predicted}" if wrong[i] else str(label))
        assert ax.get_frame_on() == wrong[i]


def test_digits_without_probabilities_keep_order(digits):
    X, y = (part[:60] for part in digits[1])
    rows = X.reshape(len(X), -1)
    svc = LinearSVC(random_state=0, max_iter=50_000, tol=1e-2).fit(rows[:30], y[:30])
    display = DigitsDisplay.from_estimator(svc, rows, y)
    wrong = svc.predict(rows) != y
    expected = [*np.flatnonzero(wrong), *np.flatnonzero(~wrong)]
    assert display.confidence is None
    assert display.indices.tolist() == expected
    shown = display.axes_[0].images[0].get_array()
    np.testing.assert_array_equal(shown, X[expected[0]])


def test_digits_confidence_is_in_the_title():
    display = DigitsDisplay.from_predictions(
        np.zeros((1, 28, 28)), ["four"], ["five"], confidence=[0.5]
    )
    assert display.axes_[0].get_title() == "four read as five\n50.0%"


@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 28, 28, 1), (3, 784)])
def test_digits_images_of_any_shape(shape):
    X = np.arange(3 * 784).reshape(shape)
    display = DigitsDisplay(X).plot()
    for ax, image in zip(display.axes_, X.reshape(3, 28, 28), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)


def test_digits_other_input_raises(digits):
    X, y = digits[1]
    with pytest.raises(ValueError, match="cannot reshape array"):
        DigitsDisplay(np.zeros((3, 783))).plot()
    for images, n_images in ((X, 0), (X[:0], 3)):
        with pytest.raises(ValueError, match="no images to show"):
            DigitsDisplay(images).plot(n_images=n_images)
    with pytest.raises(TypeError, match="takes a fitted classifier, got LinearR"):
        DigitsDisplay.from_estimator(LinearRegression(), X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        DigitsDisplay.from_predictions(X, y, y[:-1])
    assert plt.get_fignums() == []


def test_digits_divide_the_place_of_ax(digits):
    figure, axes = plt.subplots(2, 2)
    display = DigitsDisplay(*digits[0]).plot(axes[1, 1], n_images=12)
    assert display.figure_ is figure
    assert len(display.axes_) == 12
    assert not axes[1, 1].axison


# PictureDisplay


@pytest.fixture(scope="module")
def page(digits):
    """Return a page of two text lines of digits, dark on light, and its labels."""
    X, y = digits[1]
    picture = np.full((160, 200), 255, np.uint8)
    for i, left in enumerate((20, 80, 140)):
        picture[20:48, left : left + 28] -= X[i]
        picture[100:128, left : left + 28] -= X[i + 3]
    return picture, y[:6]


@pytest.mark.parametrize("model", ["pipe", "exported", "bundled"])
def test_picture_from_estimator_shows_the_reading(page, pipe, model):
    picture, labels = page
    estimator = {"pipe": pipe, "exported": to_sklearn(pipe)}.get(model)
    reading = read_digits(picture, estimator=estimator)
    if estimator is None:
        assert reading.labels.tolist() == labels.tolist()
    display = PictureDisplay.from_estimator(estimator, picture)
    np.testing.assert_array_equal(display.boxes, reading.boxes)
    np.testing.assert_array_equal(display.labels, reading.labels)
    np.testing.assert_array_equal(display.confidence, reading.confidence)
    for i, (box, text) in enumerate(zip(display.boxes_, display.texts_, strict=True)):
        left, top, right, bottom = reading.boxes[i]
        assert box.get_bbox().extents.tolist() == [left, top, right, bottom]
        assert text.xy == (left, top)
        doubt = "?" if reading.confidence[i] < 0.5 else ""
        assert text.get_text() == f"{reading.labels[i]}{doubt}"
    assert display.im_.get_array().shape[:2] == picture.shape


def test_picture_low_confidence_is_marked():
    boxes = [[0, 0, 9, 9], [10, 0, 19, 9]]
    display = PictureDisplay(
        np.zeros((10, 20)), boxes, [3, 8], confidence=[0.69, 0.7]
    ).plot(min_confidence=0.7)
    assert [text.get_text() for text in display.texts_] == ["3?", "8"]
    unsure, sure = (box.get_linestyle() for box in display.boxes_)
    assert unsure != sure
    plain = PictureDisplay(np.zeros((10, 20)), boxes, [3, 8]).plot()
    assert [text.get_text() for text in plain.texts_] == ["3", "8"]


def test_picture_from_any_source(page, pipe, tmp_path):
    picture, _ = page
    file = tmp_path / "page.png"
    Image.fromarray(picture).save(file)
    expected = PictureDisplay.from_estimator(pipe, picture)
    with open(file, "rb") as stream:
        for source in (file, str(file), stream, Image.open(file)):
            display = PictureDisplay.from_estimator(pipe, source)
            np.testing.assert_array_equal(display.boxes, expected.boxes)
            np.testing.assert_array_equal(display.image, expected.image)


def test_picture_large_rotated_photo_has_upright_size(page, pipe, tmp_path):
    picture, _ = page
    large = Image.fromarray(picture).resize((2000, 1600))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    file = tmp_path / "page.jpg"
    large.rotate(90, expand=True).save(file, exif=exif)
    display = PictureDisplay.from_estimator(pipe, file)
    assert display.size == (2000, 1600)
    left, right, bottom, top = display.im_.get_extent()
    assert (left, right, bottom, top) == (0, 2000, 1600, 0)
    assert len(display.boxes_) >= 4  # so weak a network may misread some
    assert np.asarray(display.boxes)[:, 2].max() > 1200


def test_picture_without_digits(pipe):
    display = PictureDisplay.from_estimator(pipe, np.full((50, 80), 255, np.uint8))
    assert (display.boxes_, display.texts_) == ([], [])
    assert display.boxes.shape == (0, 4)


def test_picture_draws_on_ax(page, pipe):
    figure, ax = plt.subplots()
    display = PictureDisplay.from_estimator(pipe, page[0], ax=ax)
    assert (display.ax_, display.figure_) == (ax, figure)
    assert plt.get_fignums() == [figure.number]


def test_picture_other_file_raises(pipe, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="not a picture"):
        PictureDisplay.from_estimator(pipe, tmp_path / "text.png")
    assert plt.get_fignums() == []


# All


def test_displays_without_matplotlib_say_what_to_install():
    code = """
import sys

sys.modules["matplotlib"] = None
from skmnist import DigitsDisplay, HistoryDisplay, PictureDisplay

picture, history = PictureDisplay([[0]], [], []), HistoryDisplay({"loss": [1]})
for display in DigitsDisplay([[[0]]]), history, picture:
    try:
        display.plot()
    except ImportError as error:
        print(error)
"""
    message = (
        "Drawing requires matplotlib. You can install it with"
        " `pip install 'skmnist[plot]'`."
    )
    assert run_python(code).stdout.splitlines() == [message] * 3
