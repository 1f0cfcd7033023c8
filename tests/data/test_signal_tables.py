"""Signals in tables with named columns: JSON lines, and a row a step; and their errors with their place."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rondo.data.signals import SignalFormat, iter_signals, read_signals
from rondo.errors import DataError, UsageError

STEPS = """who,time,run,ax,ay,label
ann,0.0,a,1,2,walk
ann,0.1,a,3,,walk
bob,0,b,5,6,run
cat,7,c,7,8,walk
cat,8,c,9,10,walk
cat,9,c,11,12,walk
"""
FORMAT = SignalFormat(series_column="run", time_column="time", group_column="who")


def written(folder: Path, text: str, name: str = "a.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_a_row_a_step(mark: str, tmp_path: Path) -> None:
    data = read_signals(written(tmp_path, STEPS.replace(",", mark)), FORMAT)
    assert [len(item) for item in data.items] == [2, 1, 3]
    np.testing.assert_array_equal(data.items[0], np.array([[1, 2], [3, np.nan]], np.float32))
    assert (data.labels, data.groups) == (["walk", "run", "walk"], ["ann", "bob", "cat"])
    assert data.where(2).endswith("a.csv, line 5")


def test_columns_without_a_role_are_channels(tmp_path: Path) -> None:
    text = STEPS.replace("ann", "1").replace("bob", "2").replace("cat", "3")
    data = read_signals(written(tmp_path, text), SignalFormat(series_column="run", label_column="6"))
    assert data.items[0].shape == (2, 4)
    assert data.groups is None
    unlabelled = SignalFormat(series_column="run", label_column="none", time_column="time", group_column="who")
    without = "\n".join(line.rpartition(",")[0] for line in STEPS.splitlines())
    assert read_signals(written(tmp_path, without), unlabelled, labelled=False).labels is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bob,0,b", "bob,0,a", r"line 4: the signal 'a' has 'run' here and 'walk' before"),
        ("cat,9,c", "ann,9,a", r"line 7: the signal 'a' goes on here after others"),
        ("cat,8,c", "cat,6,c", r"line 6: the time falls from 7 to 6"),
        ("5,6,run", "5,x,run", r"line 4, column 5: 'x' is no number.*--group-column, --time-column"),
        ("5,6,run", "5,6,", r"line 4: there is no class"),
        ("5,6,run", "5,run", r"line 4: 5 cells, where the first line has 6"),
        ("run,ax", "ride,ax", r"no column 'run' \(--series-column\)"),
    ],
)
def test_errors_in_tables_of_steps_name_the_place(old: str, new: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read_signals(written(tmp_path, STEPS.replace(old, new, 1)), FORMAT)


def test_a_time_without_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--time-column is for tables with a row a step"):
        read_signals(written(tmp_path, STEPS), SignalFormat(time_column="time"))


RECORDS: list[dict[str, Any]] = [
    {"id": 1, "values": [1, 2.5, None], "label": "a", "who": "x"},
    {"id": 2, "values": [3], "label": "b", "who": "y"},
]


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
def test_json_lines(name: str, tmp_path: Path) -> None:
    data = read_signals(written(tmp_path, lines(RECORDS), name), SignalFormat(group_column="who"))
    np.testing.assert_array_equal(data.items[0], np.array([[1], [2.5], [np.nan]], np.float32))
    assert (data.labels, data.groups) == (["a", "b"], ["x", "y"])
    listed = read_signals(written(tmp_path, json.dumps(RECORDS), "b.json"))
    assert listed.labels == ["a", "b"]


def test_channels_and_names_in_json(tmp_path: Path) -> None:
    record = {"motion": [[1, 2], [3, 4], [5, 6]], "action": 7}
    data = read_signals(written(tmp_path, lines([record])), SignalFormat(values="motion", label_column="action"))
    np.testing.assert_array_equal(data.items[0], [[1, 2], [3, 4], [5, 6]])
    assert data.labels == ["7"]
    rows = list(iter_signals(io.StringIO(lines([{"values": [1, 2]}]))))
    assert (rows[0].label, rows[0].item.tolist()) == (None, [[1], [2]])


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"values": [1, "x"], "label": "a"}, r"line 2: expected a list of numbers"),
        ({"values": [[1], [2, 3]], "label": "a"}, r"line 2: expected a list of numbers"),
        ({"values": [], "label": "a"}, r"line 2: expected a list of numbers"),
        ({"values": [1e300], "label": "a"}, r"line 2: a value is infinite or too large"),
        ({"values": [1], "label": None}, r"line 2: there is no class in 'label'"),
        ({"values": [1]}, r"line 2: there is no 'label'"),
        ({"label": "a"}, r"line 2: there is no 'values'"),
    ],
    ids=str,
)
def test_errors_in_json_name_the_place(record: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read_signals(written(tmp_path, lines([RECORDS[0], record])))


def test_json_without_values_asks_for_their_name(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"which name is that of the values\? Say it, --values NAME; there are a, label"
    ):
        read_signals(written(tmp_path, lines([{"a": [1], "label": 1}])))
