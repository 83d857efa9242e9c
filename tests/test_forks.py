"""Tests of processes that are forked."""

import subprocess
import sys

import pytest

FORK = """
import multiprocessing, sys
from skmnist import load_digits_28x28, make_pipeline, to_sklearn

(X, y), (A, b) = load_digits_28x28(random_state=0)
pipe = make_pipeline(16, 1, random_state=0)
if sys.argv[1] == "used":
    pipe.fit(X, y)
calls = {"fit": pipe.fit}
if sys.argv[1] == "used":
    calls |= {"score": pipe.score, "to_sklearn": to_sklearn(pipe).score}
for name, call in calls.items():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        try:
            result = pool.apply_async(call, (A, b)).get(timeout=120)
        except RuntimeError as error:
            result = error
    print(name, type(result).__name__, "spawn" in str(result))
if sys.argv[1] == "used":
    print(pipe.score(A, b) > 0.1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="TensorFlow and forks, on Linux")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "used",
            [
                "fit RuntimeError True",
                "score RuntimeError True",
                "to_sklearn float False",
                "True",
            ],
        ),
        ("not used", ["fit Pipeline False"]),
    ],
)
def test_a_forked_process_answers_or_says_why_not(before, expected):
    process = subprocess.run(
        [sys.executable, "-c", FORK, before], capture_output=True, text=True
    )
    assert process.stdout.splitlines() == expected, process.stderr
