"""The tags of the data and those of the network, and the way between them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rondo.data.labelled import Labelled, Origin
from rondo.data.tagging import SCHEMES, as_sentences, convert_tags, get_scheme, read_spans
from rondo.errors import DataError, ModelError
from rondo.tasks.tag.options import TagData
from rondo.tasks.tag.tags import TagNames, checked, in_scheme, scheme_of

IOB2 = [["B-A", "I-A", "B-A", "O", "B-B"], ["O", "B-B", "I-B", "I-B"], []]


def labelled(tags: list[list[str]]) -> Labelled:
    items = [tuple("x" * len(own)) for own in tags]
    return Labelled(items, [tuple(own) for own in tags], None, [Origin("", n + 1) for n in range(len(tags))])


def made(tags: list[list[str]], scheme: str | None, **options: Any) -> TagNames:
    return TagNames.of(labelled(tags), TagData(**options), None if scheme is None else get_scheme(scheme))


@pytest.mark.parametrize("inner", ["BIOES", "same"])
@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_tags_go_in_and_come_out_as_they_were(scheme: str, sound: bool, inner: str) -> None:
    given = [convert_tags(own, get_scheme(scheme)) for own in IOB2]
    names = made(given, scheme, inner_scheme=inner)
    assert names.inner == (get_scheme("BIOES") if inner == "BIOES" else get_scheme(scheme))
    for own in given:
        codes = names.codes(own)
        assert codes is not None
        assert names.named(codes.tolist(), sound=sound) == own
    assert names.kinds == ("A", "B")
    assert set(names.classes) >= {tag for own in given for tag in own}


def test_an_answer_that_breaks_the_scheme_is_read_as_conlleval_reads_it() -> None:
    names = made(IOB2, "IOB2")
    broken = [names.names.index(tag) for tag in ("I-A", "I-A", "O", "E-B", "S-A")]
    assert names.named(broken, sound=False) == ["B-A", "I-A", "O", "B-B", "B-A"]


def test_tags_that_are_no_spans_are_taken_as_they_are() -> None:
    names = made([["NN", "VB"], ["DT", "NN"]], None)
    assert names.names == names.classes == names.kinds == ("DT", "NN", "VB")
    assert names.allowed is None
    assert names.named([2, 0], sound=True) == ["VB", "DT"]
    assert names.codes(["NN", "XX"]) is None
    assert names.unseen(["NN", "XX"]) == {"XX"}


def test_what_training_has_not_seen_has_no_numbers() -> None:
    names = made(IOB2, "IOB2")
    assert names.codes(["B-A", "B-C"]) is None
    assert names.unseen(["B-A", "B-C"]) == {"C"}
    assert names.codes(["B-A", "I-A", "I-A"]) is not None  # of a kind that is known every tag can be said


def test_words_of_chinese_text_have_no_outside() -> None:
    names = made([["B", "E", "S"], ["B", "M", "E"]], "BMES")
    assert names.names == ("B", "I", "E", "S")
    assert names.named([0, 1, 2, 3], sound=True) == ["B", "M", "E", "S"]


@pytest.mark.parametrize(
    ("tags", "scheme", "said"),
    [([[], []], None, "no sentence has a token"), ([["O", "O"]], "IOB2", "all tokens have the tag 'O'")],
)
def test_what_cannot_be_learned(tags: list[list[str]], scheme: str | None, said: str) -> None:
    with pytest.raises(DataError, match=said):
        made(tags, scheme)


def test_the_scheme_is_told_by_the_tags_or_asked_for() -> None:
    sentences = as_sentences([list("abcde"), list("abcd"), []], IOB2)
    found = {name: scheme_of(sentences, TagData(scheme=name)) for name in ("auto", "none", "BIO", "IOB1")}  # type: ignore[arg-type]
    assert [None if one is None else one.name for one in found.values()] == ["IOB2", None, "IOB2", "IOB1"]
    with_line = as_sentences([["a", "b"]], [["B_A", "I_A"]])
    asked = scheme_of(with_line, TagData(scheme="BIO"))
    assert asked is not None
    assert asked.separator == "_"


def test_broken_tags_are_refused_or_mended() -> None:
    sentences = as_sentences([["a", "b"], ["c"]], [["O", "O"], ["I-A"]])
    scheme = get_scheme("IOB2")
    with pytest.raises(DataError, match=r"sentence 2: tag 'I-A' at the beginning, but in IOB2 .*--broken mend"):
        checked(sentences, scheme, TagData())
    mended = checked(sentences, scheme, TagData(broken="mend"))
    assert mended.labels == [("O", "O"), ("B-A",)]
    assert read_spans(["I-A"]) == read_spans(mended.labels[1])


def test_a_typo_is_no_part_of_speech() -> None:
    sentences = as_sentences([["a", "b"], ["c"]], [["B-A", "I-A"], ["X-A"]])
    with pytest.raises(DataError, match=r"sentence 2: 'X-A' is no tag.*--broken mend.*--scheme none"):
        scheme_of(sentences, TagData())
    found = scheme_of(sentences, TagData(broken="mend"))
    assert found == get_scheme("IOB2")
    assert checked(sentences, found, TagData(broken="mend")).labels == [("B-A", "I-A"), ("B-A",)]
    assert scheme_of(sentences, TagData(scheme="none")) is None


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("other", SCHEMES)
def test_tags_of_another_scheme_are_converted(scheme: str, other: str) -> None:
    tokens = [list("abcde"), list("abcd"), []]
    given = as_sentences(tokens, [convert_tags(own, get_scheme(other)) for own in IOB2])
    wanted = [tuple(convert_tags(own, get_scheme(scheme))) for own in IOB2]
    assert [one.tags for one in in_scheme(given, get_scheme(scheme), broken="error")] == wanted
    assert [one.tags for one in in_scheme(given, get_scheme(scheme), broken="error", given=other)] == wanted


def test_tags_that_may_be_of_the_scheme_stay_as_they_are() -> None:
    # B after O is wrong in IOB1 and right in IOB2, I after O the other way round: as many of one as of the other.
    broken = as_sentences([["a", "b", "c", "d"]] * 2, [["O", "B-A", "O", "O"], ["O", "O", "I-A", "O"]])
    for name in ("IOB1", "IOB2"):
        assert in_scheme(broken, get_scheme(name), broken="keep") is broken
    (mended, _) = in_scheme(broken, get_scheme("BMES"), broken="mend")
    assert mended.tags == ("O", "S-A", "O", "O")
    with pytest.raises(DataError, match=r"sentence 2: tag 'I-A' after 'O'"):
        in_scheme(broken, get_scheme("BMES"), broken="error")
    with pytest.raises(DataError, match=r"sentence 1: 'NN': these tags are no spans"):
        in_scheme(as_sentences([["a"]], [["NN"]]), get_scheme("IOB2"), broken="keep")
    plain = as_sentences([["a"]], [["NN"]])
    assert in_scheme(plain, None, broken="error") is plain


def test_what_is_saved_is_loaded() -> None:
    for names in (made(IOB2, "IOB2"), made([["NN", "VB"]], None)):
        assert TagNames.from_json(json.loads(json.dumps(names.to_json()))) == names
    good = made(IOB2, "IOB2").to_json()
    for change in ({"names": ["O", "O"]}, {"names": [1]}, {"names": []}, {"scheme": None}, {"inner": ["BIOES", "?"]},
                   {"inner": 3}, {"names": ["X-A", "O"]}):  # fmt: skip
        with pytest.raises(ModelError, match="its tags cannot be read"):
            TagNames.from_json({**good, **change})
    with pytest.raises(ModelError, match="its tags cannot be read"):
        TagNames.from_json(None)
