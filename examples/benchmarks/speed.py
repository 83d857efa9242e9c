"""Time skmnist and its peers on the first lesson: MNIST, 784-512-512-10, batch 32.

Each system runs in its own process, from uint8 images to labels, in turn, and this is
repeated. TensorFlow is imported before the clock starts. For comparison, the floor of
the machine is the time of the multiplications of the epochs alone, at the rate that
NumPy reaches on a large float32 product in the same run.

    python examples/benchmarks/speed.py --repeats 3 --picture speed.svg
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from skmnist import fetch_mnist, flatten_and_scale

# Options of `compile` for each way to run Keras.
KERAS = {
    "Keras": {},
    "Keras, compiled": {"steps_per_execution": 64, "jit_compile": True},
    "Keras on JAX": {},
}
SYSTEMS = ["skmnist", *KERAS, "scikeras", "MLPClassifier", "skorch"]
# Packages that are not needed otherwise.
PACKAGES = {"Keras on JAX": "jax", "skorch": "skorch"}
WEIGHTS = 784 * 512 + 512 * 512 + 512 * 10
# Per image and epoch: a product in the forward pass, one for the gradient of the
# weights, and, except in the first layer, one for the gradient of the layer's input.
FLOP_PER_IMAGE = 2 * (3 * WEIGHTS - 784 * 512)


def keras_network(units=512, options=None):
    """Return the lesson's network, compiled with options of `compile`."""
    import keras

    layers = [
        keras.Input((784,)),
        keras.layers.Dense(units, "relu"),
        keras.layers.Dense(units, "relu"),
        keras.layers.Dense(10, "softmax"),
    ]
    network = keras.Sequential(layers)
    loss = "categorical_crossentropy"
    network.compile("rmsprop", loss, metrics=["accuracy"], **options or {})
    return network


class KerasAlone:
    """The lesson in plain Keras, with the methods of a pipeline."""

    def __init__(self, epochs, options):
        self.epochs, self.options = epochs, options

    def fit(self, X, y):
        self.network = keras_network(options=self.options)
        self.network.fit(
            flatten_and_scale(X), np.eye(10)[y], 32, epochs=self.epochs, verbose=0
        )
        return self

    def predict(self, X):
        return self.network.predict(flatten_and_scale(X), verbose=0).argmax(axis=1)


def behind_preprocessing(classifier):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(flatten_and_scale), classifier)


def make(system, epochs):
    """Return an untrained model, with all that it needs imported."""
    if system == "skmnist":
        from skmnist import make_pipeline

        return make_pipeline(epochs=epochs)
    if system in KERAS:
        if system == "Keras on JAX":
            os.environ["KERAS_BACKEND"] = "jax"
        import keras  # noqa: F401

        return KerasAlone(epochs, KERAS[system])
    if system == "scikeras":
        from scikeras.wrappers import KerasClassifier

        return behind_preprocessing(
            KerasClassifier(
                keras_network,
                loss="categorical_crossentropy",
                batch_size=32,
                epochs=epochs,
                verbose=0,
            )
        )
    if system == "MLPClassifier":
        from sklearn.neural_network import MLPClassifier

        return behind_preprocessing(
            MLPClassifier((512, 512), batch_size=32, max_iter=epochs)
        )
    import skorch
    from torch import nn, optim

    network = nn.Sequential(
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    )
    return behind_preprocessing(
        skorch.NeuralNetClassifier(
            network,
            criterion=nn.CrossEntropyLoss,
            optimizer=optim.RMSprop,
            lr=1e-3,
            batch_size=32,
            max_epochs=epochs,
            train_split=None,
            iterator_train__shuffle=True,
            verbose=0,
        )
    )


def seconds(function, *args, repeats=1):
    """Return the median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def run(system, epochs):
    """Measure one system in this process."""
    warnings.simplefilter("ignore")  # scikeras' and that MLPClassifier is not converged
    (X, y), (X_test, y_test) = fetch_mnist()
    y = y.astype(np.int64)  # the only labels that skorch takes
    model = make(system, epochs)
    found = {"fit": seconds(model.fit, X, y)}
    found["accuracy"] = float(np.mean(model.predict(X_test) == y_test))
    found["one image"] = seconds(model.predict, X_test[:1], repeats=50)
    found["10,000 images"] = seconds(model.predict, X_test, repeats=5)
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if system == "skmnist":
        found["second fit"] = seconds(model.fit, X, y)
        one = seconds(model.set_params(classifier__epochs=1).fit, X, y)
        found["epoch"] = (found["second fit"] - one) / (epochs - 1)
        found["outside epochs"] = one - found["epoch"]
        found["growth"] = memory_growth(X[:5000], y[:5000])
    return found


def memory_growth(X, y):
    """Return by how many MB the process grows from the 3rd to the 30th small fit."""
    from skmnist import make_pipeline

    for number in range(30):
        make_pipeline(epochs=1).fit(X, y)
        if number == 2:
            before = resident_memory()
    return resident_memory() - before


def resident_memory():
    """Return how many MB of memory this process takes now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20


def floor(epochs):
    """Return the time of the epochs' multiplications, as fast as NumPy is here."""
    n = 4096
    a = np.random.default_rng(0).random((n, n), dtype=np.float32)
    a @ a
    rate = 2 * n**3 / seconds(np.matmul, a, a, repeats=5)
    return {"fit": epochs * 60000 * FLOP_PER_IMAGE / rate, "GFLOP/s": rate / 1e9}


def in_a_process(script, name, *options):
    """Return what one part of a script measures in a process of its own."""
    command = [sys.executable, script, "--run", name, *options]
    process = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def print_json(found):
    """Print what `in_a_process` reads."""
    print(json.dumps(found))


def available(system):
    package = PACKAGES.get(system)
    return package is None or importlib.util.find_spec(package) is not None


def spread(values, scale=1, digits=1):
    low, middle, high = (
        f"{scale * f(values):.{digits}f}" for f in (min, statistics.median, max)
    )
    return f"{middle} ({low} - {high})"


def report(results, epochs):
    def column(system, name):
        return [found[name] for found in results[system]]

    def ratio(system, name):
        own = statistics.median(column("skmnist", name))
        return f"{statistics.median(column(system, name)) / own:.1f}"

    print(describe_machine(len(results["floor"])))
    print("x: how many times skmnist's\n")
    print(
        f"| system | {epochs} epochs, s | x | one image, ms | x | 10,000 images, s | x"
        " | peak memory, MB | x | test accuracy |"
    )
    print("|" + " --- |" * 10)
    columns = [
        ("fit", 1, 1),
        ("one image", 1e3, 2),
        ("10,000 images", 1, 3),
        ("memory", 1, 0),
    ]
    for system in results:
        if system != "floor":
            cells = [
                f"{spread(column(system, name), scale, digits)} | {ratio(system, name)}"
                for name, scale, digits in columns
            ]
            accuracy = spread(column(system, "accuracy"), digits=4)
            print(f"| {system} | {' | '.join(cells)} | {accuracy} |")
    least = column("floor", "fit")
    epoch = column("skmnist", "epoch")
    print(
        f"| floor | {spread(least)} | {ratio('floor', 'fit')} |" + " |" * 7,
        f"\nNumPy's product: {spread(column('floor', 'GFLOP/s'), digits=0)} GFLOP/s",
        f"skmnist's epoch: {spread(epoch, digits=2)} s,"
        f" {statistics.median(epoch) / statistics.median(least) * epochs:.2f}"
        " times the floor",
        f"second fit, outside its epochs: "
        f"{spread(column('skmnist', 'outside epochs'), digits=2)} s",
        f"growth of memory from the 3rd to the 30th fit of 5,000 images: "
        f"{spread(column('skmnist', 'growth'))} MB",
        sep="\n",
    )


def describe_machine(runs):
    with open("/proc/cpuinfo") as info:
        names = [line.split(":")[1] for line in info if line.startswith("model name")]
    packages = ["scikit-learn", "scikeras", "keras", "tensorflow", "numpy"]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    return (
        f"{names[0].strip()}, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}, {', '.join(versions)};"
        f" median (min - max) of {runs} runs in turn"
    )


def draw(results, epochs, file):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 0.5 * len(results) + 1))
    for place, (system, found) in enumerate(reversed(results.items())):
        times = [one["fit"] for one in found]
        middle = statistics.median(times)
        axes.barh(place, middle, color="tab:grey" if system == "floor" else "tab:blue")
        axes.plot(times, [place] * len(times), "k|")
        axes.text(max(times), place, f"  {middle:.1f} s", va="center")
    axes.set_yticks(range(len(results)), reversed(results))
    axes.set_xlabel(f"seconds for {epochs} epochs, from uint8 images")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(file, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--picture", help="write a picture here, too")
    parser.add_argument("--run", choices=[*SYSTEMS, "floor"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        measure = (
            floor(args.epochs) if args.run == "floor" else run(args.run, args.epochs)
        )
        print_json(measure)
        return
    systems = [*filter(available, args.systems), "floor"]
    results = {system: [] for system in systems}
    for repeat in range(args.repeats):
        for system in systems:
            results[system].append(
                in_a_process(__file__, system, "--epochs", str(args.epochs))
            )
            print(
                f"run {repeat + 1} of {args.repeats}: {system} "
                f"{results[system][-1]['fit']:.1f} s",
                file=sys.stderr,
            )
    report(results, args.epochs)
    if args.picture:
        draw(results, args.epochs, args.picture)


if __name__ == "__main__":
    main()
