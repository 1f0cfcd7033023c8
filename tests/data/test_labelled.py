"""Labels as classes and codes, parts and joins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rondo.data.labelled import Labelled, Origin, Row, as_list, from_python, in_order, is_missing
from rondo.errors import DataError


def labelled(labels: list[Any] | None, groups: list[Any] | None = None, source: str = "a.csv") -> Labelled:
    count = len(labels or groups or [])
    return Labelled([f"t{i}" for i in range(count)], labels, groups, [Origin(source, i + 2) for i in range(count)])


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        (["10", "9", "2"], ("2", "9", "10")),
        (["b", "a", "b"], ("a", "b")),
        ([3, 1, 2], (1, 2, 3)),
        (["1", "x"], ("1", "x")),
        ([True, False], (False, True)),
    ],
)
def test_classes_are_in_order(labels: list[Any], ordered: tuple[Any, ...]) -> None:
    assert in_order(labels) == ordered
    assert labelled(labels).classes == ordered


def test_codes() -> None:
    data = labelled(["b", "a", "b"])
    assert data.codes().tolist() == [1, 0, 1]
    assert data.codes(("b", "c", "a")).tolist() == [0, 2, 0]
    several = labelled([("b", "a"), (), ("b",)])
    assert several.codes(("b", "c", "a")).tolist() == [[True, False, True], [False, False, False], [True, False, False]]
    with pytest.raises(DataError, match="no labels"):
        labelled(None, ["g"]).codes()


def test_labels_that_training_has_not_seen() -> None:
    data = labelled(["good", "god", "bad", "god"])
    assert data.unseen(["good", "bad"]) == {"god": [1, 3]}
    with pytest.raises(
        DataError, match=r"a\.csv, line 3: the label 'god' was not seen in training \(2 items have it\)"
    ):
        data.codes(["good", "bad"])
    assert labelled([("x", "y"), ("y",)]).unseen(["x"]) == {"y": [0, 1]}


def test_what_the_file_lists_are_classes_too() -> None:
    data = Labelled(["a"], ["2"], None, [Origin("a.ts", 5)], declared=("1", "2", "3"))
    assert data.classes == ("1", "2", "3")
    assert data.select([0]).classes == ("1", "2", "3")


def test_selecting_keeps_what_is_known() -> None:
    part = labelled(["x", "y", "z"], ["g", "h", "i"]).select(np.array([2, 0]))
    assert (part.items, part.labels, part.groups) == (["t2", "t0"], ["z", "x"], ["i", "g"])
    assert part.where(0) == "a.csv, line 4"
    images = Labelled(np.arange(12).reshape(3, 2, 2), None, None, [Origin("", n, "item") for n in (1, 2, 3)])
    assert images.select([1]).items.tolist() == [[[4, 5], [6, 7]]]  # type: ignore[attr-defined]
    assert images.where(2) == "item 3"


def test_joining() -> None:
    whole = Labelled.joined([labelled(["x"]), labelled(["y"], source="b.csv")])
    assert (whole.labels, whole.where(1)) == (["x", "y"], "b.csv, line 2")
    with pytest.raises(DataError, match=r"b\.csv has no labels, a\.csv has"):
        Labelled.joined([labelled(["x"]), labelled(None, ["g"], source="b.csv")])
    arrays = [Labelled(np.full((2, 1), n), None, None, [Origin("f", 1), Origin("f", 2)]) for n in (1, 2)]
    assert np.asarray(Labelled.joined(arrays).items).tolist() == [[1], [1], [2], [2]]


def test_labels_are_there_for_all_or_for_none() -> None:
    rows = [Row("a", "x", None, Origin("f", 1)), Row("b", None, None, Origin("f", 2))]
    assert Labelled.collect(rows).labels is None
    assert Labelled.collect(rows[:1]).labels == ["x"]
    with pytest.raises(DataError, match=r"a\.csv, line 3: this item has a list of labels, those before it one"):
        labelled(["x", ("y",)])
    with pytest.raises(DataError, match=r"a\.csv, line 3: this item has one label, those before it lists"):
        labelled([("x",), "y"])


def test_labels_from_python() -> None:
    assert from_python(["a", "b"], np.array([1, 0])).labels == [1, 0]
    assert from_python(["a", "b"], [["x"], {"y"}]).labels == [("x",), ("y",)]
    rows = from_python(["a", "b"], np.array([[0, 1, 1], [0, 0, 0]]))
    assert (rows.labels, rows.several) == ([(1, 2), ()], True)
    with pytest.raises(DataError, match="0 or 1 for each class"):
        from_python(["a"], np.array([[0, 2]]))
    assert as_list(np.float64(2.0)) == [2.0]
    assert [is_missing(value) for value in (None, float("nan"), 0, "", "x")] == [True, True, False, False, False]
