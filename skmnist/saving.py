"""Save and load fitted pipelines; the ending of a file's name decides the format.

``.joblib`` keeps the whole pipeline, for further training; loading it runs code.
``.skops`` and ``.onnx`` keep what predicts, and run no code.
"""

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmnist._io import reading, replacing
from skmnist.preprocessing import flatten_and_scale

# Slow imports (scikit-learn, TensorFlow) are made where they are used.
if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# Packages that write and read each format.
_PACKAGES = {
    ".joblib": ("joblib", "joblib"),
    ".skops": ("skops", "skops"),
    ".onnx": ("skl2onnx", "onnxruntime"),
}
# All other types in an exported pipeline are scikit-learn's own.
_TRUSTED = ["skmnist.preprocessing.flatten_and_scale"]


def save_pipeline(pipeline: "Pipeline", file: str | os.PathLike[str]) -> None:
    """Save a fitted pipeline to a file.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        Fitted, from :func:`~skmnist.make_pipeline`.
    file : str or path-like
        Its ending decides the format. ``.joblib``: the whole pipeline, for further
        training. ``.skops`` and ``.onnx``: the pipeline as
        :func:`~skmnist.to_sklearn` converts it, which predicts without TensorFlow.

    Raises
    ------
    ValueError
        If the file's name has another ending.
    ImportError
        If a package that writes this format is missing.
    OSError
        If the file cannot be written. An older file of that name is then unchanged.

    Examples
    --------
    >>> from skmnist import save_pipeline
    >>> save_pipeline(pipe, "digits.skops")  # doctest: +SKIP
    """
    file = Path(file)
    _require(file, writing=True)
    # Of a link, the file that it points to is replaced.
    with replacing(file.resolve()) as temporary:
        _write(pipeline, temporary)


def load_pipeline(file: str | os.PathLike[str]) -> Any:
    """Load a pipeline that :func:`save_pipeline` saved.

    .. warning::
        A ``.joblib`` file is a pickle: loading it runs the code that it holds. Load
        only files that you trust. ``.skops`` and ``.onnx`` files run no code.

    Parameters
    ----------
    file : str or path-like
        File whose name ends in ``.joblib``, ``.skops`` or ``.onnx``.

    Returns
    -------
    Pipeline or OnnxPipeline
        Has `predict`, `predict_proba` and `classes_`, and takes images as the saved
        pipeline did.

    Raises
    ------
    ValueError
        If the file does not hold a pipeline, is corrupt, or has another ending.
    ImportError
        If a package that reads this format is missing.

    Examples
    --------
    >>> from skmnist import load_pipeline
    >>> pipe = load_pipeline("digits.skops")  # doctest: +SKIP
    """
    file = Path(file)
    _require(file, writing=False)
    open(file, "rb").close()  # The system's own message if the file is missing.
    with reading(f"{file} is not a saved pipeline, or is truncated or corrupt"):
        model = _read(file)
        model.predict_proba, model.classes_  # noqa: B018
    return model


def check_savable(file: Path) -> None:
    """Raise what :func:`save_pipeline` would raise, before a pipeline is trained."""
    _require(file, writing=True)
    check_writable(file)


def check_writable(file: Path) -> None:
    """Raise OSError if `file` is not a file, or its folder cannot be written to."""
    if file.exists() and not file.is_file():
        raise OSError(f"{file} exists, and is not a file")
    folder = file.resolve().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        problem = "cannot be written to" if folder.is_dir() else "does not exist"
        raise OSError(f"{file}: the folder {folder} {problem}")


class OnnxPipeline:
    """A pipeline in an ONNX file of :func:`save_pipeline`, evaluated by onnxruntime."""

    def __init__(self, file: str | os.PathLike[str]):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(
            os.fspath(file), providers=["CPUExecutionProvider"]
        )
        notes = self.session.get_modelmeta().custom_metadata_map
        self.scale = float(notes["scale"])
        self.classes_ = np.array(json.loads(notes["classes"]))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict the probability of each class of images."""
        name = self.session.get_inputs()[0].name
        return self.session.run(None, {name: flatten_and_scale(X, self.scale)})[-1]

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the labels of images."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _require(file: Path, *, writing: bool) -> None:
    """Raise an error if the file's ending is unknown or its package is missing."""
    if file.suffix not in _PACKAGES:
        endings = ", ".join(_PACKAGES)
        raise ValueError(f"{file}: the name must end in one of {endings}")
    writer, reader = _PACKAGES[file.suffix]
    package = writer if writing else reader
    if find_spec(package) is None:
        raise ImportError(f"{file} requires {package}: pip install 'skmnist[ship]'")


def _write(pipeline: Any, file: Path) -> None:
    """Write a pipeline in the format of the file's ending."""
    if file.suffix == ".joblib":
        import joblib

        joblib.dump(pipeline, file)
        return
    from skmnist.export import to_sklearn

    exported = to_sklearn(pipeline)
    if file.suffix == ".skops":
        import skops.io

        skops.io.dump(exported, file)
    else:
        _write_onnx(exported, file)


def _read(file: Path) -> Any:
    """Read a pipeline in the format of the file's ending."""
    if file.suffix == ".joblib":
        import joblib

        return joblib.load(file)
    if file.suffix == ".skops":
        import skops.io

        return skops.io.load(file, trusted=_TRUSTED)
    return OnnxPipeline(file)


def _write_onnx(exported: Any, file: Path) -> None:
    from skl2onnx import to_onnx

    if list(exported.named_steps) != ["preprocess", "classifier"]:
        raise ValueError(".onnx keeps pipelines of make_pipeline only; use .skops")
    mlp = exported["classifier"]
    row = np.zeros((1, mlp.n_features_in_), np.float32)
    model = to_onnx(mlp, row, options={"zipmap": False})
    # The graph starts after preprocessing, and its outputs are numbered, not labelled.
    notes = {
        "classes": mlp.classes_.tolist(),
        "scale": exported["preprocess"].kw_args["scale"],
    }
    for name, value in notes.items():
        model.metadata_props.add(key=name, value=json.dumps(value))
    file.write_bytes(model.SerializeToString())
