"""Options from flat names, from sections and back; what is wrong with them is said in the user's words."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np
import pytest

from rondo.errors import UsageError
from rondo.tasks.documented import field_helps
from rondo.tasks.options import converted, defaults, from_flat, option_names, to_sections
from rondo.tasks.registry import TASKS
from rondo.tasks.text.options import TextOptions


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_name_stands_in_one_section_only(task: str) -> None:
    kind = TASKS[task].options
    sections = get_type_hints(kind)
    names = Counter(field.name for section in sections.values() for field in fields(section))
    names.update(list(sections))

    assert {name for name, count in names.items() if count > 1} == set()
    assert set(option_names(kind)) == set(names) - set(sections)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_resolved_options_can_be_written_down_and_read_again(task: str) -> None:
    options = from_flat(TASKS[task].options, {"steps": 7, "hidden": 33, "betas": [0.8, 0.99], "valid_fraction": 0.2})

    saved = json.loads(json.dumps(to_sections(options)))

    assert from_flat(TASKS[task].options, saved) == options
    assert options.training.betas == (0.8, 0.99)
    assert options != defaults(TASKS[task].options)
    assert saved["model"]["hidden"] == 33


def test_a_toml_file_gives_the_same_flat_and_in_sections() -> None:
    flat = tomllib.loads('cell = "gru"\nsteps = 5\nminutes = 2\nlearning-rate = 1e-2\nlocked-dropout = true\n')
    tables = tomllib.loads(
        '[model]\ncell = "gru"\nlocked-dropout = true\n[training]\nsteps = 5\nminutes = 2\nlearning-rate = 1e-2\n'
    )

    options = from_flat(TextOptions, flat)

    assert from_flat(TextOptions, tables) == options
    assert (options.model.cell, options.training.steps, options.training.minutes) == ("gru", 5, 2.0)
    assert options.model.locked_dropout is True


def test_options_are_laid_on_top_of_others() -> None:
    base = from_flat(TextOptions, {"hidden": 40, "steps": 3})
    above = from_flat(TextOptions, {"steps": 9}, base=base)
    assert (above.model.hidden, above.training.steps, base.training.steps) == (40, 9, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hiden": 3}, "options.toml: unknown option 'hiden'; did you mean 'hidden'?"),
        ({"learning-rat": 3}, "unknown option 'learning-rat'; did you mean 'learning_rate'?"),
        ({"hidden": 2.5}, "hidden needs a whole number, not 2.5"),
        ({"hidden": True}, "hidden needs a whole number, not True"),
        ({"hidden": None}, "hidden needs a whole number, not None"),
        ({"learning_rate": "fast"}, "learning_rate needs a number, not 'fast'"),
        ({"locked_dropout": 1}, "locked_dropout needs true or false, not 1"),
        ({"cell": 5}, "cell needs text, not 5"),
        ({"level": "letters"}, "level cannot be 'letters'; .*characters"),
        ({"betas": [0.9]}, r"betas needs 2 values, not \[0.9\]"),
        ({"betas": 0.9}, "betas needs 2 values, not 0.9"),
        ({"betas": ["a", 0.9]}, "betas needs a number, not 'a'"),
        ({"training": 5}, "unknown option 'training'"),
        ({"training": {"hiden": 1}}, "unknown option 'hiden'"),
        ({"steps": 0}, "--steps must be at least 1"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_flat(TextOptions, given, source="options.toml")


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [
        (None, int | None, None), (3, int | None, 3), (3, float, 3.0), (np.int64(3), int, 3), (False, bool, False),
        ("b", Literal["a", "b"], "b"), (2, Literal[1, 2] | None, 2), (np.float32(0.5), float, 0.5),
        (Path("a/b.txt"), str | None, "a/b.txt"), ([1, 2], tuple[float, float], (1.0, 2.0)),
    ],
)  # fmt: skip
def test_values_become_what_the_option_is(value: Any, kind: Any, result: Any) -> None:
    found = converted(value, kind, "x")
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_option_has_a_line_of_help(task: str) -> None:
    for section in get_type_hints(TASKS[task].options).values():
        helps = field_helps(section)
        assert [field.name for field in fields(section) if not helps.get(field.name)] == []


def test_any_number_of_values() -> None:
    for given, expected in ((["a", "b"], ("a", "b")), ("a", ("a",)), ((), ())):
        assert converted(given, tuple[str, ...], "past") == expected
    with pytest.raises(UsageError, match="past needs text, not 3"):
        converted(["a", 3], tuple[str, ...], "past")
