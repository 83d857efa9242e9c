"""scikit-learn's estimator checks, with a strict table of expected failures.

``parametrize_with_checks`` is strict from scikit-learn 1.8 on only; use it when 1.8 is
the oldest version supported.
"""

from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from skmnist import MNISTClassifier, make_pipeline

# Left out on other Pythons.
pytestmark = pytest.mark.long

# Check: why it fails.
SCIKERAS = {
    "check_mixin_order": (
        "looks at scikeras' class bodies: its KerasClassifier puts BaseWrapper, and so"
        " BaseEstimator, before ClassifierMixin"
    ),
    "check_estimator_tags_renamed": (
        "looks at scikeras' class bodies, which define _more_tags only"
    ),
    "check_sample_weight_equivalence_on_dense_data": (
        "a repeated sample is two samples of a mini-batch, one of weight 2 is one:"
        " training in mini-batches cannot pass it"
    ),
}
PIPELINE = dict.fromkeys(
    ("check_estimators_overwrite_params", "check_dont_overwrite_parameters"),
    "each Pipeline fails it, because it fits the steps it was given",
)

CONFIGURATIONS = {
    "default": (MNISTClassifier(), SCIKERAS),
    "Adam": (MNISTClassifier(optimizer="adam", dropout=0.2), SCIKERAS),
    # The checks do not set a random_state inside a pipeline.
    "pipeline": (make_pipeline(64, scale=1.0, random_state=0), PIPELINE),
}


def cases():
    """Return each check of each configuration, marked if it is expected to fail."""
    for configuration, (estimator, expected) in CONFIGURATIONS.items():
        for instance, check in estimator_checks_generator(estimator):
            name = check.func.__name__
            reason = expected.get(name)
            marks = []
            if reason is not None:
                marks.append(pytest.mark.xfail(reason=reason, strict=True))
            if name == "check_methods_sample_order_invariance":
                marks.append(pytest.mark.bits)
            yield pytest.param(
                instance, check, id=f"{configuration}-{name}", marks=marks
            )


@pytest.mark.parametrize(("estimator", "check"), list(cases()))
def test_estimator_check_passes_or_fails_as_expected(estimator, check):
    try:
        check(estimator)
    except SkipTest as skipped:
        # The packages that checks need belong to the test extra.
        if "not installed" in str(skipped):
            pytest.fail(str(skipped))
        raise


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_expected_failures_are_names_of_checks(configuration):
    estimator, expected = CONFIGURATIONS[configuration]
    names = {check.func.__name__ for _, check in estimator_checks_generator(estimator)}
    assert expected.keys() <= names
