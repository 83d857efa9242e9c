"""Make the pages on which the network of `train_reader.py` learns to find digits.

A page is a strip of ink, 40x160 pixels, with handwritten digits of MNIST and of fonts
at random sizes and distances, and with what else is on paper: words, letters, signs,
scribbles, ruled lines, frames, patterns and noise. All of it is drawn from a seed.

The fonts are npm packages under the Open Font License or the Apache License, which
``npm install`` fetches into a folder of their own; none of them is in the repository.
"""

import math
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
from digit_shapes import SHAPES, Hand
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from skmnist.training.augmentation import distort as distort_images
from skmnist.training.augmentation import draw

HEIGHT, WIDTH = 40, 160
# ruff: noqa: SIM905

# Rows and columns of the page for each cell of the network's answer.
STRIDE = (4, 2)
NONE, IGNORED = 10, 255

HANDWRITTEN = """annie-use-your-telescope architects-daughter bad-script beth-ellen
caveat caveat-brush cedarville-cursive coming-soon covered-by-your-grace crafty-girls
dawning-of-a-new-day dekko delius gaegu give-you-glory gloria-hallelujah gochi-hand
handlee hi-melody homemade-apple indie-flower just-another-hand kalam kristi
la-belle-aurore loved-by-the-king mali mansalva marck-script mynerve nanum-brush-script
nanum-pen-script neucha nothing-you-could-do over-the-rainbow patrick-hand
permanent-marker playwrite-ar playwrite-br playwrite-cl playwrite-co playwrite-es
playwrite-fr-trad playwrite-it-trad playwrite-mx playwrite-pe playwrite-pl reenie-beanie
rock-salt schoolbell sedgwick-ave shadows-into-light short-stack sriracha
sue-ellen-francisco swanky-and-moo-moo the-girl-next-door waiting-for-the-sunrise
walter-turncoat zeyada""".split()
PRINTED = """courier-prime crimson-text inter lora merriweather noto-sans open-sans
oswald pt-serif roboto roboto-slab source-code-pro""".split()

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Alone, these look like digits in somebody's hand.
AMBIGUOUS = set("oOlIiSsZzbBgqD|")
DRAWN_MARKS = [c for c in SHAPES if isinstance(c, str)]
GREEK = "αβγδεθλμπρστφψωΣΔΩΠ"
SIGNS = "+-=/().,:;*%$#?!<>[]{}&@€£'\"~^_"


def install_fonts(folder):
    """Install the fonts' packages below a folder, and return their paths by kind."""
    missing = [
        f"@fontsource/{name}"
        for name in HANDWRITTEN + PRINTED
        if not Path(folder, "node_modules/@fontsource", name).exists()
    ]
    if missing:
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
        subprocess.run([*command, "--prefix", str(folder), *missing], check=True)

    def files(names):
        for name in names:
            for subset in "latin", "latin-ext", "all":
                file = Path(folder, "node_modules/@fontsource", name, "files")
                file = file / f"{name}-{subset}-400-normal.woff"
                if file.exists():
                    yield str(file)
                    break

    return list(files(HANDWRITTEN)), list(files(PRINTED))


@lru_cache(maxsize=4096)
def load_font(file, size):
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@lru_cache(maxsize=100_000)
def has_glyph(file, character):
    font = load_font(file, 20)
    missing = font.getmask("\U0010fffe")
    mask = font.getmask(character)
    return mask.getbbox() is not None and (
        mask.size != missing.size or bytes(mask) != bytes(missing)
    )


@lru_cache(maxsize=512)
def digit_height(file, size):
    """Return the height of a font's digits in pixels."""
    top, bottom = load_font(file, size).getbbox("0123456789")[1::2]
    return max(1, bottom - top)


def render(file, text, height):
    """Draw text in a font, its digits of a height in pixels; None if that fails."""
    # Few sizes, since a font is loaded for each.
    size = max(6, 3 * round(40 * height / digit_height(file, 40) / 3))
    font = load_font(file, min(size, 120))
    left, top, right, bottom = font.getbbox(text)
    w, h = right - left, bottom - top
    if w < 1 or h < 1 or w > 600 or h > 200:
        return None
    image = Image.new("L", (w + 2, h + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=font)
    # How far the top is above the digits' baseline.
    base = font.getbbox("0")[3] - top + 1
    return image, base


def distort(image, rng, scale=1.0, angle=0.0, shear=0.0, stretch=1.0):
    """Return a glyph scaled, rotated and sheared, as uint8, cropped to its ink."""
    h, w = image.height, image.width
    if scale < 0.7:
        reduced = max(1, round(w * scale * 1.4)), max(1, round(h * scale * 1.4))
        image = image.resize(reduced, Image.Resampling.BILINEAR)
        scale *= w / image.width
        h, w = image.height, image.width
    c, s = math.cos(angle), math.sin(angle)
    # From glyph to page: shear, then rotation, then scaling.
    m = np.array([[c, -s], [s, c]]) @ np.array([[1.0, shear], [0, 1]])
    m = m @ np.diag([scale * stretch, scale])
    corners = m @ np.array([[-w, w, w, -w], [-h, -h, h, h]]) / 2
    nw, nh = (int(np.ceil(np.ptp(row))) + 2 for row in corners)
    return transformed(image, m, (nw, nh), rng.uniform(-0.5, 0.5, 2))


def transformed(image, matrix, size, shift):
    """Return an image of another size, transformed about its centre and shifted."""
    inverse = np.linalg.inv(matrix)
    offset = np.array(image.size) / 2 - inverse @ (np.array(size) / 2 + shift)
    coefficients = (*inverse[0], offset[0], *inverse[1], offset[1])
    image = image.transform(
        size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(image)


def cropped(glyph):
    """Return a glyph without empty rows and columns, and the rows cut off above."""
    strong = glyph > 60
    rows, columns = (np.flatnonzero(strong.any(axis=a)) for a in (1, 0))
    if not len(rows):
        return None, 0
    top, left = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
    return glyph[top : rows[-1] + 2, left : columns[-1] + 2], top


class Page:
    """A strip to draw on, and where its digits are."""

    def __init__(self, rng, bank):
        self.rng, self.bank = rng, bank
        self.ink = np.zeros((HEIGHT + 80, WIDTH + 120), np.uint8)  # with a border
        self.boxes = []  # left, top, right, bottom, class, in pixels of `ink`

    # Drawing.

    def place(self, glyph, left, top, strength=1.0):
        """Draw a glyph, and return its box on the page, or None if it is outside."""
        h, w = glyph.shape
        y0, x0 = max(top, 0), max(left, 0)
        y1, x1 = min(top + h, self.ink.shape[0]), min(left + w, self.ink.shape[1])
        if y0 >= y1 or x0 >= x1:
            return None
        part = glyph[y0 - top : y1 - top, x0 - left : x1 - left]
        if strength < 1:
            part = (part * strength).astype(np.uint8)
        area = self.ink[y0:y1, x0:x1]
        np.maximum(area, part, out=area)
        return left, top, left + w, top + h

    def line(self, height, base, start, end):
        """Write one line of something."""
        rng = self.rng
        style = rng.choice(6, p=[0.3, 0.3, 0.16, 0.11, 0.08, 0.05])
        shear = rng.normal(0, 0.2)
        strength = 1.0 if rng.random() < 0.8 else rng.uniform(0.45, 1)
        source = rng.choice(4, p=[0.36, 0.13, 0.05, 0.46])
        writer = Writer(self, height, base, start, end, shear, strength, source)
        [
            writer.number,
            writer.amount,
            writer.equation,
            writer.words,
            writer.single_marks,
            writer.codes,
        ][style]()

    def lines_of_paper(self, height, base):
        """Draw ruled lines, underlines, frames or a grid."""
        rng = self.rng
        h, w = self.ink.shape
        image = Image.new("L", (2 * w, 2 * h))
        pen_on = ImageDraw.Draw(image)
        slope = rng.normal(0, 0.02)
        width = int(rng.integers(1, 7))
        fill = int(rng.uniform(110, 256))

        def level(y, x0=0, x1=None):
            x1 = w if x1 is None else x1
            ends = (2 * x0, 2 * (y + slope * x0), 2 * x1, 2 * (y + slope * x1))
            pen_on.line(ends, fill, width)

        def upright(x, y0=0, y1=None):
            y1 = h if y1 is None else y1
            ends = (2 * (x - slope * y0), 2 * y0, 2 * (x - slope * y1), 2 * y1)
            pen_on.line(ends, fill, width)

        kind = rng.choice(5, p=[0.35, 0.2, 0.2, 0.15, 0.1])
        if kind == 0:  # ruled, at or through the foot of the digits
            period = height * rng.uniform(1.1, 2.5)
            y = base + height * rng.normal(0.05, 0.15)
            for i in range(-3, 4):
                level(y + i * period)
        elif kind == 1:  # grid paper
            period = height * rng.choice([0.5, 0.7, 1.0, 1.4]) * rng.uniform(0.9, 1.1)
            for i in range(40):
                level(i * period + base % period)
                upright(i * period)
        elif kind == 2:  # cells or frames around the writing
            top = base - height * rng.uniform(1.05, 1.6)
            bottom = base + height * rng.uniform(0.05, 0.5)
            level(top)
            level(bottom)
            step = height * rng.uniform(1.0, 4)
            x = rng.uniform(0, step)
            while x < w:
                upright(x, top, bottom)
                if rng.random() < 0.3:
                    upright(x + rng.uniform(1, 4), top, bottom)
                x += step
        elif kind == 3:  # underlined
            x = rng.uniform(0, w)
            level(base + height * rng.uniform(0, 0.25), x, x + rng.uniform(10, 150))
        else:  # margins and edges
            for _ in range(rng.integers(1, 3)):
                upright(rng.uniform(30, w - 30))
        lines = np.asarray(image.resize((w, h), Image.Resampling.BOX))
        np.maximum(self.ink, lines, out=self.ink)

    def scribble(self, size, left, top):
        """Draw a curve, a check mark, a blob, a bracket or a stroke."""
        rng = self.rng
        n = int(3 * size) + 8
        image = Image.new("L", (n, n))
        pen_on = ImageDraw.Draw(image)
        width = int(rng.uniform(2, 3 + size / 4))
        centre = n / 2
        kind = rng.choice(6, p=[0.3, 0.15, 0.15, 0.15, 0.1, 0.15])
        if kind == 0:  # a curve through random points
            count = rng.integers(3, 12)
            points = centre + size * rng.uniform(-0.9, 0.9, (count, 2))
            t = np.linspace(0, count - 1, 12 * count)
            points = np.stack(
                [np.interp(t, np.arange(count), p) for p in points.T], axis=1
            )
            points = ndimage.gaussian_filter1d(points, 3, axis=0)
            pen_on.line([tuple(p) for p in points], 255, width, joint="curve")
        elif kind == 1:  # a check mark
            a = centre + size * np.array([-0.5, 0.1]) + rng.normal(0, size / 8, 2)
            b = centre + size * np.array([-0.15, 0.55]) + rng.normal(0, size / 8, 2)
            c = centre + size * np.array([0.6, -0.6]) + rng.normal(0, size / 6, 2)
            pen_on.line([tuple(a), tuple(b), tuple(c)], 255, width, joint="curve")
        elif kind == 2:  # a stroke at an angle that no 1 has, or a long one
            angle = rng.uniform(-0.7, 0.7) + (np.pi if rng.random() < 0.5 else 0)
            reach = size * rng.uniform(0.2, 1.4)
            d = reach * np.array([np.cos(angle), np.sin(angle)])
            pen_on.line([tuple(centre - d), tuple(centre + d)], 255, width)
        elif kind == 3:  # a blob
            r = size * rng.uniform(0.1, 0.9, 2)
            pen_on.ellipse([*(centre - r), *(centre + r)], 255)
        elif kind == 4:  # a brace or bracket, higher than digits
            x = centre + size * 0.15 * np.array([1, 0, 0, -0.8, 0, 0, 1])
            y = centre + size * np.array([-1.4, -1.2, -0.2, 0, 0.2, 1.2, 1.4])
            pen_on.line(list(zip(x, y, strict=True)), 255, width, joint="curve")
        else:  # hatching
            for _ in range(rng.integers(4, 14)):
                ends = centre + size * rng.uniform(-0.8, 0.8, 4)
                pen_on.line(list(ends), 255, width)
        glyph = np.asarray(image.resize((n // 2 + 1, n // 2 + 1), Image.Resampling.BOX))
        glyph, _ = cropped(glyph)
        if glyph is not None:
            self.place(glyph, int(left), int(top))

    # The result.

    def transform(self):
        """Scale, shear and shift all that is drawn a little."""
        rng = self.rng
        scale = np.exp(rng.normal(0, 0.08, 2))
        matrix = np.diag(scale)
        matrix[0, 1] = rng.normal(0, 0.05)
        shift = rng.uniform(-1, 1, 2) * (14, 4)
        image = Image.fromarray(self.ink)
        self.ink = transformed(image, matrix, image.size, shift)
        centre = np.array(image.size) / 2
        for i, (*box, label) in enumerate(self.boxes):
            low, high = np.reshape(box, (2, 2))
            middle = matrix @ ((low + high) / 2 - centre) + centre + shift
            half = scale * (high - low) / 2
            self.boxes[i] = *(middle - half), *(middle + half), label

    def finish(self):
        """Return the strip as uint8, its classes and its boxes in cells."""
        rng = self.rng
        ink = self.ink.astype(np.float32) / 255
        y0, x0 = 40, 60
        ink = ink[y0 : y0 + HEIGHT, x0 : x0 + WIDTH]
        if rng.random() < 0.5:
            sigma = rng.uniform(0.2, 0.8)
            ink = ndimage.gaussian_filter(ink, sigma)
        if rng.random() < 0.15:  # faded, or removed with a ruled line
            away = np.arange(HEIGHT)[:, None] - rng.uniform(0, HEIGHT)
            faded = rng.uniform(0.3, 1) * np.exp(-((away / rng.uniform(1, 4)) ** 2))
            ink *= 1 - faded.astype(np.float32)
        background = np.zeros_like(ink)
        if rng.random() < 0.35:
            background = np.maximum(background, pattern(rng, ink.shape))
        if rng.random() < 0.08:
            specks = rng.random(ink.shape) > rng.uniform(0.98, 0.9995)
            specks = ndimage.gaussian_filter(specks.astype(np.float32), 0.6)
            background = np.maximum(background, np.clip(specks * 3, 0, 1))
        ink = 1 - (1 - ink) * (1 - background)
        # Where the edge of a stroke lies, and how sharp it is.
        k = rng.uniform(0.9, 2.1)
        t = rng.uniform(0.3, 0.6)
        ink = (ink - t) * k + t
        if rng.random() < 0.3:
            noise = rng.normal(0, rng.uniform(0.02, 0.15), ink.shape)
            ink = ink + ndimage.gaussian_filter(noise, rng.uniform(0, 0.8))
        ink = np.clip(ink, 0, 1)
        if rng.random() < 0.2:  # cut by the edge of the picture
            side = rng.integers(4)
            n = int(rng.integers(1, 10))
            [ink[:n], ink[-n:], ink[:, : 2 * n], ink[:, -2 * n :]][side][...] = 0
            edge = [(0, n, 0, 999), (HEIGHT - n, 99, 0, 999), (0, 99, 0, 2 * n)]
            edge = [*edge, (0, 99, WIDTH - 2 * n, 999)][side]
        else:
            edge = (0, 0, 0, 0)
        classes = np.full((HEIGHT // STRIDE[0], WIDTH // STRIDE[1]), NONE, np.uint8)
        sides = np.zeros((*classes.shape, 4), np.float16)
        cy = (np.arange(classes.shape[0]) + 0.5) * STRIDE[0]
        cx = (np.arange(classes.shape[1]) + 0.5) * STRIDE[1]
        best = np.full(classes.shape, np.inf)
        for left, top, right, bottom, label in self.boxes:
            left, right, top, bottom = left - x0, right - x0, top - y0, bottom - y0
            h, y, x = bottom - top, (top + bottom) / 2, (left + right) / 2
            dy, dx = np.abs(cy - y) / h, np.abs(cx - x) / h
            if not (-4 < y < HEIGHT + 4 and -4 < x < WIDTH + 4):
                # Seen in part: nothing is to be learned of it.
                near = np.ix_(dy < 0.5, dx < 0.4)
                classes[near] = IGNORED
                continue
            # The part of the digit that is left.
            e0, e1, e2, e3 = edge
            seen_h = min(bottom, HEIGHT) - max(top, 0)
            seen_w = min(right, WIDTH) - max(left, 0)
            if e0 == 0 and e3 == 999 and e1 < 99:
                seen_h = min(bottom, HEIGHT) - max(top, e1)
            elif e1 == 99 and e0 > 0:
                seen_h = e0 - max(top, 0)
            elif e3 < 999 and e3 > 0:
                seen_w = min(right, WIDTH) - max(left, e3)
            elif e2 > 0:
                seen_w = e2 - max(left, 0)
            whole = (seen_h / h) * (seen_w / max(right - left, 1))
            inner = (dy[:, None] < 0.16) & (dx < 0.1)
            inner[np.argmin(dy), np.argmin(dx)] = True
            outer = (dy[:, None] < 0.32) & (dx < 0.2)
            if whole < 0.75:
                classes[outer | inner] = IGNORED
                continue
            far = dy[:, None] ** 2 + (1.5 * dx) ** 2
            inner &= far < best
            free = outer & ~inner & (classes == NONE)
            classes[free] = IGNORED
            classes[inner] = label
            best[inner] = far[inner]
            values = np.stack(
                np.broadcast_arrays(
                    cx - left, cy[:, None] - top, right - cx, bottom - cy[:, None]
                ),
                axis=-1,
            )
            sides[inner] = values[inner] / 16
        return np.rint(255 * ink).astype(np.uint8), classes, sides


def pattern(rng, shape):
    """Return a pattern as printed on cheques: waves, hatching or dots."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    result = np.zeros(shape, np.float32)
    for _ in range(rng.integers(1, 4)):
        angle = rng.normal(np.pi / 2, 0.2) if rng.random() < 0.5 else rng.uniform(0, 7)
        period = rng.uniform(2, 8)
        wave = rng.uniform(0, 3) * np.sin(2 * np.pi * x / rng.uniform(10, 60))
        phase = (x * np.cos(angle) + y * np.sin(angle) + wave) / period
        line = np.clip(np.cos(2 * np.pi * phase) * rng.uniform(1, 3) - 0.8, 0, 1)
        result = np.maximum(result, line)
    if rng.random() < 0.3:
        result *= (
            np.cos(x * rng.uniform(0.5, 2)) * np.cos(y * rng.uniform(0.5, 2))
        ) > 0
    if rng.random() < 0.4:  # in pieces
        noise = ndimage.gaussian_filter(rng.normal(size=shape), (0.5, 2))
        result *= noise > np.quantile(noise, rng.uniform(0.2, 0.8))
    return result * (0.05 + 0.6 * rng.beta(1, 2))


class Writer:
    """Writes one line from left to right."""

    def __init__(self, page, height, base, start, end, shear, strength, source):
        self.page, self.rng, self.bank = page, page.rng, page.bank
        self.height, self.base, self.x, self.end = height, base, start, end
        self.shear, self.strength, self.source = shear, strength, source
        rng = self.rng
        self.hand = str(rng.choice(self.bank.handwritten))
        self.print = str(rng.choice(self.bank.printed))
        self.font = self.print if source == 2 else self.hand
        self.drawn = Hand(rng) if source == 3 else None
        self.stroke_width = height * rng.uniform(0.07, 0.2)
        self.slope = rng.normal(0, 0.03)
        # Ink so far: the last column in each row.
        self.last = np.full(page.ink.shape[0], -1000.0)
        self.tight = rng.choice(3, p=[0.4, 0.38, 0.22])
        self.jitter = 0 if source == 2 else 1
        # The pen: thinner or thicker than that of the source, or the same.
        self.pen = rng.choice([-1, 0, 1], p=[0.3, 0.4, 0.3])
        self.wide = math.exp(rng.normal(0, 0.12))
        # How a 1 is written: as in the source, as a stroke, or with a flag.
        self.ones = rng.choice(["", "|", "1"], p=[0.4, 0.25, 0.35])
        self.crossed = rng.random() < 0.3  # a 7 has a bar

    def gap(self):
        """Return the free pixels between the ink of neighbours; negative: overlap."""
        rng, h = self.rng, self.height
        if self.tight == 0:
            return h * rng.uniform(0.05, 0.45)
        if self.tight == 1:
            return rng.uniform(-3, 0.12 * h)
        return h * rng.uniform(0.1, 1.4)

    def put(self, glyph, top, label=None, gap=None):
        """Draw a glyph after what is there, where its ink comes near enough."""
        glyph, cut = cropped(glyph)
        if glyph is None:
            return
        top = round(top + cut + self.slope * (self.x - 60))
        gap = self.gap() if gap is None else gap
        strong = glyph > 100
        rows = np.flatnonzero(strong.any(axis=1))
        if not len(rows):
            return
        first = strong.argmax(axis=1)
        limit = ndimage.maximum_filter1d(self.last, 5)
        where = np.clip(top + rows, 0, len(limit) - 1)
        left = round(max(float((limit[where] - first[rows]).max()) + 1 + gap, self.x))
        if self.last.max() < -500:
            left = round(self.x)
        width = glyph.shape[1]
        final = width - 1 - strong[:, ::-1].argmax(axis=1)
        self.last[where] = np.maximum(self.last[where], left + final[rows])
        # The next one starts to the right of this one's left half.
        self.x = max(self.x, left + 0.4 * width)
        self.page.place(glyph, left, top, self.strength)
        if label is not None:
            columns = np.flatnonzero(strong.any(axis=0))
            self.page.boxes.append(
                (
                    left + columns[0],
                    top + rows[0],
                    left + columns[-1] + 1,
                    top + rows[-1] + 1,
                    label,
                )
            )

    def digit(self, label=None, size=1.0, raised=0.0, gap=None):
        rng = self.rng
        if label is None:
            label = int(rng.integers(10))
        drawn = self.drawn is not None
        if label == 1 and self.ones and size == 1 and not drawn and rng.random() < 0.8:
            self.mark(self.ones, label, gap)
            return
        height = self.height * size
        base = (
            self.base
            - raised * self.height
            + self.jitter * rng.normal(0, 0.06) * height
        )
        if drawn:
            height *= math.exp(rng.normal(0, 0.12))
            shear = self.shear + rng.normal(0, 0.05)
            if label == 1:
                height *= math.exp(abs(rng.normal(0, 0.12)))
                shear += rng.normal(0.08, 0.17)
            pen, angle = self.stroke_width * size**0.5, rng.normal(0, 0.05)
            glyph = self.drawn.write(label, height, pen, shear, angle)
            top = base - height / 2 - glyph.shape[0] / 2
        elif self.source == 0:
            image = with_pen(self.bank.digit(label, rng), self.pen)
            scale = height / 40 * math.exp(rng.normal(0, 0.11))
            glyph = distort(
                image,
                rng,
                scale,
                rng.normal(0, 0.08),
                self.shear + rng.normal(0, 0.06),
                self.wide * math.exp(rng.normal(0, 0.1)),
            )
            top = base - height / 2 - glyph.shape[0] / 2
        else:
            if (rendered := render(self.font, str(label), 2 * height)) is None:
                return
            image, up = rendered
            image = with_pen(image, max(self.pen, 0))
            glyph = distort(
                image,
                rng,
                0.5 * (math.exp(rng.normal(0, 0.04)) if self.jitter else 1),
                self.jitter * rng.normal(0, 0.05),
                self.jitter * (self.shear + rng.normal(0, 0.04)),
                self.wide * math.exp(rng.normal(0, 0.08)),
            )
            top = base - up / 2
        before = len(self.page.boxes)
        self.put(glyph, top, label, gap)
        if label == 7 and self.crossed and not drawn and len(self.page.boxes) > before:
            left, top, right, bottom, _ = self.page.boxes[-1]
            y = top + (bottom - top) * rng.uniform(0.42, 0.62)
            x0 = left + (right - left) * rng.uniform(0.0, 0.3)
            x1 = left + (right - left) * rng.uniform(0.75, 1.0)
            self.stroke((x0, x1), (y, y + rng.normal(0, 1)))

    def text(self, text, size=1.0, raised=0.0, gap=None, font=None):
        """Write text without digits."""
        rng = self.rng
        font = font or (self.font if self.source else self.hand)
        if not all(has_glyph(font, c) for c in text if c != " "):
            font = self.print
            if not all(has_glyph(font, c) for c in text if c != " "):
                return
        drawn = render(font, text, 2 * self.height * size)
        if drawn is None:
            return
        image, up = drawn
        image = with_pen(image, max(self.pen, 0))
        angle = rng.normal(0, 0.08) if len(text) == 1 else 0.0
        shear = self.shear + rng.normal(0, 0.06)
        glyph = distort(image, rng, 0.5, angle, shear, math.exp(rng.normal(0, 0.15)))
        self.put(glyph, self.base - raised * self.height - up / 2, None, gap)

    def letter(self, size=1.0, gap=None):
        """Write a letter that was distorted as digits are."""
        rng = self.rng
        image = with_pen(self.bank.letter(rng), self.pen)
        angle, shear = rng.normal(0, 0.1), self.shear + rng.normal(0, 0.06)
        scale = self.height * size / 40
        glyph = distort(image, rng, scale, angle, shear, math.exp(rng.normal(0, 0.1)))
        middle = self.base - self.height * rng.uniform(0.3, 0.5)
        self.put(glyph, middle - glyph.shape[0] / 2, None, gap)

    def drawn_mark(self, character, gap=None):
        """Write a letter or a sign of the shapes that are drawn."""
        rng = self.rng
        hand = self.drawn or Hand(rng)
        height = self.height * math.exp(rng.normal(0, 0.15))
        shear = self.shear + rng.normal(0, 0.05)
        angle = rng.normal(0, 0.1)
        glyph = hand.write(character, height, self.stroke_width, shear, angle)
        self.put(glyph, self.base - height / 2 - glyph.shape[0] / 2, None, gap)

    def mark(self, kind, label=None, gap=None):
        """Draw a sign with a pen: point, comma, dash, plus, equals, slash, times, 1."""
        rng, h = self.rng, self.height
        n = int(3 * h) + 8
        image = Image.new("L", (n, n))
        pen_on = ImageDraw.Draw(image)
        pen = max(2, round(h * rng.uniform(0.1, 0.32)))
        c = n / 2  # the baseline is at c + h (twice as fine as the page)

        def stroke(x0, y0, x1, y1):
            wobble = rng.normal(0, 0.03 * h, 4)
            ends = np.array([x0, y0, x1, y1]) * 2 * h + wobble
            pen_on.line(list(ends + c), 255, pen)

        r = rng.uniform(0.7, 1.3)
        if kind in "|1":
            tilt = rng.normal(0, 0.05) - 0.5 * self.shear
            stroke(-tilt, 0.5, tilt, -0.5)
            if kind == "1":
                x = tilt - rng.uniform(0.1, 0.45)
                stroke(tilt, -0.5, x, -0.5 + rng.uniform(0.08, 0.7))
                if rng.random() < 0.15:
                    stroke(-tilt - 0.2, 0.5, -tilt + 0.2, 0.5)
        elif kind == ".":
            y = c + h - pen / 2 - rng.uniform(0, 0.2) * h
            a = pen * rng.uniform(0.5, 1.1)
            pen_on.ellipse([c - a, y - a * r, c + a, y + a * r], 255)
        elif kind == ",":
            stroke(0.05, rng.uniform(0.3, 0.5), -0.08 * r, rng.uniform(0.55, 0.85))
        elif kind == "-":
            y = rng.normal(0.1, 0.12)
            stroke(-0.22 * r, y, 0.25 * r, y + rng.normal(0, 0.03))
        elif kind == "_":
            y = rng.normal(0.1, 0.15)
            stroke(-0.4 * r, y, 0.5 * r, y + rng.normal(0, 0.04))
        elif kind == "+":
            stroke(-0.3 * r, 0.05, 0.3 * r, 0.05)
            stroke(0, -0.25, 0, 0.35)
        elif kind == "=":
            d, slope = rng.uniform(0.06, 0.15), rng.normal(0, 0.06)
            y = rng.normal(0, 0.12)
            for level in y - d, y + d:
                stroke(-0.28 * r, level + slope, 0.28 * r, level - slope)
            if rng.random() < 0.2:  # without lifting the pen
                stroke(0.28 * r, y - d - slope, -0.28 * r, y + d + slope)
        elif kind == "/":
            stroke(-0.35 * r, 0.6, 0.35 * r, -0.6)
        elif kind == "x":
            stroke(-0.2 * r, -0.2, 0.2 * r, 0.3)
            stroke(0.2 * r, -0.2, -0.2 * r, 0.3)
        elif kind == ":":
            for y in -0.15, 0.35:
                a = pen * 0.6
                y = c + 2 * h * y
                pen_on.ellipse([c - a, y - a, c + a, y + a], 255)
        elif kind in "()":
            side = 1 if kind == "(" else -1
            t = np.linspace(-0.75, 0.7, 9)
            x = side * 0.25 * (t / 0.7) ** 2 * r
            points = np.stack([x, t], axis=1) * 2 * h + c
            pen_on.line([tuple(p) for p in points], 255, pen, joint="curve")
        elif kind == "÷":
            stroke(-0.28, 0.05, 0.28, 0.05)
            for y in -0.2, 0.3:
                y = c + 2 * h * y
                pen_on.ellipse(
                    [c - pen / 2, y - pen / 2, c + pen / 2, y + pen / 2], 255
                )
        glyph = np.asarray(image.resize((n // 2, n // 2), Image.Resampling.BOX))
        self.put(glyph, self.base - self.height / 2 - n / 4, label, gap)

    def stroke(self, x, y):
        """Draw a stroke through points on the page, in its pixels."""
        left, top = int(x[0]) - 4, int(min(y[0], y[-1])) - 8
        w, h = int(x[-1] - x[0]) + 12, int(abs(y[-1] - y[0])) + 20
        image = Image.new("L", (3 * w, 3 * h))
        points = zip(3 * (np.array(x) - left), 3 * (np.array(y) - top), strict=True)
        pen = max(2, round(3 * self.height * self.rng.uniform(0.05, 0.12)))
        ImageDraw.Draw(image).line(list(points), 255, pen, joint="curve")
        glyph = np.asarray(image.resize((w, h), Image.Resampling.BOX))
        self.page.place(glyph, left, top, self.strength)

    def join(self, first, second):
        """Draw a stroke from the top of a digit to that of the next."""
        rng = self.rng
        x0 = (first[0] + first[2]) / 2 + rng.uniform(0, 0.4) * (first[2] - first[0])
        x1 = (second[0] + second[2]) / 2 + rng.uniform(-0.4, 0.2) * (
            second[2] - second[0]
        )
        if not 1 < x1 - x0 < 2 * self.height:
            return
        y0, y1 = first[1] + 1 + rng.uniform(0, 3), second[1] + 1 + rng.uniform(0, 3)
        t = np.linspace(0, 1, 9)
        y = y0 + (y1 - y0) * t + rng.uniform(-1, 3) * 4 * t * (1 - t)
        self.stroke(x0 + (x1 - x0) * t, y)

    # Kinds of lines.

    def number(self):
        rng = self.rng
        while self.x < self.end:
            for _ in range(rng.integers(1, 9)):
                self.digit()
            self.x += self.height * rng.uniform(0.3, 3)
            if rng.random() < 0.1:
                self.mark(str(rng.choice(list(".,-"))))

    def amount(self):
        rng = self.rng
        self.tight = rng.choice([0, 1])
        self.x += rng.uniform(0, 20)
        if rng.random() < 0.15:
            self.text(str(rng.choice(list("$€£#"))))
        n = rng.integers(2, 7)
        separator = str(rng.choice([".", ".", ",", ""]))
        zeros = rng.random() < 0.4
        joined = zeros and rng.random() < 0.5
        small = rng.uniform(0.45, 1)  # zeros
        for i in range(n):
            if i and (n - i) % 3 == 0 and separator:
                self.mark(separator)
            zero = zeros and i > 0 and rng.random() < 0.85
            before = len(self.page.boxes)
            if zero and joined:
                self.digit(0, small, gap=rng.uniform(-3, 4))
            else:
                self.digit(0 if zero else None, small if zero else 1.0)
            if i and joined and before and rng.random() < 0.6:
                self.join(self.page.boxes[before - 1], self.page.boxes[-1])
        end = str(rng.choice(["", ".-", "-", "=", ".", "_", "=.", ".=", ":", "x", "#"]))
        for sign in end:
            if sign == "#":
                self.text("#")
            elif sign in DRAWN_MARKS and rng.random() < 0.5:
                self.drawn_mark(sign)
            else:
                self.mark(sign)
        self.x += self.height * rng.uniform(0.5, 4)
        if self.x < self.end - 40:
            self.amount()

    def equation(self):
        rng = self.rng
        unknown = str(rng.choice(list("xxxxxyyyyzzaabbcnkuvwmt")))
        self.tight = rng.choice([0, 2])
        while self.x < self.end:
            roll = rng.random()
            if roll < 0.2:
                self.mark(str(rng.choice(list("()"))))
            for _ in range(rng.choice([1, 1, 2, 3])):
                self.digit(gap=self.height * rng.uniform(0.0, 0.4))
            if rng.random() < 0.45:
                font = str(rng.choice(self.bank.handwritten))
                size = rng.uniform(0.8, 1.4)
                gap = self.height * rng.uniform(0.05, 0.4)
                if unknown in DRAWN_MARKS and rng.random() < 0.7:
                    self.drawn_mark(unknown, gap)
                elif rng.random() < 0.4:
                    self.letter(rng.uniform(0.6, 1.1), gap)
                else:
                    self.text(unknown, size, gap=gap, font=font)
                if rng.random() < 0.5:
                    size = rng.uniform(0.45, 0.75)
                    raised = rng.uniform(0.4, 0.85)
                    self.digit(int(rng.integers(2, 10)), size, raised, gap=1.0)
            if rng.random() < 0.15:
                self.mark(str(rng.choice(list("()"))))
            self.x += self.height * rng.uniform(0, 0.4)
            if rng.random() < 0.8:
                self.mark(str(rng.choice(list("++--==xx/÷:"))))
            else:
                self.text(str(rng.choice(list(SIGNS))))

    def words(self):
        rng = self.rng
        font = self.print if rng.random() < 0.35 else self.hand
        while self.x < self.end:
            n = rng.integers(2, 11)
            if rng.random() < 0.6:
                case = rng.choice(3, p=[0.6, 0.25, 0.15])
                letters = rng.choice(list(LETTERS[:26]), n, p=FREQUENCY)
                word = "".join(letters)
                word = [word, word.capitalize(), word.upper()][case]
            else:
                word = "".join(rng.choice(list(LETTERS), n))
            self.text(word, rng.uniform(0.8, 2.0), font=font)
            self.x = max(self.x, self.last.max() - 2)
            if rng.random() < 0.2:
                self.text(str(rng.choice(list(SIGNS))), font=font)
            self.x += self.height * rng.uniform(0.2, 0.8)
            if rng.random() < 0.25:
                for _ in range(rng.integers(1, 5)):
                    self.digit()
                self.x += self.height * rng.uniform(0.3, 0.8)

    def single_marks(self):
        rng = self.rng
        while self.x < self.end:
            roll = rng.random()
            if roll < 0.12:
                self.drawn_mark(str(rng.choice(DRAWN_MARKS)))
            elif roll < 0.25:
                self.letter(rng.uniform(0.6, 1.3))
            elif roll < 0.45:
                letter = str(rng.choice(list(LETTERS + GREEK)))
                if letter not in AMBIGUOUS or rng.random() < 0.15:
                    font = str(rng.choice(self.bank.handwritten))
                    self.text(letter, rng.uniform(0.7, 1.8), font=font)
            elif roll < 0.6:
                self.text(str(rng.choice(list(SIGNS))), rng.uniform(0.8, 1.3))
            elif roll < 0.85:
                size = self.height * rng.uniform(0.4, 1.4)
                top = self.base - self.height / 2 - size * rng.uniform(0.3, 1)
                self.page.scribble(size, self.x, top)
                self.x += size * 1.6
                self.last[:] = np.maximum(self.last, self.x - 2)
            else:
                self.digit()
            self.x += self.height * rng.uniform(0.1, 1.5)

    def codes(self):
        """Digits and letters side by side, such as on number plates."""
        rng = self.rng
        while self.x < self.end:
            for _ in range(rng.integers(2, 9)):
                roll = rng.random()
                if roll < 0.65:
                    self.digit()
                elif roll < 0.8:
                    self.letter()
                else:
                    letter = str(rng.choice(list(LETTERS)))
                    if letter not in AMBIGUOUS:
                        self.text(letter, rng.uniform(0.8, 1.1))
            self.x += self.height * rng.uniform(0.3, 2)


FREQUENCY = np.array(
    [
        *(82, 15, 28, 43, 127, 22, 20, 61, 70, 2, 8, 40, 24),
        *(67, 75, 19, 1, 60, 63, 91, 28, 10, 24, 2, 20, 1),
    ],
    dtype=float,
)
FREQUENCY /= FREQUENCY.sum()


def with_pen(image, change):
    """Return a glyph drawn with a thinner, the same or a thicker pen: -1, 0 or 1."""
    if image.width == 28:  # of MNIST
        image = image.resize((56, 56), Image.Resampling.BICUBIC)
        if change < 0:
            thin = image.filter(ImageFilter.MinFilter(3))
            # Not if it is thin already.
            kept = sum(thin.histogram()[128:]) / max(1, sum(image.histogram()[128:]))
            return thin if kept > 0.4 else image
    return image.filter(ImageFilter.MaxFilter(3)) if change > 0 else image


def distorted(images, rng):
    """Return images of 28x28 pixels, distorted as for the classifier's training."""
    n = len(images)
    X = images.reshape(n, -1) / np.float32(255)
    X = np.rint(255 * np.clip(distort_images(X, draw(rng, n)), 0, 1))
    return X.astype(np.uint8).reshape(n, 28, 28)


class Bank:
    """Digits to draw, by label, and fonts."""

    def __init__(self, X, y, handwritten, printed):
        self.X, self.y = X, y
        self.handwritten, self.printed = handwritten, printed

    def draw(self, rng, n):
        """Take n of the digits, distorted, for the next pages."""
        chosen = rng.integers(len(self.X), size=n)
        X, y = distorted(self.X[chosen], rng), self.y[chosen]
        self.by_label = [X[y == label] for label in range(10)]
        self.letters = self.draw_letters(rng, max(n // 10, 100))

    def draw_letters(self, rng, n):
        """Return n handwritten letters in MNIST's format, distorted."""
        known = [c for c in LETTERS + GREEK if c not in AMBIGUOUS]
        images = np.zeros((n, 28, 28), np.uint8)
        for image in images:
            font, character = str(rng.choice(self.handwritten)), str(rng.choice(known))
            if has_glyph(font, character) and (drawn := render(font, character, 60)):
                glyph, _ = drawn
                factor = 20 / max(glyph.size)
                w, h = (max(1, round(factor * side)) for side in glyph.size)
                top, left = (28 - h) // 2, (28 - w) // 2
                image[top : top + h, left : left + w] = glyph.resize((w, h))
        return distorted(images, rng)

    def letter(self, rng):
        return Image.fromarray(self.letters[rng.integers(len(self.letters))])

    def digit(self, label, rng):
        images = self.by_label[label]
        return Image.fromarray(images[rng.integers(len(images))])


def make_page(bank, rng):
    """Return two views of a page.

    Each is a strip of ink, the class of each cell, and its digit's sides.
    """
    page = Page(rng, bank)
    height = float(np.clip(20 * math.exp(rng.normal(0, 0.16)), 10, 34))
    base = 60 + height / 2 + rng.normal(0, 5)
    start = 60 + rng.uniform(-30, 30)
    page.line(height, base, start, 60 + WIDTH)
    for direction in -1, 1:
        if rng.random() < 0.25:
            away = direction * height * rng.uniform(1.3, 2.2)
            page.line(height, base + away, rng.uniform(20, 120), 60 + WIDTH)
    if rng.random() < 0.04:  # nothing but what paper shows
        page.ink[:] = 0
        page.boxes.clear()
    if rng.random() < 0.28:
        page.lines_of_paper(height, base)
    if rng.random() < 0.08:
        page.scribble(
            height * rng.uniform(0.3, 2), rng.uniform(0, 200), rng.uniform(0, 100)
        )
    first = page.finish()
    page.transform()
    return first, page.finish()


def make_pages(bank, n, seed):
    """Return two views of n pages, made from a seed, as three arrays each."""
    rng = np.random.default_rng(seed)
    bank.draw(rng, max(5 * n, 1000))
    pages = [make_page(bank, rng) for _ in range(n)]
    return [
        [np.array(part) for part in zip(*view, strict=True)]
        for view in zip(*pages, strict=True)
    ]
