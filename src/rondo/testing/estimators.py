"""Which of scikit-learn's checks an estimator of Rondo's does not pass, and why.

    @parametrize_with_checks([SignalClassifier()], expected_failed_checks=expected_failed_checks)
    def test_the_checks_of_scikit_learn(estimator, check):
        check(estimator)

For estimators whose items are no rows of numbers scikit-learn stops after the checks of tags; `all_checks` has the
others, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import estimator_checks

ITEMS = {
    "TextClassifier": "a text is a string, and the check fits rows of numbers",
    "Tagger": "a sentence is a list of tokens, and the check fits rows of numbers",
    "DigitClassifier": "an image is square, and the check fits rows of 2, 3, 5 or 10 numbers",
}
"""Why rows of numbers are refused, by estimator."""

_ROWS = (
    "check_fit_score_takes_y", "check_estimators_overwrite_params", "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self", "check_readonly_memmap_input", "check_estimators_dtypes", "check_dtype_object",
    "check_pipeline_consistency", "check_estimators_pickle", "check_f_contiguous_array_estimator",
    "check_methods_sample_order_invariance", "check_methods_subset_invariance", "check_dict_unchanged",
    "check_fit_idempotent", "check_fit_check_is_fitted", "check_n_features_in", "check_fit2d_predict1d",
)  # fmt: skip
_ROWS_WITH_CLASSES = (
    "check_classifier_data_not_an_array", "check_classifiers_one_label", "check_classifiers_classes",
    "check_classifiers_train", "check_classifiers_multilabel_representation_invariance",
    "check_classifiers_multilabel_output_format_predict", "check_classifiers_multilabel_output_format_predict_proba",
    "check_classifiers_multilabel_output_format_decision_function", "check_supervised_y_2d",
    "check_class_weight_classifiers",
)  # fmt: skip
_MESSAGES = (
    "check_estimators_empty_data_messages", "check_estimators_nan_inf", "check_estimator_sparse_tag",
    "check_estimator_sparse_array", "check_estimator_sparse_matrix", "check_fit2d_1sample",
)  # fmt: skip
"""Checks of the words with which rows are refused that are empty, infinite, sparse, or alone."""

_OWN = {
    "TextClassifier": (("check_positive_only_tag_during_fit",), ("check_fit2d_1feature",)),
    "Tagger": (("check_positive_only_tag_during_fit",), ("check_fit2d_1feature", "check_complex_data")),
    "DigitClassifier": ((), ()),
}
"""Further checks of both sorts."""


def expected_failed_checks(estimator: BaseEstimator) -> dict[str, str]:
    """The names of the checks, each with the reason."""
    kind = type(estimator).__name__
    if kind in ITEMS:
        rows, messages = _OWN[kind]
        classes = () if kind == "Tagger" else _ROWS_WITH_CLASSES
        words = f"{ITEMS[kind]}; they are refused, in words about what it takes, not about rows"
        return {
            **dict.fromkeys((*_ROWS, *classes, *rows), ITEMS[kind]),
            **dict.fromkeys((*_MESSAGES, *messages), words),
        }
    if estimator.get_params().get("precision") == "64":
        return {}
    return {
        "check_methods_subset_invariance": (
            "in 32 bits a sum is rounded otherwise in a batch of another size: probabilities differ by some 1e-7, "
            "and the check allows 1e-7. With precision='64' it passes."
        ),
    }


def all_checks(estimator: BaseEstimator) -> list[tuple[str, Callable[[], Any]]]:
    """All checks that scikit-learn has for an estimator of rows of numbers, by name, to be run on this one."""
    kind = type(estimator)

    class OfRows(kind):  # type: ignore[misc, valid-type]
        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.input_tags.two_d_array, tags.input_tags.string = True, False
            return tags

    found = estimator_checks._yield_all_checks(OfRows(**estimator.get_params(deep=False)), legacy=True)
    return [(getattr(check, "func", check).__name__, partial(check, kind.__name__, estimator)) for check in found]
