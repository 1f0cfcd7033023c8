"""Scikit-learn's checks for estimators whose items are no rows of numbers: those that apply pass, the others cannot.

Which they are and why stands in `rondo.testing.estimators`, and, for people, in docs/scikit-learn.md.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import clone

import rondo
from rondo.testing.estimators import ITEMS, all_checks, expected_failed_checks

QUICK: dict[str, Any] = {"hidden": 3, "steps": 1, "evaluations": 1, "cell": "min_gru", "threads": 1}
ESTIMATORS = {
    "TextClassifier": rondo.TextClassifier(**QUICK),
    "DigitClassifier": rondo.DigitClassifier(**QUICK),
    "Tagger": rondo.Tagger(**QUICK),
}
PAGE = Path(__file__).parents[2] / "docs" / "scikit-learn.md"


def numbered(kind: str) -> list[Any]:
    """Some checks come several times, with other data."""
    return [pytest.param(kind, n, id=f"{kind}-{name}-{n}") for n, (name, _) in enumerate(all_checks(ESTIMATORS[kind]))]


@pytest.mark.parametrize(("kind", "number"), [one for kind in ESTIMATORS for one in numbered(kind)])
def test_a_check_passes_or_does_not_apply(kind: str, number: int) -> None:
    name, check = all_checks(clone(ESTIMATORS[kind]))[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name not in expected_failed_checks(ESTIMATORS[kind]):
            check()
            return
        with pytest.raises(Exception, match=r"\S"):  # of many kinds: what counts is that it cannot pass
            check()


@pytest.mark.parametrize("kind", ITEMS)
def test_the_page_names_them_all(kind: str) -> None:
    section = re.search(rf"## `{kind}`\n(.*?)(?=\n## |\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert section is not None
    assert set(re.findall(r"`(check_\w+)`", section[1])) == set(expected_failed_checks(ESTIMATORS[kind]))
    assert ITEMS[kind].partition(",")[0] in " ".join(section[1].lower().split())
