"""Tests of read_digits and Reading."""

import base64
import dataclasses
import io
import json
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from skmnist import load_pretrained, read_digits
from skmnist.reading import read_image_array


@pytest.fixture(scope="module")
def page(digits):
    """Return a page of two text lines, dark on light, and its labels."""
    images, labels = digits[1]
    page = np.full((200, 300), 230, np.uint8)
    for i, image in enumerate(images[:5]):
        top, left = (20 + 100 * (i // 3), 20 + 90 * (i % 3))
        large = np.asarray(Image.fromarray(image).resize((56, 56)))
        page[top : top + 56, left : left + 56] -= (large * 0.8).astype(np.uint8)
    return page, labels[:5]


@pytest.fixture(scope="module")
def reading(page):
    return read_digits(page[0])


def test_read_digits_page_returns_text_of_each_line(page, reading):
    expected = "".join(map(str, page[1]))
    assert reading.text == f"{expected[:3]}\n{expected[3:]}"
    assert str(reading) == reading.text
    assert len(reading) == 5
    assert reading.labels.tolist() == page[1].tolist()
    assert reading.lines.tolist() == [0, 0, 0, 1, 1]
    assert reading.size == (300, 200)


def test_read_digits_arrays_have_documented_shapes(reading):
    assert reading.probabilities.shape == (5, 10)
    assert reading.probabilities.dtype == np.float32
    np.testing.assert_allclose(reading.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert reading.confidence.shape == (5,)
    assert ((reading.confidence >= 0) & (reading.confidence <= 1)).all()
    assert reading.images.shape == (5, 28, 28)
    assert reading.images.dtype == np.uint8
    assert reading.classes.tolist() == list(range(10))


def test_read_digits_boxes_contain_the_digits(page, reading):
    for i, (left, top, right, bottom) in enumerate(reading.boxes):
        row, column = 20 + 100 * (i // 3), 20 + 90 * (i % 3)
        assert column - 2 <= left < right <= column + 58
        assert row - 2 <= top < bottom <= row + 58


def test_read_digits_boxes_of_large_rotated_photo_are_in_upright_pixels(page, reading):
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was held upright.
    large = Image.fromarray(page[0]).resize((3000, 2000))
    file = io.BytesIO()
    large.rotate(90, expand=True).save(file, "JPEG", exif=exif)
    found = read_digits(file)
    assert found.size == (3000, 2000)
    assert found.text == reading.text
    np.testing.assert_allclose(found.boxes / 10, reading.boxes, atol=4)


@pytest.mark.parametrize("encode", ["base64", "percent"])
@pytest.mark.parametrize("scale", [1, 4])
def test_read_digits_data_url_is_read(page, reading, encode, scale):
    file, size = io.BytesIO(), (300 * scale, 200 * scale)
    Image.fromarray(page[0]).resize(size).save(file, "PNG")
    if encode == "base64":
        url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    else:
        url = "data:image/png," + urllib.parse.quote(file.getvalue())
    found = read_digits(url)
    assert (found.text, found.size) == (reading.text, size)


@pytest.mark.parametrize("n_bytes", [100, 300, 100_000])
@pytest.mark.parametrize("prefix", ["data:image/png;base64,", "data:,", ""])
def test_read_digits_other_data_raises_without_the_data(prefix, n_bytes):
    text = base64.b64encode(np.random.default_rng(0).bytes(n_bytes)).decode()
    with pytest.raises(ValueError, match=r"the data URL|not the path of a") as caught:
        read_digits(prefix + text)
    assert len(str(caught.value)) < 200
    assert text[:30] not in str(caught.value)


def test_read_digits_blank_page_is_empty():
    blank = read_digits(np.full((80, 120), 240, np.uint8))
    assert len(blank) == 0
    assert blank.text == ""
    assert blank.probabilities.shape == (0, 10)
    assert blank.boxes.shape == (0, 4)
    assert blank.images.shape == (0, 28, 28)
    assert blank.size == (120, 80)
    assert blank.to_dict()["digits"] == []


def test_read_digits_single_returns_one_digit_with_box(page):
    one = read_digits(page[0][:100, :100], single=True)
    assert one.text == str(page[1][0])
    assert one.lines.tolist() == [0]
    left, top, right, bottom = one.boxes[0]
    assert 18 <= left < right <= 78
    assert 18 <= top < bottom <= 78


def test_read_digits_single_blank_raises():
    with pytest.raises(ValueError, match="looks blank"):
        read_digits(np.full((80, 120), 240, np.uint8), single=True)


def test_read_digits_estimator_is_used(page):
    class Words:
        classes_ = np.array(["even", "odd"])

        def predict_proba(self, X):
            assert X.shape[1:] == (28, 28)
            return np.tile([0.25, 0.75], (len(X), 1))

    found = read_digits(page[0], estimator=Words())
    lines = [line.split() for line in found.text.splitlines()]
    assert {word for line in lines for word in line} == {"odd"}
    assert found.to_dict()["classes"] == ["even", "odd"]


def test_read_digits_estimator_without_probabilities_raises(page):
    with pytest.raises(TypeError, match="estimator must be a classifier"):
        read_digits(page[0], estimator="model.joblib")


def test_read_digits_pretrained_pipeline_reads_the_same_text(page, reading):
    found = read_digits(page[0], estimator=load_pretrained())
    assert found.text == reading.text
    assert found.confidence.dtype == reading.confidence.dtype == np.float32
    np.testing.assert_array_equal(found.boxes, reading.boxes)


def test_to_text_low_confidence_is_question_mark(reading):
    doubtful = dataclasses.replace(
        reading, confidence=np.array([0.9, 0.4, 0.9, 0.5, 0.1], np.float32)
    )
    a, b = reading.text.splitlines()
    assert doubtful.to_text(0.5) == f"{a[0]}?{a[2]}\n{b[0]}?"
    assert doubtful.text == reading.text


def test_to_dict_survives_json(reading):
    sent = json.loads(json.dumps(reading.to_dict()))
    assert sent == reading.to_dict()
    assert (sent["text"], sent["width"], sent["height"]) == (reading.text, 300, 200)
    for i, digit in enumerate(sent["digits"]):
        assert digit["label"] == reading.labels[i]
        assert digit["line"] == reading.lines[i]
        assert digit["box"] == reading.boxes[i].tolist()
        assert digit["image"] == reading.images[i].tolist()
        assert digit["confidence"] == pytest.approx(reading.confidence[i], abs=1e-5)
        np.testing.assert_allclose(
            digit["probabilities"], reading.probabilities[i], atol=1e-5
        )


def test_reading_compares_by_identity(reading):
    assert reading == reading
    assert reading != dataclasses.replace(reading)
    assert len({reading, reading}) == 1


def test_read_image_array_reads_one_line_an_image(digits):
    images, labels = digits[1]
    found = read_image_array(images[:20])
    assert found.text.splitlines() == list(map(str, labels[:20]))
    assert found.boxes.tolist() == [[0, 0, 28, 28]] * 20
