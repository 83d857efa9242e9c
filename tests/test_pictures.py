"""Tests of pictures of handwriting, on pages drawn here: the truth is known."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmnist import (
    Digits,
    find_digits,
    load_pictures,
    load_pretrained,
    read_digits,
    to_mnist_format,
)
from skmnist.pictures.detection import FAR, USUAL, adapt, detect, prefer_groups
from skmnist.pictures.segmentation import text_lines

WHITE, INK = (245, 243, 235), (35, 40, 90)
EXIF_ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def hand():
    """Return the bundled digits in MNIST's format: (images, labels), twice.

    Enlarged first: pages of them are to look written, not made of 8x8 pixels.
    """
    X, y = load_digits(return_X_y=True)
    options = {"order": 1, "mode": "nearest", "grid_mode": True}
    large = ndimage.zoom(X.reshape(-1, 8, 8) / 16, (1, 3.5, 3.5), **options)
    images = np.array([to_mnist_format(image) for image in large])
    X_train, X_test, y_train, y_test = train_test_split(
        images, y, test_size=0.2, stratify=y, random_state=0
    )
    return [(X_train, y_train), (X_test, y_test)]


@pytest.fixture(scope="module")
def alphabet(hand):
    """Return digits of each class that the bundled model classifies with certainty."""
    X, y = hand[1]
    sure = load_pretrained().predict_proba(X)[np.arange(len(y)), y] > 0.999
    return {digit: X[sure & (y == digit)][:8] for digit in range(10)}


def coverage(alphabet, lines, size, rng, gap=0.35):
    """Return how much ink covers each pixel, 0 to 1, of lines of digits."""
    width = max(len(line) for line in lines)
    step = int(size * (1 + gap) * 20 / 28)
    page = np.zeros((int(size * (1.3 * len(lines) + 1)), step * width + 2 * size))
    for row, line in enumerate(lines):
        for column, digit in enumerate(line):
            image = alphabet[int(digit)][rng.integers(len(alphabet[int(digit)]))]
            large = Image.fromarray(image).resize(
                (size, size), Image.Resampling.BICUBIC
            )
            top = int(size * (0.5 + 1.3 * row)) + rng.integers(size // 20 + 1)
            part = np.s_[top : top + size, size + column * step :][:2]
            area = page[part][:, :size]
            np.maximum(area, np.asarray(large) / 255, out=area)
    return page


def painted(ink, paper=WHITE, colour=INK):
    """Return colours, 0 to 255, of ink on paper, which may be an image."""
    paper = np.broadcast_to(np.asarray(paper, float), (*ink.shape, 3))
    return paper + ink[..., np.newaxis] * (np.asarray(colour, float) - paper)


def in_light(colours, light):
    return np.uint8(np.clip(colours * light[..., np.newaxis], 0, 255))


def grid(shape):
    return np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")


def plain(ink, rng):
    return np.uint8(painted(ink))


def lamp(ink, rng):
    y, x = grid(ink.shape)
    return in_light(painted(ink), 0.65 + 0.25 * x + 0.1 * y)


def vignette(ink, rng):
    y, x = grid(ink.shape)
    return in_light(painted(ink), 1 - 0.3 * (x * x + y * y))


def hard_shadow(ink, rng):
    y, x = grid(ink.shape)
    return in_light(painted(ink), np.where(y > 0.3 * x + 0.1, 0.55, 1))


def noisy(ink, rng):
    return np.uint8(np.clip(painted(ink) + rng.normal(0, 9, (*ink.shape, 3)), 0, 255))


def chalk(ink, rng):
    return np.uint8(painted(ink, (40, 70, 55), (230, 230, 220)))


def yellow_on_white(ink, rng):
    return np.uint8(painted(ink, (255, 255, 255), (255, 225, 40)))


def red_on_green(ink, rng):
    return np.uint8(painted(ink, (90, 150, 80), (190, 60, 50)))


def pencil(ink, rng):
    return np.uint8(painted(0.35 * ink, (205, 203, 198), (0, 0, 0)) + rng.normal(0, 2))


def ruled(ink, rng):
    lines = np.zeros(ink.shape)
    lines[20::97] = lines[21::97] = 1
    return np.uint8(painted(np.maximum(ink, 0.45 * lines)))


def squared(ink, rng):
    lines = np.zeros(ink.shape)
    lines[13::29] = lines[:, 7::29] = 1
    return np.uint8(painted(np.maximum(ink, 0.4 * lines)))


def printed_cells(ink, rng):
    """Frame each digit of a page of 2 x 5 digits that are 120 pixels high."""
    cells = np.zeros(ink.shape)
    for top in (66, 222):
        rows, columns = slice(top, top + 115), slice(120, 120 + 5 * 115)
        cells[top : top + 3, columns] = cells[top + 112 : top + 115, columns] = 1
        cells[rows, 120 : 120 + 5 * 115 + 1 : 115] = 1
        cells[rows, 121 : 121 + 5 * 115 + 1 : 115] = 1
    return np.uint8(painted(np.maximum(ink, 0.8 * cells)))


def patterned(ink, rng):
    """Print waves as on a cheque, less dark than the ink, in a small picture."""
    small = ink[::3, ::3]
    y, x = np.mgrid[: small.shape[0], : small.shape[1]]
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * (y / 6 + 0.3 * np.sin(x / 25)))
    return np.uint8(painted(np.maximum(small, 0.4 * waves)))


def on_a_table(ink, rng):
    """Put the sheet on a dark table, whose grain is darker in places."""
    h, w = ink.shape
    grain = ndimage.gaussian_filter(rng.normal(size=(h // 2, w)), (8, 3))
    table = 35 + 40 * (grain < grain.std())
    return np.uint8(np.concatenate([table[..., None] + [20, 5, 0], painted(ink)]))


PAPERS = [
    plain,
    lamp,
    vignette,
    hard_shadow,
    noisy,
    chalk,
    yellow_on_white,
    red_on_green,
    pencil,
    ruled,
    squared,
    printed_cells,
    patterned,
    pytest.param(
        on_a_table,
        marks=pytest.mark.xfail(reason="the detector misses the 8", strict=True),
    ),
]


def read(picture):
    """Return the text of a picture, with a space between text lines."""
    return read_digits(picture).text.replace("\n", " ")


@pytest.fixture(scope="module")
def page(alphabet):
    return coverage(alphabet, ["40718", "52369"], 120, np.random.default_rng(0))


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.__name__)
def test_pages_on_any_paper_are_read_exactly(paper, page):
    assert read(paper(page, np.random.default_rng(1))) == "40718 52369"


def test_grain_of_a_table_is_not_read(page):
    # Without invented digits; the 8 may be missed, see above.
    found = read(on_a_table(page, np.random.default_rng(1)))
    assert found in ("40718 52369", "4071 52369")


@pytest.mark.parametrize("size", [28, 45, 80, 200, 400])
def test_digits_of_any_size_are_read_exactly(size, alphabet):
    ink = coverage(alphabet, ["3061", "7254"], size, np.random.default_rng(2))
    assert read(plain(ink, None)) == "3061 7254"


@pytest.mark.parametrize("degrees", [-8, 8])
def test_rising_and_falling_lines_are_read_line_by_line(degrees, page):
    turned = ndimage.rotate(page, degrees, order=1).clip(0, 1)
    assert read(plain(turned, None)) == "40718 52369"


@pytest.mark.parametrize("turns", [1, 3])
def test_page_on_its_side_is_read_and_located(turns, page):
    upright = plain(page, None)
    expected = find_digits(upright)
    places = np.zeros(page.shape, int)
    for number, (left, top, right, bottom) in enumerate(expected.boxes, 1):
        places[top:bottom, left:right] = number
    turned = ndimage.find_objects(np.rot90(places, turns))
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in turned]
    found = read_digits(np.rot90(upright, turns))
    assert found.text == "40718\n52369"
    assert found.size == page.shape
    np.testing.assert_allclose(found.boxes, boxes, atol=2)


@pytest.mark.parametrize("slant", [-0.5, 1.0])
def test_sheared_writing_is_read_and_located(slant, page):
    upright = find_digits(plain(page, None))
    matrix = [[1, 0], [slant, 1]]  # columns from rows
    offset = (0, -slant * page.shape[0] / 2)
    sheared = ndimage.affine_transform(page, matrix, offset, order=1).clip(0, 1)
    reading = read_digits(plain(sheared, None))
    assert reading.text == "40718\n52369"
    np.testing.assert_allclose(reading.boxes[:, 1::2], upright.boxes[:, 1::2], atol=5)
    for left, top, right, bottom in reading.boxes:
        # Ink fills the box, up to its soft edge.
        ink = sheared[top:bottom, left:right] > 0.5
        edges = ink[:5], ink[-5:], ink[:, :5], ink[:, -5:]
        assert all(edge.any() for edge in edges)


too_high = pytest.mark.xfail(reason="digits of 7 pixels are not found", strict=True)


@pytest.mark.parametrize("factor", [0.3, 2.5, pytest.param(3, marks=too_high)])
def test_detect_corrects_a_wrong_height(factor, page):
    ink = page.astype(np.float32)
    marks = np.empty((0, 4))
    boxes, p = detect(ink, 85 * factor, marks)
    order = np.lexsort((boxes[:, 0], boxes[:, 1] > 180))
    assert p[order].argmax(axis=1).tolist() == [4, 0, 7, 1, 8, 5, 2, 3, 6, 9]
    # The prediction for the wrong size is not part of the average.
    assert p[:, 10].max() < 0.1


def test_digit_at_the_edge_of_a_wide_picture_is_read(alphabet):
    ink = coverage(alphabet, ["4071852369"], 85, np.random.default_rng(0))
    left = np.flatnonzero(ink.max(axis=0) > 0.5)[0]
    assert read(plain(ink[:, left:], None)) == "4071852369"


def encoded(image, **options):
    stream = io.BytesIO()
    image.save(stream, **options)
    return stream


CHANGES = {
    "inverted": lambda image: Image.fromarray(255 - np.asarray(image)),
    "grey": lambda image: image.convert("L"),
    "padded": lambda image: Image.fromarray(
        np.pad(image, ((90, 30), (40, 200), (0, 0)), mode="edge")
    ),
    "enlarged": lambda image: image.resize((2 * image.width, 2 * image.height)),
    "palette": lambda image: image.convert("P"),
    "one bit": lambda image: image.convert("1", dither=Image.Dither.NONE),
    "16 bits": lambda image: Image.fromarray(
        np.asarray(image.convert("L")) * np.uint16(256)
    ),
    "CMYK": lambda image: image.convert("CMYK"),
    "JPEG": lambda image: encoded(image, format="JPEG", quality=40),
    "GIF": lambda image: encoded(
        image, format="GIF", save_all=True, append_images=[image.rotate(180)]
    ),
    "floats": lambda image: np.asarray(image) / 255,
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_picture_in_another_form_holds_the_same_digits(change, page):
    image = Image.fromarray(plain(page, None))
    assert read(CHANGES[change](image)) == "40718 52369"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_tag_says(orientation, page):
    upright = Image.fromarray(plain(page, None))
    turns = Image.Transpose
    undo = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_90,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    found = find_digits(encoded(stored, format="PNG", exif=exif))
    expected = find_digits(upright)
    np.testing.assert_array_equal(found.images, expected.images)
    np.testing.assert_array_equal(found.boxes, expected.boxes)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (30, 60, 200)])
def test_ink_on_a_transparent_ground_is_read(colour, page):
    image = np.empty((*page.shape, 4), dtype=np.uint8)
    image[..., :3] = colour
    image[..., 3] = np.rint(255 * page)
    assert read(image) == "40718 52369"


def test_boxes_are_in_pixels_of_the_picture_even_where_it_is_shrunk():
    paper = np.full((3000, 4000), 220, dtype=np.uint8)
    paper[1000:1500, 1500:1560] = 20
    paper[1000:1500, 2200:2260] = 20
    digits = find_digits(paper)
    expected = [[1500, 1000, 1560, 1500], [2200, 1000, 2260, 1500]]
    np.testing.assert_allclose(digits.boxes, expected, atol=5)
    assert digits.lines.tolist() == [0, 0]


def test_to_mnist_format_scales_into_20x20_and_centres_by_mass():
    y, x = np.mgrid[:300, :500]
    ring = np.abs(np.hypot(y - 90, (x - 150) * 1.5) - 60) < 7
    image = to_mnist_format(np.where(ring, 0.1, 0.9))
    rows, columns = np.nonzero(image > 127)
    assert 19 <= np.ptp(rows) + 1 <= 20
    assert np.ptp(columns) < np.ptp(rows)
    np.testing.assert_allclose(ndimage.center_of_mass(image), 14, atol=0.51)
    assert image.dtype == np.uint8
    assert image.max() == 255


@pytest.mark.parametrize("width", [1, 3, 12, 40])
def test_strokes_of_any_width_come_out_as_wide_as_mnists(width):
    paper = np.full((400, 400), 255, dtype=np.uint8)
    y, x = np.mgrid[:400, :400]
    paper[np.abs(np.hypot(y - 200, x - 200) - 120) <= width / 2] = 0
    image = to_mnist_format(paper) / 255
    stroke = image.sum() / (2 * np.pi * 8.6)  # ink over the length of the circle
    assert 2.2 < stroke < 4


def test_to_mnist_format_hardly_changes_what_is_in_its_format(hand):
    images = hand[1][0][:50]
    again = np.array([to_mnist_format(image) for image in images])
    assert np.abs(again / 255 - images / 255).mean() < 0.03


def test_a_digit_in_pieces_is_one_digit():
    paper = np.full((300, 300), 255, dtype=np.uint8)
    paper[90:240, 120:135] = 0
    paper[60:75, 130:200] = 0  # the bar of a 5, which does not touch
    rows, columns = np.nonzero(to_mnist_format(paper) > 127)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, pytest.approx(9, abs=2))


@pytest.mark.parametrize("scale", [1, 2, 20])
def test_read_digits_touching_digits_are_read_at_any_scale(alphabet, scale):
    right = total = 0
    for a in range(10):
        for b in range(a % 3, 10, 3):
            left, right_one = alphabet[a][0], alphabet[b][1]
            picture = 255 - joined(left, right_one)
            size = np.multiply(picture.shape[::-1], scale)
            picture = np.asarray(Image.fromarray(picture).resize(size))
            right += read(picture) == f"{a}{b}"
            total += 1
    assert right >= 0.85 * total


def joined(left, right):
    """Push two digits together until they touch."""
    left, right = (x[:, (x > 127).any(axis=0)] for x in (left, right))
    page = np.zeros((28, left.shape[1] + right.shape[1] - 1), dtype=np.uint8)
    page[:, : left.shape[1]] = left
    np.maximum(page[:, -right.shape[1] :], right, out=page[:, -right.shape[1] :])
    page[18:20, left.shape[1] - 4 : left.shape[1] + 3] = 255  # They do touch.
    return np.pad(page, 10)


def test_find_digits_isolated_digits_are_not_split(alphabet):
    pictures = [np.pad(image, 6) for images in alphabet.values() for image in images]
    assert np.mean([len(find_digits(picture)) == 1 for picture in pictures]) > 0.97


def gradient():
    return np.uint8(np.linspace(90, 230, 200 * 300).reshape(200, 300))


def noise():
    return np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8)


def faint_noise():
    return np.uint8(np.random.default_rng(0).normal(200, 5, (200, 300)))


@pytest.mark.parametrize(
    "picture",
    [
        np.full((200, 300), 255, np.uint8),
        np.zeros((200, 300, 3), np.uint8),
        np.zeros((200, 300, 4), np.uint8),
        gradient(),
        noise(),
        faint_noise(),
        np.zeros((1, 1), np.uint8),
        np.full((1, 1, 3), 200, np.uint8),
    ],
    ids=["white", "black", "transparent", "light", "noise", "faint", "1x1", "1x1 RGB"],
)
def test_where_there_is_no_digit_none_is_found(picture):
    digits = find_digits(picture)
    assert isinstance(digits, Digits)
    assert len(digits) == 0
    assert digits.images.shape == (0, 28, 28)
    assert digits.boxes.shape == (0, 4)
    assert digits.lines.shape == (0,)
    with pytest.raises(ValueError, match="No ink was found in the picture"):
        to_mnist_format(picture)


@pytest.mark.parametrize("shape", [(3, 20000), (20000, 3), (1, 50), (2, 2)])
def test_odd_shapes_are_no_error(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    find_digits(picture)


@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        (np.zeros((2, 3, 4, 5), np.uint8), ValueError, r"got shape \(2, 3, 4, 5\)"),
        (np.zeros((28, 28, 2), np.uint8), ValueError, r"got shape \(28, 28, 2\)"),
        (np.zeros((0, 28), np.uint8), ValueError, "must have pixels"),
        (np.zeros((28, 28), np.int64), TypeError, "got int64"),
        (np.full((28, 28), 255.0), ValueError, r"in \[0, 1\], got 255 to 255"),
        (np.full((28, 28), np.nan), ValueError, r"in \[0, 1\], got nan"),
        ("https://example.org/7.png", ValueError, "nothing is downloaded"),
        ("no_such_file.png", FileNotFoundError, "no_such_file.png"),
        (7, TypeError, "got int"),
        (None, TypeError, "got NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(picture, error, message):
    for function in (to_mnist_format, find_digits):
        with pytest.raises(error, match=message):
            function(picture)


def test_find_digits_unreadable_file_is_named(tmp_path, page):
    text, short = tmp_path / "text.png", tmp_path / "short.png"
    text.write_text("a picture?")
    whole = encoded(Image.fromarray(plain(page, None)), format="PNG").getvalue()
    short.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"text\.png is not a picture"):
        find_digits(text)
    with pytest.raises(ValueError, match=r"short\.png is truncated or corrupt"):
        find_digits(short)
    with pytest.raises(ValueError, match="is truncated or corrupt"):
        find_digits(io.BytesIO(whole[: len(whole) // 2]))
    with pytest.raises(IsADirectoryError, match="use load_pictures"):
        find_digits(tmp_path)


def test_decompression_bombs_are_refused(tmp_path):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20000, 10000)).save(bomb)
    with pytest.raises(ValueError, match=r"bomb\.png is too large"):
        find_digits(bomb)


def test_load_pictures_reads_a_folder_for_each_label(tmp_path, alphabet):
    for digit in (3, 8):
        (tmp_path / str(digit)).mkdir()
        for k, image in enumerate(alphabet[digit][:2]):
            Image.fromarray(255 - image).save(tmp_path / str(digit) / f"{k}.png")
    (tmp_path / "8" / ".hidden").write_text("no picture")
    (tmp_path / "readme.txt").write_text("no picture")
    X, y = load_pictures(tmp_path)
    assert X.shape == (4, 28, 28)
    assert X.dtype == np.uint8
    assert y.tolist() == [3, 3, 8, 8]
    np.testing.assert_array_equal(X[0], to_mnist_format(tmp_path / "3" / "0.png"))
    (tmp_path / "8").rename(tmp_path / "eight")
    assert load_pictures(tmp_path)[1].tolist() == ["3", "3", "eight", "eight"]


def test_load_pictures_names_what_it_cannot_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_pictures(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no pictures in subfolders"):
        load_pictures(tmp_path)
    (tmp_path / "7").mkdir()
    Image.new("L", (28, 28)).save(tmp_path / "7" / "blank.png")
    with pytest.raises(ValueError, match=r"No ink was found in .*blank\.png"):
        load_pictures(tmp_path)


def test_load_pictures_ignores_files_that_are_not_pictures(tmp_path, alphabet):
    for digit in (3, 8):
        (tmp_path / str(digit)).mkdir()
        image = Image.fromarray(255 - alphabet[digit][0])
        image.save(tmp_path / str(digit) / "a", "PNG")  # known by its content
    (tmp_path / "empty").mkdir()
    (tmp_path / "__MACOSX" / "8").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "8" / "._a.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="Ignored 1 of 3 files .* such as __MACOSX.8"):
        assert load_pictures(tmp_path)[1].tolist() == [3, 8]
    for name in ("Thumbs.db", "desktop.ini", "notes.txt"):
        (tmp_path / "8" / name).write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="Ignored 4 of 6 files"):
        assert load_pictures(tmp_path)[1].tolist() == [3, 8]
    (tmp_path / "8" / "bad.png").write_bytes(b"no picture")
    with (
        pytest.warns(UserWarning, match="Ignored 4 of 7"),
        pytest.raises(ValueError, match=r"bad\.png"),
    ):
        load_pictures(tmp_path)


def test_reading_a_picture_imports_neither_tensorflow_nor_sklearn():
    code = (
        "import sys, numpy, skmnist\n"
        "skmnist.find_digits(numpy.zeros((28, 28), numpy.uint8))\n"
        "print({'keras', 'skimage', 'sklearn', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("set()\n", 0), done.stderr


def specks(rng):
    return np.uint8(np.where(rng.random((700, 900)) < 0.02, 0, 255))


def noise_of_a_camera(rng):
    return rng.integers(0, 256, (3000, 4000), dtype=np.uint8)


def checkerboard(rng):
    return np.uint8(np.indices((900, 1200)).sum(axis=0) // 6 % 2 * 255)


def brick_wall(rng):
    y, x = np.indices((900, 1200))
    return np.uint8(
        np.where((y % 40 < 3) | ((x + y // 40 % 2 * 50) % 100 < 3), 60, 190)
    )


def rings(rng):
    return np.uint8(127 + 127 * np.sin(np.hypot(*np.mgrid[-450:450, -600:600]) / 3))


@pytest.mark.parametrize(
    "picture",
    [specks, noise_of_a_camera, checkerboard, brick_wall, rings],
    ids=lambda picture: picture.__name__,
)
def test_read_digits_adversarial_picture_has_few_digits(picture):
    # The upright joints of a wall look like 1s.
    assert len(read_digits(picture(np.random.default_rng(0)))) <= 300


def test_read_digits_printed_text_has_few_digits():
    words = "the quick brown fox jumps over a lazy dog " * 3
    page = Image.new("L", (1100, 700), 235)
    font = ImageFont.load_default(30)
    for top in range(20, 660, 45):
        ImageDraw.Draw(page).text((20, top), words[top % 40 :][:75], 40, font)
    assert len(read_digits(page)) <= 5


@pytest.mark.parametrize("n_marks", [4, 40])
def test_adapt_multiplies_the_odds_by_those_of_the_marks(n_marks):
    # Two digits, the second one doubtful, and marks next to them.
    boxes = np.float32([[0, 0, 20, 30], [30, 0, 50, 30]])
    p = np.full((2, 11), 0.01, np.float32)
    p[:, 3], p[:, 10] = (0.8, 0.5), (0.1, 0.4)
    marks = [[x, 0, x + 15, 25] for x in range(100, 100 + 20 * n_marks, 20)]
    specks = [[x, 90, x + 15, 98] for x in range(0, 2000, 20)]
    digits = np.hstack([boxes, p])
    found = adapt(digits, np.array([*boxes, *marks, *specks]))
    np.testing.assert_array_equal(found[:, :4], boxes)
    before, after = (q[:, 4:14].sum(axis=1) / q[:, 14] for q in (digits, found))
    np.testing.assert_allclose(after * n_marks / 2, before, rtol=1e-4)
    np.testing.assert_allclose(found[:, 4:].sum(axis=1), 1, rtol=1e-5)
    unchanged = adapt(digits, boxes)[:, 4:]
    np.testing.assert_array_equal(unchanged, p / p.sum(axis=1, keepdims=True))


def test_prefer_groups_changes_the_odds_by_the_distance_to_the_nearest_digit():
    # Heights are 30 pixels. The third one touches the second one, the fourth one is far
    # away, the fifth one two rows below the first one, the last one is not a digit.
    boxes = np.float32(
        [
            *([0, 0, 20, 30], [40, 0, 60, 30], [60, 0, 80, 30], [300, 0, 320, 30]),
            *([0, 60, 20, 90], [322, 0, 340, 30]),
        ]
    )
    p = np.full((6, 11), 0.05, np.float32)
    p[:, 7], p[:, 10], p[5] = 0.4, 0.15, [*[0.04] * 10, 0.6]
    digits = np.hstack([boxes, p])
    found = prefer_groups(digits)
    np.testing.assert_array_equal(found[:, :4], boxes)
    before, after = (q[:, 4:14].sum(axis=1) / q[:, 14] for q in (digits, found))
    near, far = USUAL
    away = np.array([0, -near, -near, FAR - far, FAR - far, 2 / 30 - near])
    # Classes are not clear, which matters more the farther away others are.
    clear = np.array([*5 * [0.4 / 0.85], 0.04 / 0.4])
    doubt = clear ** np.array([20 / 30, 0, 0, 1, 1, 2 / 30])
    np.testing.assert_allclose(after, before * np.exp(-away) * doubt, 1e-4)
    np.testing.assert_allclose(found[:, 4:].sum(axis=1), 1, rtol=1e-5)
    for unchanged in digits[5:], digits[:0]:
        np.testing.assert_allclose(prefer_groups(unchanged), unchanged, rtol=1e-5)
    # One that is alone is as near as usual.
    alone = prefer_groups(digits[:1])[0, 14]
    assert (1 - alone) / alone == pytest.approx(before[0] * clear[0] ** near, rel=1e-4)


def test_text_lines_exponents_stay_on_their_line():
    boxes = np.float32(
        [
            *([0, 40, 30, 90], [45, 20, 62, 48], [120, 42, 150, 92]),  # 4, exponent, 7
            *([10, 110, 30, 160], [50, 112, 80, 158]),  # the next line
            [0, 0, 25, 12],  # small print above
        ]
    )
    assert text_lines(boxes, list(range(6))) == [[5], [0, 1, 2], [3, 4]]
    # An exponent of something that is not a digit comes first.
    assert text_lines(boxes, [1, 2]) == [[1, 2]]


def test_text_lines_of_small_above_large_digits_are_two():
    small, large = (
        ([0, 0, 20, 30], [25, 0, 45, 30]),
        ([0, 50, 40, 110], [45, 50, 85, 110]),
    )
    assert text_lines(np.float32([*small, *large]), [0, 1, 2, 3]) == [[0, 1], [2, 3]]


def test_text_lines_distant_digits_are_on_one():
    boxes = np.float32([[0, 0, 10, 18], [1270, 2, 1280, 18], [5, 30, 15, 48]])
    assert text_lines(boxes, [0, 1, 2]) == [[0, 1], [2]]


@pytest.mark.parametrize("label", "3578")
def test_read_digits_single_digit_in_a_frame(label, alphabet):
    ink = coverage(alphabet, [label], 120, np.random.default_rng(0))
    rows, columns = (np.flatnonzero(ink.any(axis=axis))[[0, -1]] for axis in (1, 0))
    top, left = rows[0] - 20, columns[0] - 25
    bottom, right = rows[1] + 20, columns[1] + 25
    for place in (top, slice(left, right)), (bottom, slice(left, right)):
        ink[place[0] : place[0] + 3, place[1]] = 1
    for column in left, right:
        ink[top : bottom + 3, column : column + 3] = 1
    assert read_digits(np.uint8(painted(ink)), single=True).text == label


def test_read_digits_too_many_digits_warns_and_reads_the_most_certain(hand):
    images = np.pad(
        hand[0][0][:450].reshape(15, 30, 28, 28), ((0, 0), (0, 0), (4, 4), (4, 4))
    )
    page = 255 - images.transpose(0, 2, 1, 3).reshape(15 * 36, 30 * 36)
    with pytest.warns(UserWarning, match=r"\d{3} digits .* only the 250 most certain"):
        reading = read_digits(page)
    assert len(reading) == 250
    assert reading.confidence.mean() > 0.9


@pytest.fixture(scope="module")
def wild():
    """Return other people's pictures: path, label, whether it has one digit."""
    folder = os.environ.get("SKMNIST_PICTURES")
    if not folder:
        pytest.skip("reads pictures from where SKMNIST_PICTURES says; that is unset")
    with open(Path(folder, "labels.csv"), newline="") as file:
        return [
            (Path(folder, row["file"]), row["label"], row["kind"] != "multi")
            for row in csv.DictReader(file)
        ]


@pytest.mark.slow
def test_read_digits_wild_pictures_accuracy(wild):
    right = {True: [], False: []}
    for path, label, single in wild:
        text = read_digits(path, single=single).text.replace("\n", " ")
        right[single].append(text == label)
    assert np.mean(right[True]) >= 0.992
    assert np.mean(right[False]) >= 0.84


@pytest.mark.slow
@pytest.mark.parametrize(("n_digits", "floor"), [(2, 0.72), (3, 0.55)])
def test_read_digits_touching_mnist_digits_accuracy(
    mnist, monkeypatch, n_digits, floor
):
    folder = Path(__file__).parents[1] / "examples" / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    from pictures import touching

    right = [read(page) == text for page, text in touching(n_digits, 200)]
    assert np.mean(right) >= floor
