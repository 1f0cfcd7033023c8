from __future__ import annotations

import pytest

from rondo.errors import UsageError
from rondo.tasks.poetry.forms import (
    OTHER,
    QIJUE,
    QILV,
    WUJUE,
    WULV,
    Form,
    detect_form,
    get_form,
    normalise_marks,
    split_lines,
)
from rondo.tasks.poetry.script import canonical, script_of, to_script, to_simplified, to_traditional


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("五言絕句", WUJUE),
        ("五言绝句", WUJUE),
        ("五绝", WUJUE),
        ("wujue", WUJUE),
        ("5x4", WUJUE),
        ("5×4", WUJUE),
        ("七絕", QIJUE),
        ("QiJue", QIJUE),
        ("4x7", QIJUE),
        ("五律", WULV),
        ("七言律诗", QILV),
        ("qi-lü", QILV),
        ("other", OTHER),
        ("其他", OTHER),
    ],
)
def test_names_of_forms(name: str, form: Form) -> None:
    assert get_form(name) is form


def test_an_unknown_form_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'qijue'"):
        get_form("qijeu")


@pytest.mark.parametrize(
    ("name", "meant"), [("七言绝", "七言绝句"), ("五言律", "五言律诗"), ("七言絕", "七言绝句"), ("七絶詩", "七")]
)
def test_a_form_half_said_is_refused(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"unknown verse form '{name}'; did you mean '{meant}"):
        get_form(name)


@pytest.mark.parametrize(
    ("widths", "form"),
    [
        ([5] * 4, WUJUE),
        ([7] * 4, QIJUE),
        ([5] * 8, WULV),
        ([7] * 8, QILV),
        ([7] * 6, OTHER),
        ([5, 5, 5, 7], OTHER),
        ([], OTHER),
    ],
)
def test_detection(widths: list[int], form: Form) -> None:
    assert detect_form(["山" * width for width in widths]) is form


def test_punctuation() -> None:
    lines = split_lines("白日依山尽，黄河入海流；欲穷千里目？\n更上一层楼")
    assert WUJUE.punctuate(lines) == "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
    assert len(WUJUE.punctuate(lines)) == WUJUE.length == 24


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("甲乙、丙丁；戊己！", "甲乙，丙丁，戊己。"),
        ("甲乙\n丙丁\n戊己\n庚辛", "甲乙，丙丁。戊己，庚辛。"),
        ("甲乙，\n丙丁?", "甲乙，丙丁。"),
        ("甲乙", "甲乙。"),
        ("。，", ""),
    ],
)
def test_marks_are_normalised(text: str, expected: str) -> None:
    assert normalise_marks(text) == expected


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("黄河远上白云间一片孤城万仞山", "simplified"),
        ("黃河遠上白雲間一片孤城萬仞山", "traditional"),
        ("明月", None),
        ("皇后", None),
    ],
)
def test_script_is_told(text: str, script: str | None) -> None:
    assert script_of(text) == script


def test_conversion_uses_phrases_and_common_forms() -> None:
    assert to_traditional("然后皇后见白云") == "然後皇后見白雲"
    assert to_traditional("群峯爲誰") == "群峰為誰"
    assert to_simplified("明月松間照") == "明月松间照"
    assert to_script("樓", "simplified") == "楼"
    assert to_script("樓", "traditional") == "樓"


def test_the_script_can_be_told() -> None:
    assert to_traditional("人云", script="traditional") == "人云"
    assert to_traditional("白云", script="simplified") == "白雲"
    with pytest.raises(UsageError, match="did you mean 'simplified'"):
        to_traditional("云", script="simplfied")


def test_variants_become_one_form_and_keep_the_length() -> None:
    text = "疎踈劒劎釼峯爲羣牀啓却慙徧汚秘祕"
    found = canonical(text)
    assert found == "疏疏劍劍劍峰為群床啟卻慚遍污祕祕"
    assert canonical(found) == found
