from __future__ import annotations

import pytest

from rondo.errors import UsageError
from rondo.tasks.poetry.corpus import Corpus
from rondo.tasks.poetry.evaluate import LABELS, PoemSet, Share, compare, evaluate_poems, has_format
from rondo.tasks.poetry.forms import FIXED_FORMS, QIJUE, WUJUE
from rondo.tasks.poetry.memory import LineMemory

STORK_TOWER = "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。"
RIVER_SNOW = "千山鳥飛絕，萬徑人蹤滅。孤舟簑笠翁，獨釣寒江雪。"
MOUNTAIN_WALK = "遠上寒山石徑斜，白雲生處有人家。停車坐愛楓林晚，霜葉紅於二月花。"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (STORK_TOWER, True),
        (STORK_TOWER[:-1], False),
        (STORK_TOWER.replace("，", "。"), False),
        (STORK_TOWER + "白", False),
        (STORK_TOWER.replace("白日", "白"), False),
        (STORK_TOWER[:12], False),
        (MOUNTAIN_WALK, False),
        ("", False),
        (STORK_TOWER.replace("樓", "\U0002a6a5"), True),  # rare, but Han
        (STORK_TOWER.replace("樓", "Z"), False),
        ("abcde，fghij。klmno，pqrst。", False),
        ("１２３４５，あいうえお。ㄅㄆㄇㄈㄉ，□□□□□。", False),
    ],
)
def test_format(text: str, right: bool) -> None:
    assert has_format(text, WUJUE) is right


def test_counts_by_hand() -> None:
    poems = PoemSet(
        [STORK_TOWER, RIVER_SNOW, MOUNTAIN_WALK, STORK_TOWER[:12]],
        [WUJUE, WUJUE, QIJUE, WUJUE],
    )
    training = LineMemory.of(["黄河入海流，更上一层楼。", "萬徑人蹤滅。"])
    scores = evaluate_poems(poems, training=training)
    assert scores.poems == 4
    assert scores.format_right == Share(3, 4)
    assert scores.rhyme_right == Share(2, 3)
    assert scores.tone_right == Share(2, 3)
    assert scores.all_right == Share(2, 4)
    assert scores.undecided == Share(0, 4)
    assert scores.rhyme_right_regulated == Share(2, 2)
    assert scores.rhyme_right_old_style == Share(0, 1)
    assert scores.first_line_rhymes == Share(1, 2)
    assert scores.three_level_endings == scores.lone_levels == Share(0, 2)
    assert scores.unknown_characters == Share(0, 78)
    # 黃河入海流 stands in the whole poem and in the half one; the training part is in another script.
    assert scores.copied_lines == Share(4, 14)
    assert scores.repeated_characters == Share(0, 78)
    assert scores.repeated_rhymes == Share(0, 3)
    assert scores.distinct_1.of == 78
    assert scores.distinct_1.count == len(set("".join(poems.texts)) - set("，。"))
    assert scores.distinct_2.of == 78 - 4


def test_faults_are_found() -> None:
    faulty = [
        "白日依山盡，黃河入海流。欲窮千里目，更上千層樓。",  # 三平尾
        "白日依山盡，碧河入海流。欲窮千里目，更上一層樓。",  # 孤平
        "白日依山盡，黃河入海流。欲窮千里目，更上一層流。",  # the rhyme twice
        "白日依山樓，黃河入海流。欲窮千里目，更上一層樓。",  # the same, in the first line; 三平尾 again
        "白日依山盡，黃河入海\U0002a6a5。欲窮千里目，更上一層樓。",  # outside the table
    ]
    scores = evaluate_poems(PoemSet(faulty, [None] * 5))
    assert scores.format_right == Share(5, 5)
    assert scores.tone_right == Share(5, 5)
    assert scores.three_level_endings == Share(2, 5)
    assert scores.lone_levels == Share(1, 5)
    assert scores.repeated_rhymes == Share(2, 5)
    assert scores.rhyme_right == Share(4, 4)
    assert scores.all_right == Share(4, 4)
    assert scores.undecided == Share(1, 5)
    assert scores.unknown_characters == Share(1, 100)
    assert scores.repeated_characters == Share(3, 100)
    assert scores.copied_lines.rate is None


RARE = "\U0002a6a5"


def test_what_cannot_be_told_is_not_right() -> None:
    poems = [
        f"{RARE * 5}，{RARE * 5}。{RARE * 5}，{RARE * 5}。",  # nothing is in the table
        STORK_TOWER.replace("日", RARE),  # a position that decides the tones
        STORK_TOWER.replace("日", RARE).replace("流", "水"),  # the rhyme is wrong in any case
        STORK_TOWER.replace("白", RARE),  # decides nothing
        "abcde，fghij。klmno，pqrst。",
    ]
    scores = evaluate_poems(PoemSet(poems, [None] * 5))
    assert scores.format_right == Share(4, 5)
    assert scores.rhyme_right == Share(2, 3)
    assert scores.tone_right == Share(1, 1)
    assert scores.all_right == Share(1, 3)
    assert scores.undecided == Share(2, 5)
    nothing = evaluate_poems(PoemSet(poems[:1], [None]))
    assert (nothing.all_right.rate, nothing.undecided.rate) == (None, 1.0)


def test_a_comparison_counts_distinct_over_the_same_length() -> None:
    sets = {
        "short": PoemSet([STORK_TOWER], [WUJUE]),
        "long": PoemSet([STORK_TOWER, RIVER_SNOW, STORK_TOWER], [WUJUE] * 3),
    }
    comparison = compare(sets)
    assert comparison.distinct_over == 20
    assert comparison.scores["long"].distinct_1 == Share(20, 20) == comparison.scores["short"].distinct_1
    assert evaluate_poems(sets["long"]).distinct_1 == Share(38, 60)  # 山 and 千 stand in both


def test_the_table_has_a_row_for_each_measure_in_both_languages() -> None:
    comparison = compare({"a": PoemSet([STORK_TOWER], [WUJUE]), "b": PoemSet([RIVER_SNOW], [WUJUE])})
    assert comparison.columns == ["", "a", "b"]
    rows = {row[0]: row[1:] for row in comparison.rows()}
    assert rows["rhyme right"] == ["100.0 % (1/1)", "0.0 % (0/1)"]
    assert rows["poems"] == ["1", "1"]
    assert rows["lines copied from the training part"] == ["-", "-"]
    assert [row[1:] for row in comparison.rows(language="zh")] == list(rows.values())
    assert set(LABELS["en"]) == set(LABELS["zh"]) == set(comparison.to_dict()["a"])
    with pytest.raises(UsageError, match="language"):
        comparison.rows(language="fr")


def test_forms_must_be_given_for_every_poem() -> None:
    with pytest.raises(UsageError, match="2 poems, but forms for 1"):
        PoemSet([STORK_TOWER, RIVER_SNOW], [WUJUE])


def test_human_verse_passes(tang: tuple[Corpus, float]) -> None:
    """The yardstick: regulated Tang poems rhyme. A table or test that went wrong shows here first."""
    corpus, _ = tang
    for form, least_regulated in zip(FIXED_FORMS, (0.4, 0.7, 0.5, 0.65), strict=True):
        texts = [poem.text for poem in corpus.poems if poem.form == form][::4]
        scores = evaluate_poems(PoemSet(texts, [form] * len(texts)))
        assert scores.format_right.rate == 1
        assert (scores.tone_right.rate or 0) > least_regulated
        assert (scores.rhyme_right_regulated.rate or 0) > 0.9
        assert (scores.unknown_characters.rate or 0) < 0.005
