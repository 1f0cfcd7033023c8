"""The Chinese pages say the same as the English ones, as far as that can be counted, and have the same code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import REPOSITORY, blocks

CHINESE = sorted((REPOSITORY / "docs" / "zh-CN").glob("*.md"))
CODE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"(?ms)^```.*?^```")
TRANSLATED = {"(N, T, channels)", "(N, height, width)"}
"""Words within code that are translated."""


def english(page: Path) -> str:
    return (REPOSITORY / "docs" / page.name).read_text(encoding="utf-8")


def quoted(text: str) -> set[str]:
    """What stands in code within the text: options, names, values."""
    return {found for found in CODE.findall(" ".join(FENCED.sub("", text).split())) if found.isascii()}


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_chinese_pages_have_the_code_of_the_english(page: Path) -> None:
    theirs, ours = (list(blocks(text)) for text in (english(page), page.read_text(encoding="utf-8")))
    assert [block.code for block in ours] == [block.code for block in theirs]
    assert [block.not_run for block in ours] == [block.not_run for block in theirs]


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_chinese_pages_name_what_the_english_name(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named, expected = quoted(text), quoted(english(page))
    assert expected - named <= TRANSLATED
    assert named <= expected
    headings = [re.findall(r"(?m)^#+ ", own) for own in (text, english(page))]
    assert headings[0] == headings[1]
    rows = [len(re.findall(r"(?m)^\|", own)) for own in (text, english(page))]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_pages_lead_to_each_other(page: Path) -> None:
    assert f"[中文](zh-CN/{page.name})" in english(page)
    assert f"[English](../{page.name})" in page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+?)\)", FENCED.sub("", page.read_text(encoding="utf-8"))):
        assert (page.parent / link).exists(), link
