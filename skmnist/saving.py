"""Fitted pipelines in files, of the kind that a file's name ends in.

``.joblib`` keeps all of a pipeline, to go on training; reading it runs whatever code it
holds. ``.skops`` and ``.onnx`` keep what predicts, and run no code.
"""

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmnist._io import reading, replacing
from skmnist.preprocessing import flatten_and_scale

# What is slow to import is imported where it is used.

# What writing and reading each kind takes.
_MODULES = {
    ".joblib": ("joblib", "joblib"),
    ".skops": ("skops", "skops"),
    ".onnx": ("skl2onnx", "onnxruntime"),
}
# All else in an exported pipeline is scikit-learn's own.
_TRUSTED = ["skmnist.preprocessing.flatten_and_scale"]


class OnnxPipeline:
    """An ONNX file that predicts like the pipeline it was made of.

    Parameters
    ----------
    file : str or path-like
        Written by :func:`save`; or by skl2onnx, without ``zipmap``, from the last step
        of what :func:`skmnist.to_sklearn` returns.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels: whole numbers from 0 if the file has no note of others.
    """

    def __init__(self, file: str | os.PathLike[str]):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(
            os.fspath(file), providers=["CPUExecutionProvider"]
        )
        notes = self.session.get_modelmeta().custom_metadata_map
        n_classes = self.session.get_outputs()[-1].shape[-1]
        self.scale = float(notes.get("scale", 255))
        self.classes_ = np.array(
            json.loads(notes["classes"]) if "classes" in notes else range(n_classes)
        )

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict the probability of each class of images as they come."""
        rows = flatten_and_scale(X, self.scale)
        name = self.session.get_inputs()[0].name
        return self.session.run(None, {name: rows})[-1]

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict labels of images as they come."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def check_savable(file: Path) -> None:
    """Refuse a file that cannot be written, before anything is trained.

    Raises
    ------
    ValueError
        If its name ends in no known kind.
    ImportError
        If a package that writes this kind is missing.
    OSError
        If it is no file, or its folder cannot be written to.
    """
    _require(file, _kind(file)[0])
    check_writable(file)


def check_writable(file: Path) -> None:
    """Refuse a file that is none, or whose folder cannot be written to."""
    if file.exists() and not file.is_file():
        raise OSError(f"{file} exists, and is not a file")
    folder = file.resolve().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        problem = "cannot be written to" if folder.is_dir() else "does not exist"
        raise OSError(f"{file}: the folder {folder} {problem}")


def save(pipeline: Any, file: Path) -> None:
    """Write a fitted pipeline beside a file, then put it in its place in one step.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        What :func:`skmnist.make_pipeline` gives, fitted.
    file : path
        Its ending says what is written: ``.joblib``, ``.skops`` or ``.onnx``.

    Raises
    ------
    ValueError, ImportError or OSError
        As of :func:`check_savable`. An older file of the name is then as it was.
    """
    writer, _ = _kind(file)
    _require(file, writer)
    file = file.resolve()  # of a link, what it points to
    try:
        with replacing(file) as temporary:
            _WRITERS[writer](pipeline, temporary)
    except OSError as error:
        raise OSError(
            f"cannot save {file}: {error.strerror or error}; make room there, or save"
            " to another folder"
        ) from error


def load(file: Path) -> Any:
    """Read what predicts from a file, by its ending.

    Parameters
    ----------
    file : path
        Written by :func:`save`. Of ``.joblib``, only what you trust.

    Returns
    -------
    Pipeline or OnnxPipeline
        With `predict`, `predict_proba` and `classes_`.

    Raises
    ------
    ValueError
        If its name ends in no known kind, or it holds no pipeline, or is cut short.
    ImportError
        If a package that reads this kind is missing.
    OSError
        If it cannot be read.
    """
    _, reader = _kind(file)
    _require(file, reader)
    with open(file, "rb"):  # a missing file is said so by the system
        pass
    with reading(f"{file} is not a pipeline written by --save, or is cut short"):
        model = _READERS[reader](file)
        model.predict_proba, model.classes_  # noqa: B018
    return model


def _kind(file: Path) -> tuple[str, str]:
    """Return the modules that write and read files of this ending."""
    if file.suffix not in _MODULES:
        *most, last = _MODULES
        raise ValueError(
            f"{file}: expected a name that ends in {', '.join(most)} or {last}"
        )
    return _MODULES[file.suffix]


def _require(file: Path, module: str) -> None:
    if find_spec(module) is None:
        raise ImportError(f"{file} takes {module}: pip install 'skmnist[ship]'")


def _write_joblib(pipeline: Any, file: Path) -> None:
    import joblib

    joblib.dump(pipeline, file)


def _write_skops(pipeline: Any, file: Path) -> None:
    import skops.io

    from skmnist.export import to_sklearn

    skops.io.dump(to_sklearn(pipeline), file)


def _write_onnx(pipeline: Any, file: Path) -> None:
    from skl2onnx import to_onnx

    from skmnist.export import to_sklearn

    mlp = to_sklearn(pipeline)["classifier"]
    row = np.zeros((1, mlp.n_features_in_), np.float32)
    model = to_onnx(mlp, row, options={"zipmap": False})
    # The first step is no part of it, and the numbers of its outputs are not labels.
    notes = {
        "classes": mlp.classes_.tolist(),
        "scale": pipeline["preprocess"].kw_args["scale"],
    }
    for name, value in notes.items():
        model.metadata_props.add(key=name, value=json.dumps(value))
    file.write_bytes(model.SerializeToString())


def _read_joblib(file: Path) -> Any:
    import joblib

    return joblib.load(file)


def _read_skops(file: Path) -> Any:
    import skops.io

    return skops.io.load(file, trusted=_TRUSTED)


_WRITERS = {"joblib": _write_joblib, "skops": _write_skops, "skl2onnx": _write_onnx}
_READERS = {"joblib": _read_joblib, "skops": _read_skops, "onnxruntime": OnnxPipeline}
