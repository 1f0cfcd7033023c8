from __future__ import annotations

import gzip
import json
import random
import time
from itertools import combinations
from pathlib import Path

import pytest

from rondo.errors import DataError, UsageError
from rondo.tasks.poetry.corpus import Corpus, Poem, group_by_lines, make_corpus, read_corpus, split_corpus
from rondo.tasks.poetry.forms import OTHER, QIJUE, WUJUE
from rondo.tasks.poetry.tidy import Damaged, tidy

STORK_TOWER = "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。"
QUIET_NIGHT = "牀前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。"


def write_json_lines(path: Path, poems: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(poem, ensure_ascii=False) for poem in poems), encoding="utf-8")
    return path


def texts(corpus: Corpus) -> list[str]:
    return [poem.text for poem in corpus.poems]


def test_json_lines(tmp_path: Path) -> None:
    path = write_json_lines(
        tmp_path / "poems.jsonl",
        [
            {
                "title": "登鸛雀樓",
                "author": "王之渙",
                "paragraphs": ["白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"],
            },
            {"title": "登鸛鵲樓", "author": "朱斌", "paragraphs": ["白日依山盡；黄河入海流。欲窮千里目？更上一層樓！"]},
            {"title": "", "author": "", "paragraphs": []},
            {"title": "", "author": "", "paragraphs": ["□日依山盡，黃河入海流。"]},
        ],
    )  # fmt: skip
    corpus = read_corpus([path])
    assert texts(corpus) == [STORK_TOWER]
    assert corpus.poems[0].title == "登鸛雀樓"
    assert corpus.poems[0].author == "王之渙"
    assert corpus.poems[0].form is WUJUE
    counts = corpus.counts
    assert (counts.read, counts.duplicates, counts.without_text, counts.damaged) == (4, 1, 1, 1)
    assert (counts.poems, counts.characters, counts.forms[WUJUE.name]) == (1, 20, 1)


def test_a_json_list_and_a_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "poems.json.gz"
    content = json.dumps([{"title": "靜夜思", "paragraphs": [QUIET_NIGHT]}], indent=1)
    path.write_bytes(gzip.compress(content.encode()))
    assert texts(read_corpus([path])) == [QUIET_NIGHT.replace("牀", "床")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。\n", [("", STORK_TOWER)]),
        ("登鹳雀楼\n王之涣\n白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。", [("登鸛雀樓", STORK_TOWER)]),
        ("白日依山尽\n黄河入海流\n欲穷千里目\n更上一层楼\n \n明月，清风。", [("", STORK_TOWER), ("", "明月，清風。")]),
        (
            "登鹳雀楼:白日依山尽，黄河入海流。欲穷千里目，更上一层楼。\n"
            "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n",
            [("登鸛雀樓", STORK_TOWER), ("", QUIET_NIGHT.replace("牀", "床"))],
        ),
    ],
    ids=["couplets", "title", "paragraphs", "lines"],
)  # fmt: skip
def test_plain_text(tmp_path: Path, content: str, expected: list[tuple[str, str]]) -> None:
    path = tmp_path / "poems.txt"
    path.write_text(content, encoding="utf-8")
    corpus = read_corpus([path], encoding="utf-8")
    assert [(poem.title, poem.text) for poem in corpus.poems] == expected


def test_errors_name_the_place(tmp_path: Path) -> None:
    path = tmp_path / "poems.jsonl"
    path.write_text('{"paragraphs": ["明月，清風。"]}\n{"paragraphs": ', encoding="utf-8")
    with pytest.raises(DataError, match=r"poems\.jsonl, line 2: not JSON"):
        read_corpus([path])
    path.write_text('{"paragraphs": ["明月，清風。"]}\n{"lines": []}', encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2: expected an object with 'paragraphs'"):
        read_corpus([path])
    path.write_text("No verse here.\n" * 5, encoding="utf-8")
    with pytest.raises(DataError, match="no Chinese verse found"):
        read_corpus([path])


@pytest.mark.parametrize(
    ("printed", "verse"),
    [
        ("老夫無憂走（一作「奏」）風雨。雨聲催早寒。", "老夫無憂走風雨。雨聲催早寒。"),
        ("仁高[姒]幄披，《白雪》「清歌」。", "仁高姒幄披，白雪清歌。"),
        ("坤動，（外（內）外〖1〗。）萬馬1。（注", "坤動，萬馬。"),
        ("（注）", ""),
        ("詩、禮固可學：鄭衛不足聽！", "詩禮固可學，鄭衛不足聽。"),
    ],
)
def test_notes_and_brackets_go(printed: str, verse: str) -> None:
    assert tidy(printed) == verse


@pytest.mark.parametrize("printed", ["□日依山。", "疲{艹/尔}竟何人。", "abc。", "山\ue829。"])
def test_damaged_poems_are_told(printed: str) -> None:
    with pytest.raises(Damaged):
        tidy(printed)


def poem(*lines: str) -> Poem:
    return Poem(title="", author="", text="".join(line + "。" for line in lines))


def test_poems_that_share_half_their_lines_are_one_group() -> None:
    assert group_by_lines(
        [
            ["a", "b", "c", "d"],
            ["x", "y", "z", "w"],
            ["c", "d", "e", "f"],  # half of the first
            ["e", "f", "g", "h"],  # half of the third
            ["b", "p", "q", "r"],  # a quarter
            ["x", "1", "2", "3", "4", "5", "6", "y"],  # half of the shorter one
            ["a", "a", "a", "q2"],  # a line said three times is one line: half of it
        ]
    ) == [0, 1, 0, 0, 4, 1, 0]


def by_every_pair(poems: list[list[str]]) -> list[int]:
    group = list(range(len(poems)))
    for a, b in combinations(range(len(poems)), 2):
        if 2 * len({*poems[a]} & {*poems[b]}) >= min(len({*poems[a]}), len({*poems[b]})):
            low, high = sorted((group[a], group[b]))
            group = [low if number == high else number for number in group]
    return group


@pytest.mark.parametrize("lines", [12, 60, 150])
def test_the_groups_are_those_that_every_pair_gives(lines: int) -> None:
    for seed in range(20):
        numbers = random.Random(seed)
        poems = [
            [str(int(lines * numbers.random() ** 2)) for _ in range(numbers.choice([1, 2, 3, 4, 4, 5, 8]))]
            for _ in range(40)
        ]
        found = group_by_lines(poems)
        assert found == by_every_pair(poems)
        assert lines == 12 or len(set(found)) > 1


@pytest.mark.parametrize(("common", "own", "groups"), [(1, 3, 5000), (1, 1, 1), (2, 2, 1), (3, 5, 5000)])
def test_a_line_that_thousands_share_costs_no_time(common: int, own: int, groups: int) -> None:
    poems = [[f"c{k}" for k in range(common)] + [f"{i} {k}" for k in range(own)] for i in range(5000)]
    began = time.process_time()
    assert len(set(group_by_lines(poems))) == groups
    assert time.process_time() - began < 1


def test_the_same_poem_in_other_variants_is_a_duplicate() -> None:
    corpus = make_corpus([poem("閒雲潭影", "物換星移"), poem("閑雲潭影", "物換星移"), poem("物換星移", "閒雲潭影")])
    assert len(corpus.poems) == 2
    assert corpus.counts.duplicates == 1
    assert corpus.group == (0, 0)


def many_poems(count: int) -> list[Poem]:
    """Poems of four lines; every third one shares half its lines with the one before."""
    characters = "山水風花雪月春秋江河天地人心日星"
    lines = [f"{a}{b}{c}" for a in characters for b in characters for c in characters]
    starts = [4 * number - (2 if number % 3 == 2 else 0) for number in range(count)]
    return [poem(*lines[start : start + 4]) for start in starts]


def test_split_is_a_partition_along_groups_and_follows_the_seed() -> None:
    corpus = make_corpus(many_poems(300))
    assert corpus.counts.grouped > 100
    split = split_corpus(corpus, valid_fraction=0.2, test_fraction=0.1, seed=3)
    parts = [split.train, split.valid, split.test]
    assert sorted(poem.text for part in parts for poem in part) == sorted(texts(corpus))
    assert 55 <= len(split.valid) <= 70
    assert 28 <= len(split.test) <= 40
    group_of = dict(zip(texts(corpus), corpus.group, strict=True))
    seen = [{group_of[poem.text] for poem in part} for part in parts]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    assert split == split_corpus(corpus, valid_fraction=0.2, test_fraction=0.1, seed=3)
    assert split.valid != split_corpus(corpus, valid_fraction=0.2, test_fraction=0.1, seed=4).valid


def test_split_refuses_what_cannot_be_done() -> None:
    corpus = make_corpus(many_poems(3))
    with pytest.raises(UsageError, match="fractions"):
        split_corpus(corpus, valid_fraction=0.7, test_fraction=0.3)
    with pytest.raises(DataError, match="too few"):
        split_corpus(make_corpus(many_poems(1)), valid_fraction=0.5)
    assert not split_corpus(corpus, valid_fraction=0.0).valid


def test_tang_poems(tang: tuple[Corpus, float]) -> None:
    corpus, seconds = tang
    assert seconds < 60  # 5 to 8 s on an idle machine
    counts = corpus.counts
    assert counts.read == 57_607
    assert counts.poems + counts.duplicates + counts.damaged + counts.without_text == counts.read
    assert 55_000 < counts.poems < 56_000
    assert 10_500 < counts.forms[QIJUE.name] < 11_500
    assert counts.forms[OTHER.name] < 0.35 * counts.poems
