"""Measure the accuracy on a folder of pictures, and on touching digits.

python examples/benchmarks/pictures.py FOLDER --model FILE.skops

FOLDER contains a labels.csv with the columns file, kind and label. Pictures of the kind
multi have several digits, with a space between text lines in the label; the others have
one digit.
"""

import argparse
import csv
import importlib.util
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import skmnist
from skmnist import fetch_mnist, find_digits, load_pipeline, to_mnist_format

SEVERAL = "multi"


def read_table(folder):
    """Return the rows of pictures of one digit, and of those of several."""
    with open(Path(folder, "labels.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    single = [row for row in rows if row["kind"] != SEVERAL]
    return single, [row for row in rows if row["kind"] == SEVERAL]


def images_of(folder, rows, prepare):
    """Prepare each picture; one that cannot be read as a digit counts as blank."""
    images = []
    for row in rows:
        try:
            images.append(prepare(Path(folder, row["file"])))
        except ValueError:
            images.append(np.zeros((28, 28), np.uint8))
    return np.array(images)


def accuracy_of_single(model, folder, rows, prepare=to_mnist_format):
    labels = np.array([int(row["label"]) for row in rows])
    return float(np.mean(model.predict(images_of(folder, rows, prepare)) == labels))


def text_of(model, picture):
    """Return the digits read from a picture, with a space between text lines."""
    digits = find_digits(picture, estimator=model)
    labels = model.predict(digits.images) if len(digits) else np.array([], int)
    lines = [labels[digits.lines == line] for line in np.unique(digits.lines)]
    return " ".join("".join(map(str, line)) for line in lines)


def accuracy_of_several(model, folder, rows):
    texts = [text_of(model, Path(folder, row["file"])) for row in rows]
    return float(np.mean([t == r["label"] for t, r in zip(texts, rows, strict=True)]))


def upright_grey(path):
    image = ImageOps.exif_transpose(Image.open(path))
    if "A" in image.getbands() or "transparency" in image.info:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert("L")


def resized(path):
    return np.asarray(upright_grey(path).resize((28, 28), Image.Resampling.BILINEAR))


def resized_and_inverted(path):
    image = resized(path)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return 255 - image if border.mean() > 127 else image


def tesseract(path, several):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "picture.png")
        upright_grey(path).save(file)
        command = ["tesseract", file, "-", "--psm", "6" if several else "10"]
        command += ["-c", "tessedit_char_whitelist=0123456789"]
        done = subprocess.run(command, capture_output=True, text=True)
    return " ".join("".join(line.split()) for line in done.stdout.split("\n") if line)


def accuracy_of_tesseract(folder, rows, several):
    return np.mean(
        [
            tesseract(Path(folder, r["file"]), several).strip() == r["label"]
            for r in rows
        ]
    )


def accuracy_of_digit_recognizer(folder, rows):
    from digit_recognizer import predict

    right = 0
    for row in rows:
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary, "picture.png")
            upright_grey(Path(folder, row["file"])).save(file)
            right += str(predict(str(file))) == row["label"]
    return right / len(rows)


def touching(n_digits, n_pictures, seed=0):
    """Yield pictures of touching digits from MNIST's test images, and their labels.

    Each digit after the first is moved to the left until its ink overlaps that of the
    previous one by 1, 2 or 3 pixels in one row.
    """
    _, (X, y) = fetch_mnist()
    rng = np.random.default_rng(seed)
    for _ in range(n_pictures):
        chosen = rng.integers(len(X), size=n_digits)
        page = push_together(X[chosen], rng.integers(1, 4, n_digits)).max(axis=0)
        yield np.pad(page, 8), "".join(map(str, y[chosen]))


def push_together(images, depths):
    """Put digits next to each other, each overlapping the previous one by some pixels.

    Returns an image for each digit alone, (n_digits, 28, width).
    """
    digits = [image[:, (image > 127).any(axis=0).nonzero()[0]] for image in images]
    owners = np.zeros((len(digits), 28, sum(d.shape[1] for d in digits)), np.uint8)
    end = 0
    for owner, digit, depth in zip(owners, digits, depths, strict=True):
        width = digit.shape[1]
        start = end - (
            _overlap(owners.max(axis=0)[:, :end], digit, depth) if end else 0
        )
        owner[:, start : start + width] = digit
        end = start + width
    return owners[:, :, :end]


def _overlap(left, right, depth):
    """Return how many columns of two images overlap if their ink does by `depth`."""
    a, b = left > 127, right > 127
    both = a.any(axis=1) & b.any(axis=1)
    between = a[:, ::-1].argmax(axis=1) + b.argmax(axis=1)  # free pixels in each row
    overlap = depth + (int(between[both].min()) if both.any() else 0)
    return min(overlap, left.shape[1], right.shape[1])


def accuracy_of_touching(model, n_digits, n_pictures=200):
    pairs = touching(n_digits, n_pictures)
    return float(np.mean([text_of(model, page) == text for page, text in pairs]))


def milliseconds(function, paths):
    """Return the median and the longest time of reading each picture once."""
    times = []
    for path in paths:
        start = time.perf_counter()
        function(path)
        times.append(1000 * (time.perf_counter() - start))
    return np.median(times), max(times)


def print_row(name, *cells):
    print(f"| {name} | {' | '.join(str(cell) for cell in cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append", help="from fit --save; repeatable")
    parser.add_argument("--touching", type=int, default=200, help="pictures of each")
    args = parser.parse_args()
    models = {Path(file).stem: load_pipeline(file) for file in args.model or ()}
    models = models or {"load_pretrained": skmnist.load_pretrained()}
    single, several = read_table(args.folder)

    print_row("pictures", "number", *models)
    print_row("---", *["---"] * (1 + len(models)))
    for kind in sorted({row["kind"] for row in single}):
        rows = [row for row in single if row["kind"] == kind]
        scores = (accuracy_of_single(m, args.folder, rows) for m in models.values())
        print_row(kind, len(rows), *(f"{score:.4f}" for score in scores))
    ways = {
        "one digit, to_mnist_format": to_mnist_format,
        "one digit, resized to 28x28": resized,
        "and inverted where the border is bright": resized_and_inverted,
    }
    for name, prepare in ways.items() if single else ():
        scores = (
            accuracy_of_single(m, args.folder, single, prepare) for m in models.values()
        )
        print_row(name, len(single), *(f"{score:.4f}" for score in scores))
    if several:
        scores = (accuracy_of_several(m, args.folder, several) for m in models.values())
        print_row("several, no error", len(several), *(f"{s:.4f}" for s in scores))
    for n_digits in (2, 3) if args.touching else ():
        scores = (
            accuracy_of_touching(m, n_digits, args.touching) for m in models.values()
        )
        name = f"{n_digits} MNIST digits that touch"
        print_row(name, args.touching, *(f"{score:.4f}" for score in scores))

    if shutil.which("tesseract"):
        for name, rows in ("one digit", single), ("several", several):
            if rows:
                score = accuracy_of_tesseract(args.folder, rows, rows is several)
                print(f"Tesseract, {name}: {score:.4f}", flush=True)
    if importlib.util.find_spec("digit_recognizer"):
        print(
            f"digit-recognizer-py: {accuracy_of_digit_recognizer(args.folder, single)}"
        )

    model = next(iter(models.values()))
    for name, rows, function in (
        ("to_mnist_format", single, to_mnist_format),
        ("find_digits, with the first model", several, lambda p: text_of(model, p)),
    ):
        if rows:
            paths = [Path(args.folder, row["file"]) for row in rows]
            median, longest = milliseconds(function, paths)
            print(f"{name}: {median:.0f} ms a picture (median), {longest:.0f} at most")


if __name__ == "__main__":
    main()
