"""Draw page.jpg, a page of handwriting for the README, and page_read.png, its reading.

The digits come from two handwriting fonts by Kimberly Geswein, "Nothing You Could Do"
and "La Belle Aurore", under the SIL Open Font License 1.1, which allows pictures that
are drawn with a font to be used without restriction. The fonts are not part of this
repository. Download them from the npm registry into FOLDER first:

    cd FOLDER
    npm install @fontsource/nothing-you-could-do @fontsource/la-belle-aurore

and then, in the repository,

    python docs/images/make_page.py FOLDER

Without FOLDER, page.jpg is kept and only page_read.png is drawn again.
"""

import io
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from skmnist import PictureDisplay, read_digits

HERE = Path(__file__).parent
LINES = ("31415926", "271828", "16180339")
FONTS = ("nothing-you-could-do", "la-belle-aurore")
WIDTH, HEIGHT = 1000, 580  # of the photo, in pixels
FINE = 2  # pixels of the sheet for each pixel of the photo
SHEET = (FINE * (HEIGHT + 240), FINE * (WIDTH + 240))  # larger: the camera is tilted
RULE = 124 * FINE  # distance of the ruled lines
MARGIN = 218 * FINE  # place of the margin line
TALL = 90 * FINE  # height of a digit


def smooth_noise(rng, shape, sigma):
    """Return noise of standard deviation 1 that varies over about `sigma` pixels."""
    small = rng.normal(size=[2 + int(side / sigma) for side in shape])
    factors = [(side + 1) / len for side, len in zip(shape, small.shape, strict=True)]
    large = ndimage.zoom(small, factors, order=3)[: shape[0], : shape[1]]
    return large / large.std()


def draw_digit(digit, font, rng):
    """Return the strength of ink of one digit, never the same twice."""
    image = Image.new("L", (3 * TALL, 3 * TALL))
    anchor = (1.5 * TALL, 1.5 * TALL)
    ImageDraw.Draw(image).text(anchor, digit, fill=255, font=font, anchor="mm")
    mask = np.asarray(image) / 255
    # Another slant, size and shape for each digit.
    y, x = np.mgrid[: 3 * TALL, : 3 * TALL] - 1.5 * TALL
    turn = np.radians(rng.normal(scale=2.0))
    slant = rng.normal(scale=0.04)
    stretch = rng.normal(1, 0.04, 2)
    bend = [0.028 * TALL * smooth_noise(rng, mask.shape, 0.45 * TALL) for _ in "yx"]
    places = (
        stretch[0] * (np.cos(turn) * y - np.sin(turn) * x) + bend[0],
        stretch[1] * (np.sin(turn) * y + np.cos(turn) * x) + slant * y + bend[1],
    )
    mask = ndimage.map_coordinates(mask, np.add(places, 1.5 * TALL), order=1)
    # The pen presses harder in some places: strokes are wider and darker there.
    inside = ndimage.distance_transform_edt(mask > 0.5)
    outside = ndimage.distance_transform_edt(mask <= 0.5)
    middle = (inside > 1) & (inside == ndimage.maximum_filter(inside, 5))
    pressure = smooth_noise(rng, mask.shape, 0.3 * TALL)
    half_width = FINE * (3.3 + 0.4 * pressure)
    depth = inside - outside + half_width - np.median(inside[middle])
    ink = np.clip(depth / (1.2 * FINE) + 0.5, 0, 1) * (0.93 + 0.05 * pressure)
    rows, columns = (np.flatnonzero(ink.any(axis=n)) for n in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def load_font(file):
    """Return the font in the size at which its digits are `TALL` pixels high."""
    _, top, _, bottom = ImageFont.truetype(file, 200).getbbox("0123456789")
    return ImageFont.truetype(file, round(200 * TALL / (bottom - top)))


def write(fonts, rng):
    """Return the strength of ink at each pixel of the sheet."""
    ink = np.zeros(SHEET)
    for row, line in enumerate(LINES):
        left = MARGIN + FINE * rng.integers(24, 60)
        base = RULE * (row + 2) + RULE // 2 - FINE * 4
        slope = rng.normal(scale=0.006)
        for digit in line:
            font = fonts[rng.random() < 0.4]
            drawn = draw_digit(digit, font, rng)
            bottom = base + slope * (left - MARGIN) + FINE * rng.normal(scale=2.5)
            height, width = drawn.shape
            part = ink[int(bottom) - height : int(bottom), left : left + width]
            np.maximum(part, drawn, out=part)
            left += width + int(FINE * rng.uniform(20, 34))
    return ink


def make_sheet(ink, rng):
    """Return the colours of the sheet: ruled paper with ink on it."""
    y, x = np.mgrid[: SHEET[0], : SHEET[1]]
    fibres = 0.008 * smooth_noise(rng, SHEET, 3) + 0.006 * smooth_noise(rng, SHEET, 40)
    colours = np.array([0.955, 0.945, 0.915]) * (1 + fibres[..., np.newaxis])
    printed = np.abs(y % RULE - RULE / 2)
    rules = np.clip(1.4 * FINE / 2 + 0.5 - printed, 0, 1)
    margin = np.clip(1.6 * FINE / 2 + 0.5 - np.abs(x - MARGIN), 0, 1)
    colours *= 1 - 0.75 * rules[..., np.newaxis] * [0.42, 0.25, 0.08]
    colours *= 1 - 0.75 * margin[..., np.newaxis] * [0.08, 0.42, 0.40]
    # A ballpoint leaves less ink where the paper is rough.
    grain = (
        1 + 0.05 * smooth_noise(rng, SHEET, 2.5) + 0.04 * smooth_noise(rng, SHEET, 9)
    )
    strength = np.clip(ink * grain, 0, 1)[..., np.newaxis]
    return colours * (1 - strength * [0.86, 0.80, 0.50])


def photograph(sheet, rng):
    """Return the sheet as a telephone's camera sees it, under a lamp."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    u, v = (x - WIDTH / 2) / WIDTH, (y - HEIGHT / 2) / WIDTH
    # Perspective: the camera is turned a little, and tilted.
    turn = np.radians(-2.2)
    far = 1 - 0.16 * v + 0.05 * u
    across = (np.cos(turn) * u - np.sin(turn) * v) / far
    down = (np.sin(turn) * u + np.cos(turn) * v) / far
    # The sheet does not lie quite flat.
    down = (
        down + 0.004 * np.sin(5.5 * across + 1) + 0.003 * np.sin(9 * down + 4 * across)
    )
    places = (
        SHEET[0] / 2 + FINE * WIDTH * down,
        SHEET[1] / 2 + FINE * WIDTH * across,
    )
    soft = ndimage.gaussian_filter(sheet, (0.55 * FINE, 0.55 * FINE, 0))
    seen = np.stack(
        [
            ndimage.map_coordinates(soft[..., n], places, order=1, mode="nearest")
            for n in range(3)
        ],
        axis=-1,
    )
    lamp = 0.60 + 0.44 * np.exp(-((u + 0.18) ** 2 + (v + 0.16) ** 2) / 0.32)
    # The shadow of the hand that holds the telephone.
    edge = u + 0.55 * v - 0.30 + 0.05 * np.sin(6 * v + 1.0)
    shadow = 1 - 0.30 / (1 + np.exp(-edge / 0.022))
    light = (lamp * shadow)[..., np.newaxis]
    warm = np.array([1.03, 1.0, 0.94]) + [0.0, 0.0, 0.05] * (1 - light)
    seen = np.clip(seen * light * warm, 0, 1)
    noise = rng.normal(size=seen.shape)
    noise = 0.010 * noise + 0.006 * ndimage.gaussian_filter(noise, (1.5, 1.5, 0)) * 5
    return Image.fromarray(np.uint8(np.clip(seen + noise, 0, 1) * 255))


def main():
    rng = np.random.default_rng(4)
    if len(sys.argv) > 1:
        files = [
            Path(sys.argv[1], "node_modules/@fontsource", name, "files")
            / f"{name}-latin-400-normal.woff"
            for name in FONTS
        ]
        ink = write([load_font(file) for file in files], rng)
        photo = photograph(make_sheet(ink, rng), rng)
        photo.save(HERE / "page.jpg", quality=85)
    page = HERE / "page.jpg"
    PictureDisplay.from_reading(read_digits(page), page)
    with io.BytesIO() as file:
        plt.savefig(file, dpi=120)
        Image.open(file).convert("RGB").quantize(256).save(HERE / "page_read.png")


if __name__ == "__main__":
    main()
