"""Kill processes while they save, store epochs or download; check what they leave.

python examples/benchmarks/kills.py --kills 200

Each process first reads the files of the one before, and compares them with what it
must find. Then it writes again and again until it is killed at a random moment; every
other one at a random moment after an unfinished file appeared. With ``SKMNIST_DATA``
set, downloads from a server on this machine are killed, too.
"""

import argparse
import contextlib
import hashlib
import http.server
import io
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Keras reads it once, when it is imported.
os.environ["KERAS_HOME"] = tempfile.mkdtemp()

import joblib
import numpy as np

from skmnist import (
    MNISTClassifier,
    datasets,
    fetch_mnist,
    load_digits_28x28,
    load_pipeline,
    make_pipeline,
    save_pipeline,
)

(IMAGES, LABELS), _ = load_digits_28x28(random_state=0)
ROWS = IMAGES[:64].reshape(64, -1).astype(np.float32) / 255
EPOCHS = 6


class Save:
    """Save two pipelines in turn over the same file."""

    def __init__(self, folder, ending):
        self.folder, self.file = folder / "saved", folder / "saved" / f"model{ending}"
        self.models = folder / "models.joblib"
        self.folder.mkdir()

    def prepare(self):
        pipes = [make_pipeline(512, 1, random_state=seed) for seed in (0, 1)]
        for pipe in pipes:
            pipe.fit(IMAGES[:100], LABELS[:100])
        save_pipeline(pipes[0], self.file)
        joblib.dump([(pipe, pipe.predict_proba(IMAGES)) for pipe in pipes], self.models)

    def check(self):
        self.known = joblib.load(self.models)
        proba = load_pipeline(self.file).predict_proba(IMAGES)
        assert any(np.allclose(proba, known, atol=1e-5) for _, known in self.known)

    def write(self):
        for pipe, _ in self.known:
            save_pipeline(pipe, self.file)

    def unfinished(self):
        return [*self.folder.glob(".*")]


class StoreEpochs:
    """Fit with an epoch cache; delete its epochs, and fit again."""

    def __init__(self, folder, ending):
        self.folder = folder / "epoch_cache"

    def fit(self, seed, cache):
        clf = MNISTClassifier(512, epochs=EPOCHS, random_state=seed, epoch_cache=cache)
        return clf.fit(ROWS, LABELS[:64])

    def kept(self):
        """Return the files of the stored epochs, with a digest of each."""
        files = self.folder.glob("skmnist-epochs/[!.]*")
        return {file: hashlib.sha256(file.read_bytes()).digest() for file in files}

    def prepare(self):
        self.fit(0, self.folder)
        joblib.dump(self.kept(), self.folder / "before")
        fits = [self.fit(seed, None) for seed in (0, 1)]
        weights = [fit.model_.get_weights() for fit in fits]
        joblib.dump(weights, self.folder / "weights")

    def check(self):
        # The epochs from before the kills are there; the killed fit can be continued.
        self.before = joblib.load(self.folder / "before")
        assert self.before.items() <= self.kept().items()
        for seed, weights in enumerate(joblib.load(self.folder / "weights")):
            fit = self.fit(seed, self.folder)
            for array, known in zip(fit.model_.get_weights(), weights, strict=True):
                np.testing.assert_array_equal(array, known)

    def write(self):
        for file in self.kept().keys() - self.before.keys():
            file.unlink()
        self.fit(1, self.folder)

    def unfinished(self):
        return [*self.folder.glob("skmnist-epochs/.*")]


class Download:
    """Download MNIST into Keras' cache; remove it, and download again."""

    def __init__(self, folder, ending):
        content = Path(os.environ["SKMNIST_DATA"]).read_bytes()
        self.size, self.file = (
            len(content),
            Path(os.environ["KERAS_HOME"], "datasets", "mnist.npz"),
        )

        class Server(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                try:
                    for start in range(0, len(content), 2**19):
                        self.wfile.write(content[start : start + 2**19])
                        time.sleep(0.02)
                except ConnectionError:  # the process was killed
                    pass

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        datasets._URL = f"http://127.0.0.1:{server.server_port}"

    def prepare(self):
        pass

    def check(self):
        os.environ.pop("SKMNIST_DATA", None)
        self.fetch()

    def write(self):
        self.file.unlink()
        self.fetch()

    def fetch(self):
        with contextlib.redirect_stdout(io.StringIO()):  # Keras' progress
            fetch_mnist()  # which compares checksums

    def unfinished(self):
        with contextlib.suppress(FileNotFoundError):  # it may be removed just now
            if self.file.stat().st_size < self.size:
                return [self.file]
        return []


# The class; the most seconds that it may write; the most seconds that it may write
# after an unfinished file appeared.
KINDS = {
    ".joblib": (Save, 0.3, 0.01),
    ".skops": (Save, 0.3, 0.002),
    ".onnx": (Save, 0.3, 0.0005),
    "epoch_cache": (StoreEpochs, 0.5, 0.001),
    "download": (Download, 1.5, 0.4),
}


def start(*calls):
    """Run calls in a process, the last again and again; write a byte after each."""
    reading, writing = os.pipe()
    if process := os.fork():
        os.close(writing)
        return process, reading
    try:
        for call in calls:
            call()
            os.write(writing, b".")
        while True:
            calls[-1]()
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def run(*calls):
    """Run calls in a process, once each."""
    process, reading = start(*calls, signal.pause)
    for call in calls:
        if not os.read(reading, 1):
            sys.exit(f"{call.__qualname__} failed")
    os.close(reading)
    return process


def end(process):
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def kill(kind, kills, rng):
    """Kill processes of a kind, and return how many were writing."""
    make, seconds, more = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        task = make(Path(folder), kind)
        end(run(task.prepare))
        hits = most = 0
        for number in range(kills):
            before = {*task.unfinished()} if kind != "download" else set()
            process, reading = start(task.check, task.write)
            if not os.read(reading, 1):
                sys.exit(f"{kind}: not whole after a kill")
            time.sleep(rng.uniform(0, seconds))
            if number % 2:
                while not {*task.unfinished()} - before:
                    pass
                time.sleep(rng.uniform(0, more))
            end(process)
            os.close(reading)
            left = {*task.unfinished()}
            hits += bool(left - before)
            most = max(most, len(left))
        end(run(task.check, task.write))
    print(
        f"{kind:8}  {kills:3d} kills, {hits:3d} while writing; all was whole;"
        f" at most {most} unfinished files",
        flush=True,
    )
    return hits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--kills", type=int, default=200, help="in all (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    kinds = args.kinds or [
        kind for kind in KINDS if kind != "download" or os.environ.get("SKMNIST_DATA")
    ]
    rng = random.Random(args.seed)
    shares = np.diff(np.arange(len(kinds) + 1) * args.kills // len(kinds))
    hits = [kill(kind, n, rng) for kind, n in zip(kinds, shares.tolist(), strict=True)]
    print(f"{args.kills} kills, {sum(hits)} while writing")
    if args.kills >= 10 and not sum(hits):
        sys.exit("no process was killed while writing")


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(os.environ["KERAS_HOME"])
