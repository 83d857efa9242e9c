"""What TensorFlow prints on its own, in fresh processes."""

import os
import subprocess
import sys

import pytest

FIT = """
import numpy as np
from skmnist import make_pipeline

X, y = np.zeros((64, 28, 28), np.uint8), np.arange(64) % 2
X[::2] = 255
make_pipeline(4, 1).fit(X, y).predict(X)
"""


def run(code, **variables):
    """Run a script, and return what it printed: output and errors."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_a_fit_and_a_copy_of_it_print_nothing():
    code = "import pickle\nfrom skmnist import load_pretrained\n" + FIT
    code += "pickle.loads(pickle.dumps(load_pretrained(trainable=True))).predict(X)"
    assert run(code) == ("", "")


@pytest.mark.parametrize(
    ("code", "variables"),
    [(FIT, {"TF_CPP_MIN_LOG_LEVEL": "0"}), ("import tensorflow\n" + FIT, {})],
    ids=["level of the user's own", "TensorFlow imported before"],
)
def test_who_decides_otherwise_sees_all(code, variables):
    assert "XLA service" in run(code, **variables)[1]


@pytest.mark.parametrize("level", ["1", "3"])
def test_a_higher_level_of_the_users_own_stays(level):
    code = FIT + "import os\nprint(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    assert run(code, TF_CPP_MIN_LOG_LEVEL=level) == (f"{level}\n", "")


def test_nothing_is_left_behind_for_processes_started_later():
    code = "import os\nbefore = dict(os.environ)\n" + FIT
    code += "print({k for k, v in os.environ.items() if before.get(k) != v})"
    output, _ = run(code)
    assert "TF_CPP_MIN_LOG_LEVEL" not in output


def test_remarks_are_held_back_and_all_else_is_shown():
    lines = [
        "I0000 00:00:1.2 1 port.cc:153] oneDNN custom operations are on.",
        "2025-01-01 00:00:00.000000: I tensorflow/core/util/port.cc:153] oneDNN",
        "E0000 00:00:1.2 1 cuda_platform.cc:52] failed call to cuInit: ERROR (303)",
        "E0000 00:00:1.2 1 cuda_dnn.cc:1] Unable to register cuDNN factory: one has",
        "W0000 00:00:1.2 1 gpu_device.cc:1] Cannot dlopen some GPU libraries.",
        "E0000 00:00:1.2 1 cuda_platform.cc:52] failed call to cuInit: ERROR (999)",
        "F0000 00:00:1.2 1 cpu_feature_guard.cc:1] compiled to use AVX instructions",
        "Traceback (most recent call last):",
    ]
    code = f"""
import os, sys
from skmnist._keras import without_remarks

try:
    with without_remarks():
        os.write(2, {chr(10).join(lines)!r}.encode())
        print("", file=sys.stderr)
        raise KeyError
except KeyError:
    print("shown", file=sys.stderr)
os.close(2)
with without_remarks():
    print("no standard error")
"""
    output, errors = run(code)
    assert errors.splitlines() == [*lines[4:], "shown"]
    assert output == "no standard error\n"
