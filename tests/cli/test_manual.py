"""The page about the command line says what the options are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rondo.cli import generate
from rondo.cli.arguments import Group
from rondo.cli.help import default_of
from rondo.cli.train import groups
from rondo.tasks.registry import TASKS

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def rows(section: str) -> list[tuple[str, str]]:
    """Option and default, as the section's tables name them."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [
        (flag, default.strip().strip("`"))
        for flags, default in re.findall(r"^\| (`--[^|]*) \|([^|]*)\|", text, re.MULTILINE)
        for flag in re.findall(r"--[a-z-]+", flags)
    ]


@pytest.mark.parametrize(("section", "found"), [("train", groups(TASKS["text"])), ("generate", generate.groups())])
def test_defaults_on_the_page_are_those_of_the_options(section: str, found: list[Group]) -> None:
    options = {option.flag: default_of(option) for group in found for option in group.options}
    told = rows(section)
    assert len(told) > 5
    for flag, default in told:
        assert flag in options, flag
        if options[flag] and default and default[0].isdigit():
            assert options[flag] in re.split(r"[ ,:]+", default), flag


def test_the_page_has_numbers_to_hold() -> None:
    assert dict(rows("train"))["--learning-rate"] == "0.006"
