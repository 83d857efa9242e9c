"""Read labelled pictures of digits and count the errors.

python examples/benchmarks/pictures.py FOLDER --limit 20 --show

FOLDER/labels.csv has the columns file, kind and label: the digits in reading order, a
space between text lines. Labels and readings are aligned by the fewest edits: wrong,
missed and invented digits. Tesseract and RapidOCR are measured where installed.
"""

import argparse
import csv
import io
import os
import re
import shutil
import subprocess
import time
from collections import namedtuple
from functools import partial
from importlib.util import find_spec
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from skmnist import fetch_mnist, load_pipeline, load_pretrained, read_digits

ONE_DIGIT = {"single", "photo", "scan", "paint", "canvas28"}
BINS = (0.0, 0.5, 0.7, 0.9, 0.97, 1.0)

Picture = namedtuple("Picture", "name label content")  # content: path or array
Result = namedtuple("Result", "picture text confidence seconds pairs")


def read_table(folder, kinds=None, limit=None):
    """Return a list of pictures for each kind, in the order of labels.csv."""
    table = {}
    with open(folder / "labels.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            pictures = table.setdefault(row["kind"], [])
            pictures.append(Picture(row["file"], row["label"], folder / row["file"]))
    return {kind: table[kind][:limit] for kind in kinds or table}


def touching(n_digits, n_pictures, seed=0):
    """Generate pages of MNIST test digits that overlap by 1 to 3 pixels, and texts."""
    _, (X, y) = fetch_mnist()
    rng = np.random.default_rng(seed)
    for _ in range(n_pictures):
        chosen = rng.integers(len(X), size=n_digits)
        page = push_together(X[chosen], rng.integers(1, 4, n_digits)).max(axis=0)
        yield np.pad(page, 8), "".join(map(str, y[chosen]))


def push_together(images, depths):
    """Return a (28, width) image of each digit, some pixels into the previous one."""
    digits = [image[:, (image > 127).any(axis=0).nonzero()[0]] for image in images]
    owners = np.zeros((len(digits), 28, sum(d.shape[1] for d in digits)), np.uint8)
    end = 0
    for owner, digit, depth in zip(owners, digits, depths, strict=True):
        left = owners.max(axis=0)[:, :end]
        start = end - (count_shared_columns(left, digit, depth) if end else 0)
        end = start + digit.shape[1]
        owner[:, start:end] = digit
    return owners[:, :, :end]


def count_shared_columns(left, right, depth):
    """Return the number of columns to share so that `depth` pixels of ink overlap."""
    a, b = left > 127, right > 127
    both = a.any(axis=1) & b.any(axis=1)
    between = a[:, ::-1].argmax(axis=1) + b.argmax(axis=1)  # free pixels in each row
    overlap = depth + (int(between[both].min()) if both.any() else 0)
    return min(overlap, left.shape[1], right.shape[1])


def upright(content):
    """Return an RGB image: EXIF orientation applied, transparent areas white."""
    open_image = Image.open if isinstance(content, Path) else Image.fromarray
    image = ImageOps.exif_transpose(open_image(content))
    if "A" in image.getbands() or "transparency" in image.info:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert("RGB")


def read_with_skmnist(content, single, estimator=None, turns=0):
    if turns:
        content = np.rot90(upright(content), turns)
    try:
        reading = read_digits(content, estimator=estimator, single=single)
    except ValueError:
        if not single:
            raise
        return "", []  # single=True rejects a blank picture
    return " ".join(reading.text.split("\n")), reading.confidence.tolist()


def read_with_tesseract(content, single):
    upright(content).save(file := io.BytesIO(), "PNG")
    command = ["tesseract", "-", "-", "--psm", "10" if single else "6"]
    command += ["-c", "tessedit_char_whitelist=0123456789"]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True)
    lines = ["".join(line.split()) for line in done.stdout.decode().splitlines()]
    return " ".join(filter(None, lines)), []


def read_with_rapidocr(engine, content, single):
    """Join the digits of the text boxes in RapidOCR's order; one digit needs no box."""
    image = np.asarray(upright(content))[:, :, ::-1]  # BGR
    output = engine(image, use_det=not single, use_cls=not single, use_rec=True)
    boxes = getattr(output, "boxes", None)
    lines, bottom = [""], np.inf
    for i, text in enumerate(output.txts or ()):
        rows = np.zeros(1) if boxes is None else np.asarray(boxes[i])[:, 1]
        if rows.mean() > bottom:  # otherwise the box continues the text line
            lines.append("")
        bottom = rows.max()
        lines[-1] += re.sub("[^0-9]", "", text)
    return " ".join(filter(None, lines)), []


def align(label, text):
    """Return pairs of characters by the fewest edits; "" is missed or invented."""
    costs = np.add.outer(np.arange(len(label) + 1), np.arange(len(text) + 1))
    for i, expected in enumerate(label):
        for j, read in enumerate(text):
            edits = min(costs[i, j + 1], costs[i + 1, j]) + 1
            costs[i + 1, j + 1] = min(edits, costs[i, j] + (expected != read))
    i, j, pairs = len(label), len(text), []
    while i or j:
        expected, read = label[i - 1 : i], text[j - 1 : j]
        if not j or (i and costs[i, j] == costs[i - 1, j] + 1):
            read = ""
        elif not i or costs[i, j] == costs[i, j - 1] + 1:
            expected = ""
        i, j = i - len(expected), j - len(read)
        pairs.append((expected, read))
    return pairs[::-1]


def cpu_seconds():
    """Return the CPU time of all threads and of finished child processes."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def measure(program, pictures, single=False):
    results = []
    for picture in pictures:
        start = cpu_seconds()
        text, confidence = program(picture.content, single)
        seconds = cpu_seconds() - start
        pairs = align(picture.label.replace(" ", ""), text.replace(" ", ""))
        results.append(Result(picture, text, confidence, seconds, pairs))
    return results


def print_row(*cells, header=False):
    line = f"| {' | '.join(map(str, cells))} |"
    print(f"\n{line}\n|{' --- |' * len(cells)}" if header else line, flush=True)


def print_results(name, results):
    pairs = [pair for result in results for pair in result.pairs]
    missed = sum(read == "" for _, read in pairs)
    invented = sum(expected == "" for expected, _ in pairs)
    wrong = sum(expected != read for expected, read in pairs) - missed - invented
    digits = len(pairs) - invented
    rate = f" ({(wrong + missed + invented) / digits:.1%})" if digits else ""
    exact = [r.text == r.picture.label for r in results]
    in_order = [all(expected == read for expected, read in r.pairs) for r in results]
    shares = [f"{sum(right)} ({np.mean(right):.4f})" for right in (exact, in_order)]
    errors = f"{wrong} + {missed} + {invented} of {digits}{rate}"
    times = [f"{f([r.seconds for r in results]):.3f}" for f in (np.median, max)]
    print_row(name, len(results), *shares, errors, *times)


def print_program(name, program, table):
    """Print the results of a program; return those of each kind."""
    names = "exact", "lines ignored", "wrong + missed + invented", "median CPU s", "max"
    print_row(name, "pictures", *names, header=True)
    program(np.eye(64, dtype=np.uint8) * 255, False)  # load the model before measuring
    found = {}
    for kind, pictures in table.items():
        found[kind] = measure(program, pictures, kind in ONE_DIGIT)
        print_results(kind, found[kind])
        if kind in ONE_DIGIT and name == "skmnist":
            print_results(f"{kind}, without single=True", measure(program, pictures))
    return found


def print_reliability(found):
    """Print the number of digits in each range of confidence, and the share right."""
    ranges = [f"{low} to {high}" for low, high in pairwise(BINS)]
    print_row("confidence", *ranges, header=True)
    for kind, results in {"all": list(chain(*found.values())), **found}.items():
        confidence, right = judge(results)
        numbers = np.histogram(confidence, BINS)[0]
        shares = np.histogram(confidence, BINS, weights=right)[0] / numbers.clip(1)
        cells = zip(numbers, shares, strict=True)
        print_row(kind, *(f"{n} ({share:.3f})" if n else "0" for n, share in cells))


def print_calibration(found):
    """Print slope and offset of a logistic regression on the log odds of confidence.

    Also print how it does on the half of the pictures to which it is not fitted.
    """
    from sklearn.linear_model import LogisticRegression

    results = list(chain(*found.values()))
    confidence, right = map(np.array, judge(results))
    p = np.clip(confidence, 1e-6, 1 - 1e-6)
    odds = np.log(p / (1 - p))[:, np.newaxis]
    if len(set(right)) < 2:
        return
    model = LogisticRegression().fit(odds, right)
    print(f"\nLog odds: {model.coef_[0, 0]:.2f} x + {model.intercept_[0]:.2f}")
    half = np.repeat(range(len(results)), [len(r.confidence) for r in results]) % 2
    calibrated = np.zeros(len(odds))
    for fitted in half == 0, half == 1:
        if len(set(right[fitted])) < 2:
            return
        model.fit(odds[fitted], right[fitted])
        calibrated[~fitted] = model.predict_proba(odds[~fitted])[:, 1]
    sure = calibrated >= 0.9
    print(f"Each half of the pictures calibrated by the other: {sure.sum()} digits")
    print(f"of 0.9 and more, {right[sure].mean():.4f} of them right")


def judge(results):
    """Return the confidence of each digit that was read, and whether it is right."""
    confidence = [value for result in results for value in result.confidence]
    pairs = [pair for result in results for pair in result.pairs if pair[1]]
    return confidence, [float(expected == read) for expected, read in pairs]


def draw_reliability(found, file):
    """Draw the share of right labels over the confidence, in tenths."""
    import matplotlib.pyplot as plt

    confidence, right = judge(list(chain(*found.values())))
    bins = np.linspace(0, 1, 11)
    numbers = np.histogram(confidence, bins)[0]
    shares = np.histogram(confidence, bins, weights=right)[0] / numbers.clip(1)
    figure, axes = plt.subplots(figsize=(4.5, 4), layout="constrained")
    axes.bar(bins[:-1], shares, 0.1, align="edge", edgecolor="white")
    for left, share, number in zip(bins, shares, numbers, strict=False):
        axes.text(left + 0.05, share + 0.01, number, ha="center", fontsize=8)
    axes.plot([0, 1], [0, 1], "k--", linewidth=1)
    axes.set(xlabel="confidence", ylabel="share of right labels", xlim=(0, 1))
    figure.savefig(file, dpi=150)


def print_preparations(model, results):
    """Print the accuracy of three ways to prepare pictures of one digit."""
    labels = np.array([result.picture.label for result in results])
    grey = [upright(result.picture.content).convert("L") for result in results]
    small = [np.asarray(g.resize((28, 28), Image.Resampling.BILINEAR)) for g in grey]
    borders = [np.concatenate([*i[::27], *i[:, ::27].T]).mean() for i in small]
    inverted = [255 - i if b > 127 else i for i, b in zip(small, borders, strict=True)]
    print_row("one digit", "pictures", "accuracy", header=True)
    for name, read in (
        ("read_digits(path, single=True)", [result.text for result in results]),
        ("resized to 28x28", model.predict(np.array(small))),
        ("and inverted if the border is bright", model.predict(np.array(inverted))),
    ):
        print_row(name, len(labels), f"{np.mean(np.array(read, str) == labels):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", nargs="+", help="of labels.csv; default: all")
    parser.add_argument("--limit", type=int, help="pictures of each kind")
    parser.add_argument("--touching", type=int, default=200, help="MNIST pages of each")
    parser.add_argument("--turns", type=int, default=0, help="quarter turns of each")
    parser.add_argument("--model", help="from fit --save; default: the bundled model")
    parser.add_argument("--show", action="store_true", help="list what is not exact")
    parser.add_argument("--alone", action="store_true", help="no other programs")
    parser.add_argument("--diagram", help="write a reliability diagram here")
    args = parser.parse_args()
    estimator = load_pipeline(args.model) if args.model else None
    table = read_table(args.folder, args.kinds, args.limit)
    pages = {}
    for n in (2, 3) if args.touching else ():
        name = f"{n} MNIST digits pushed together"
        pages[name] = [Picture(name, t, page) for page, t in touching(n, args.touching)]

    read = partial(read_with_skmnist, estimator=estimator, turns=args.turns)
    found = print_program("skmnist", read, table | pages)
    found = {kind: found[kind] for kind in table}
    print_reliability(found)
    print_calibration(found)
    if args.diagram:
        draw_reliability(found, args.diagram)
    if singles := list(chain(*(found[kind] for kind in table if kind in ONE_DIGIT))):
        print_preparations(estimator or load_pretrained(), singles)
    for result in chain(*found.values()) if args.show else ():
        if result.text != result.picture.label:
            print(result.picture.name, [result.picture.label, result.text])
    if shutil.which("tesseract") and not args.alone:
        print_program("Tesseract", read_with_tesseract, table | pages)
    if find_spec("rapidocr") and not args.alone:
        from rapidocr import RapidOCR

        print_program(
            "RapidOCR", partial(read_with_rapidocr, RapidOCR()), table | pages
        )


if __name__ == "__main__":
    main()
