"""Tests of examples/benchmarks/pictures.py."""

import csv
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from skmnist import read_digits


@pytest.fixture
def benchmark(monkeypatch):
    """Return the benchmark as a module."""
    folder = Path(__file__).parents[1] / "examples" / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    import pictures

    return pictures


@pytest.mark.parametrize(
    ("label", "text", "pairs"),
    [
        ("12", "12", ["11", "22"]),
        ("123", "13", ["11", "2", "33"]),
        ("", "7", ["7"]),
        ("123", "1938", ["11", "29", "33", "8"]),
    ],
)
def test_align_edits_are_fewest(benchmark, label, text, pairs):
    assert ["".join(pair) for pair in benchmark.align(label, text)] == pairs


# The benchmark resizes dark ink on light paper as it is.
@pytest.mark.filterwarnings("ignore:Most of the images have a bright border")
def test_main_folder_of_labels_prints_each_kind(
    benchmark, tmp_path, capsys, monkeypatch
):
    rows = [
        ("file", "kind", "label"),
        ("1.png", "single", "1"),
        ("2.png", "multi", "2"),
    ]
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    for name, *_ in rows[1:]:
        picture = Image.new("L", (100, 100), "white")
        ImageDraw.Draw(picture).line([(50, 20), (50, 80)], width=7)
        picture.save(tmp_path / name)
    assert read_digits(tmp_path / "2.png").text == "1"
    arguments = [str(tmp_path), "--touching=0", "--show", "--alone"]
    monkeypatch.setattr("sys.argv", ["pictures.py", *arguments])
    benchmark.main()
    printed = capsys.readouterr().out
    assert "| single | 1 | 1 (1.0000) | 1 (1.0000) | 0 + 0 + 0 of 1 (0.0%) |" in printed
    assert (
        "| multi | 1 | 0 (0.0000) | 0 (0.0000) | 1 + 0 + 0 of 1 (100.0%) |" in printed
    )
    assert "\n2.png ['2', '1']\n" in printed
