"""Tests of parameters: unknown ones are refused where they are written."""

import subprocess
import sys

import keras
import pytest
from sklearn.base import clone

from skmnist import MNISTClassifier, make_pipeline
from skmnist._parameters import ROUTES, Routed, is_routed

UNKNOWN = [
    (MNISTClassifier, "unitz", "; did you mean 'units'?"),
    (MNISTClassifier, "epoch", "; did you mean 'epochs'?"),
    (MNISTClassifier, "optimiser__learning_rate", "; did you mean 'optimizer__learn"),
    (MNISTClassifier, "model", ""),
    (MNISTClassifier, "optimizer_", "; did you mean 'optimizer'?"),
    (MNISTClassifier, "predict__batch_size", "; did you mean 'batch_size'?"),
    (make_pipeline, "epoch", "; did you mean 'epochs'?"),
    (make_pipeline, "scal", "; did you mean 'scale'?"),
    (make_pipeline, "dropuot", "; did you mean 'dropout'?"),
    (make_pipeline, "predict__batch_size", "; did you mean 'batch_size'?"),
]


@pytest.mark.parametrize(("function", "name", "hint"), UNKNOWN)
def test_an_unknown_parameter_is_refused_with_the_nearest_name(function, name, hint):
    with pytest.raises(TypeError) as caught:
        function(**{name: 3})
    expected = f"{function.__name__}() got an unexpected keyword argument {name!r}"
    assert str(caught.value).startswith(expected + hint)
    assert ("did you mean" in str(caught.value)) == bool(hint)


@pytest.mark.parametrize(
    "name", ["x", "y", "initial_epoch", "steps_per_epoch", "validation_data"]
)
def test_what_decides_the_batches_of_an_epoch_is_not_passed_on(name):
    for make in MNISTClassifier, make_pipeline, MNISTClassifier().set_params:
        with pytest.raises(TypeError, match=f"^fit__{name} cannot be passed on"):
            make(**{f"fit__{name}": 3})


def test_routed_is_the_name_of_no_parameter(rows):
    # Not by the constructor: scikit-learn checks that this takes it.
    clf = MNISTClassifier(routed=3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'routed'"):
        clf.fit(*rows[0])


def test_a_refused_set_params_sets_nothing():
    clf = MNISTClassifier()
    before = clf.get_params()
    with pytest.raises(TypeError, match="cannot be passed on"):
        clf.set_params(fit__x=3, fit__validation_freq=2)
    with pytest.raises(ValueError, match="Invalid parameter 'unitz'"):
        clf.set_params(unitz=3)
    assert clf.get_params() == before


def test_routed_parameters_are_cloned_and_set():
    clf = MNISTClassifier(optimizer__learning_rate=0.5, callbacks__0__patience=3)
    copied = clone(clf).set_params(loss__label_smoothing=0.1)
    assert copied.optimizer__learning_rate == 0.5
    assert copied.get_params()["callbacks__0__patience"] == 3
    assert copied.get_params()["loss__label_smoothing"] == 0.1
    pipe = make_pipeline(optimizer__momentum=0.9)
    assert clone(pipe)["classifier"].optimizer__momentum == 0.9


def test_a_subclass_may_have_parameters_of_its_own():
    class Wider(MNISTClassifier):
        def __init__(self, factor=2, **params):
            super().__init__(**params)
            self.factor = factor

    wider = clone(Wider(factor=3, units=8, loss__from_logits=False))
    assert (wider.factor, wider.units, wider.loss__from_logits) == (3, 8, False)
    with pytest.raises(
        TypeError, match=r"Wider\(\) got .* 'unit'; did you mean 'units'"
    ):
        Wider(unit=8)


def test_what_a_type_checker_knows_exists_in_keras():
    def options(*kinds):
        return {name for kind in kinds for name in kind.__init__.__annotations__} | {
            name for kind in kinds for name in kind.__init__.__code__.co_varnames
        }

    schedules = keras.optimizers.schedules
    kinds = {
        "callbacks__": [keras.callbacks.EarlyStopping],
        "loss__": [keras.losses.CategoricalCrossentropy],
        "optimizer__learning_rate__": [
            schedules.CosineDecay,
            schedules.ExponentialDecay,
        ],
        "optimizer__": [
            keras.optimizers.Adam,
            keras.optimizers.RMSprop,
            keras.optimizers.SGD,
        ],
    }
    for name in Routed.__annotations__:
        assert is_routed(name)
        for prefix, classes in kinds.items():
            if name.startswith(prefix):
                assert name.removeprefix(prefix) in options(*classes), name
                break
        else:
            assert name.split("__")[0] in ROUTES


CHECKED = """
from skmnist import MNISTClassifier, make_pipeline
MNISTClassifier(units=3, optimizer__learning_rate=0.1)
make_pipeline(dropout=0.1, optimizer="adam", optimizer__beta_1=0.8)
MNISTClassifier(unitz=3)
make_pipeline(epoch=3)
make_pipeline(optimizer__learning_rat=3)
"""


def test_a_type_checker_tells_before_the_program_runs(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "checked.py").write_text(CHECKED)
    options = ["--no-incremental", "--follow-imports=silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(tmp_path / "checked.py")],
        capture_output=True,
        text=True,
    )
    wrong = [line for line in done.stdout.splitlines() if "checked.py" in line]
    assert [line.split(":")[1] for line in wrong if "error" in line] == ["5", "6", "7"]
