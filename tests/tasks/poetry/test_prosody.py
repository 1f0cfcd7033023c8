"""Worked examples with well-known poems, and faults put into them one at a time."""

from __future__ import annotations

import pytest

from rondo.tasks.poetry.prosody import Tone, is_regulated, rhyme_table, rhyme_test, tone_test

STORK_TOWER = ["白日依山盡", "黃河入海流", "欲窮千里目", "更上一層樓"]
# 杜牧 山行: the first line rhymes.
MOUNTAIN_WALK = ["遠上寒山石徑斜", "白雲生處有人家", "停車坐愛楓林晚", "霜葉紅於二月花"]
# 杜甫 春望
SPRING_VIEW = [
    "國破山河在",
    "城春草木深",
    "感時花濺淚",
    "恨別鳥驚心",
    "烽火連三月",
    "家書抵萬金",
    "白頭搔更短",
    "渾欲不勝簪",
]
# 柳宗元 江雪: an old-style quatrain that rhymes in the entering tone.
RIVER_SNOW = ["千山鳥飛絕", "萬徑人蹤滅", "孤舟簑笠翁", "獨釣寒江雪"]


def names(character: str) -> list[str]:
    return [group.name for group in rhyme_table().readings(character)]


def test_the_table_has_106_groups_of_which_30_are_level() -> None:
    groups = rhyme_table().groups
    assert len(groups) == 106
    assert [group.index for group in groups if group.level] == list(range(30))
    assert len({group.name[-1] for group in groups}) == 106


@pytest.mark.parametrize(
    ("character", "tone", "groups"),
    [
        ("東", Tone.LEVEL, ["一東"]),
        ("东", Tone.LEVEL, ["一東"]),
        ("月", Tone.OBLIQUE, ["六月"]),
        ("看", Tone.BOTH, ["十四寒", "十五翰"]),
        ("樓", Tone.LEVEL, ["十一尤"]),
        ("楼", Tone.LEVEL, ["十一尤"]),
        ("先", Tone.BOTH, ["十七霰", "一先"]),
        ("啼", Tone.LEVEL, ["八齊"]),  # from the supplement
        ("峯", Tone.LEVEL, ["二冬"]),  # a variant of 峰
        ("发", Tone.OBLIQUE, ["六月"]),  # 發 and 髮
        ("a", Tone.UNKNOWN, []),
        ("作", Tone.OBLIQUE, ["七遇", "二十一箇", "十藥"]),  # not 十七洽, where a web page's footer had put it
    ],
)
def test_readings(character: str, tone: Tone, groups: list[str]) -> None:
    assert rhyme_table().tone(character) is tone
    assert names(character) == groups


def test_a_simplified_character_has_all_readings_of_those_it_stands_for() -> None:
    assert set(names("历")) == set(names("歷")) | set(names("曆"))
    assert rhyme_table().tone("当") is Tone.BOTH


@pytest.mark.parametrize("poem", [STORK_TOWER, MOUNTAIN_WALK, SPRING_VIEW], ids=lambda poem: poem[0])
def test_recent_style_verse_passes(poem: list[str]) -> None:
    rhyme, tone = rhyme_test(poem), tone_test(poem)
    assert rhyme.right
    assert tone.right
    assert tone.strict
    assert tone.unknown == rhyme.unknown == 0
    assert is_regulated(poem)


def test_simplified_lines_pass_as_well() -> None:
    lines = ["白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼"]
    assert rhyme_test(lines).right
    assert tone_test(lines).right


def test_the_group_and_the_first_line_are_told() -> None:
    assert [rhyme_table().groups[index].name for index in rhyme_test(MOUNTAIN_WALK).groups] == ["六麻"]
    assert rhyme_test(MOUNTAIN_WALK).first_line
    assert not rhyme_test(STORK_TOWER).first_line


def test_an_entering_tone_rhyme_is_not_a_level_one() -> None:
    assert rhyme_test(RIVER_SNOW).right is False
    assert is_regulated(RIVER_SNOW) is False


def test_a_rhyme_that_hangs_on_an_unknown_character_is_undecided() -> None:
    eight = [*SPRING_VIEW]
    eight[1] = eight[1][:-1] + "Z"
    assert rhyme_test(eight).right is None
    assert rhyme_test(eight).unknown == 1
    eight[3] = eight[3][:-1] + "月"  # wrong, whatever the other one is
    assert rhyme_test(eight).right is False
    four = [*STORK_TOWER]
    four[1] = four[1][:-1] + "Z"
    assert rhyme_test(four).right is None


@pytest.mark.parametrize(
    ("line", "position", "character", "violations"),
    [
        (1, 2, "山", ((1, 2),)),
        (3, 4, "山", ((3, 4),)),
        (4, 2, "山", ((4, 2),)),
        (1, 1, "山", ()),  # an odd place is free
        (1, 3, "月", ()),
        (1, 2, "看", ()),  # both tones
        (1, 2, "Z", ()),  # outside the table
        (1, 3, "Z", ()),  # the same, in a free place
    ],
)
def test_one_exchanged_character(
    line: int, position: int, character: str, violations: tuple[tuple[int, int], ...]
) -> None:
    poem = [*STORK_TOWER]
    poem[line - 1] = poem[line - 1][: position - 1] + character + poem[line - 1][position:]
    found = tone_test(poem)
    assert found.violations == violations
    assert found.right is (None if character == "Z" and position % 2 == 0 else not violations)
    assert found.unknown == (character == "Z")


def test_lines_must_oppose_within_a_couplet_and_agree_across() -> None:
    first, second, third, fourth = STORK_TOWER
    assert tone_test([first, fourth, third, second]).right is False  # no opposition
    assert tone_test([first, second, fourth, third]).right is False  # no agreement
    assert tone_test([third, fourth, first, second]).right  # the other opening


def test_three_level_endings_are_told_apart() -> None:
    poem = [*STORK_TOWER]
    poem[3] = "更上千層樓"
    found = tone_test(poem)
    assert found.right
    assert found.three_level == (4,)
    assert found.strict is False


def test_the_lone_level_is_told_apart() -> None:
    # 平平仄仄平 with an oblique first character, not made up for by a level third one.
    poem = [*STORK_TOWER]
    poem[1] = "碧河入海流"
    assert tone_test(poem).lone_level == (2,)
    poem[1] = "碧河來海流"
    assert tone_test(poem).lone_level == ()


@pytest.mark.parametrize("lines", [[], ["白日依山盡"], ["白日依山盡", "黃河入海"], ["秋風起兮白雲飛飛"] * 4])
def test_no_verdict_where_the_rule_does_not_apply(lines: list[str]) -> None:
    assert tone_test(lines).right is None
    assert is_regulated(lines) is None
