"""Schemes of tags: reading, writing, checking, telling apart; equal to seqeval's modes on any sequence of tags."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.tagging import (
    SCHEMES,
    Scheme,
    Span,
    UnclearScheme,
    allowed_transitions,
    check_tags,
    convert_tags,
    detect_scheme,
    first_problem,
    get_scheme,
    mended_tags,
    read_spans,
    tag_set,
    write_tags,
)
from rondo.errors import DataError, UsageError

NAMES = sorted(SCHEMES)
ADJACENT = [Span(0, 2, "PER"), Span(2, 3, "PER"), Span(3, 4, "LOC"), Span(5, 8, "LOC")]
WRITTEN = {
    "IOB1": "I-PER I-PER B-PER I-LOC O I-LOC I-LOC I-LOC O",
    "IOB2": "B-PER I-PER B-PER B-LOC O B-LOC I-LOC I-LOC O",
    "BIOES": "B-PER E-PER S-PER S-LOC O B-LOC I-LOC E-LOC O",
    "BILOU": "B-PER L-PER U-PER U-LOC O B-LOC I-LOC L-LOC O",
    "BMES": "B-PER E-PER S-PER S-LOC O B-LOC M-LOC E-LOC O",
    "BMEWO": "B-PER E-PER W-PER W-LOC O B-LOC M-LOC E-LOC O",
}


@st.composite
def spans(draw: st.DrawFn) -> tuple[list[Span], int]:
    """Spans that are parted, of two kinds, and how many tokens there are."""
    found, place = [], 0
    for gap, length, kind in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from("AB")))):
        found.append(Span(place + gap, place + gap + length, kind))
        place += gap + length
    return found, place + draw(st.integers(0, 2))


def any_tags(letters: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(["O", *(f"{letter}-{kind}" for letter in letters for kind in ("A", "B-C"))]))


@pytest.mark.parametrize("name", NAMES)
def test_as_the_schemes_are_written(name: str) -> None:
    tags = WRITTEN[name].split()
    assert write_tags(ADJACENT, 9, SCHEMES[name]) == tags
    assert write_tags(reversed(ADJACENT), 9, SCHEMES[name]) == tags
    assert read_spans(tags) == ADJACENT
    assert read_spans(tags, strict=True, scheme=SCHEMES[name]) == ADJACENT
    assert detect_scheme([tags]) == SCHEMES[name]
    check_tags(tags, SCHEMES[name])


@settings(deadline=None)
@given(spans(), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_spans_come_back_from_every_scheme(given_spans: tuple[list[Span], int], one: str, other: str) -> None:
    found, length = given_spans
    tags = write_tags(found, length, SCHEMES[one])
    assert len(tags) == length
    assert read_spans(tags) == read_spans(tags, strict=True, scheme=SCHEMES[one]) == found
    assert first_problem(tags, SCHEMES[one]) is None
    assert convert_tags(tags, SCHEMES[other]) == write_tags(found, length, SCHEMES[other])


@settings(deadline=None, max_examples=300)
@given(any_tags("BIES"))
def test_reads_broken_tags_as_seqeval_does(tags: list[str]) -> None:
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    expected = labeling.get_entities(tags) if tags else []  # it knows no empty sequence
    assert [(span.kind, span.start, span.stop - 1) for span in read_spans(tags)] == expected


@settings(deadline=None, max_examples=300)
@given(st.data(), st.sampled_from([("IOB2", "IOB2"), ("BIOES", "IOBES"), ("BILOU", "BILOU")]))
def test_strict_reading_is_that_of_seqeval(data: st.DataObject, names: tuple[str, str]) -> None:
    theirs = pytest.importorskip("seqeval.scheme")
    scheme = SCHEMES[names[0]]
    tags = data.draw(any_tags(scheme.letters))
    entities = theirs.Tokens(tags, getattr(theirs, names[1])).entities if tags else []
    expected = [(entity.tag, entity.start, entity.end) for entity in entities]
    assert [(span.kind, span.start, span.stop) for span in read_spans(tags, strict=True, scheme=scheme)] == expected


@settings(deadline=None, max_examples=300)
@given(st.data(), st.sampled_from(NAMES))
def test_tags_are_right_if_reading_strictly_loses_nothing(data: st.DataObject, name: str) -> None:
    """Three ways to say that tags are right: no problem, only allowed transitions, and what the scheme writes."""
    scheme = SCHEMES[name]
    tags = data.draw(any_tags(scheme.letters))
    right = first_problem(tags, scheme) is None
    assert right == (write_tags(read_spans(tags, scheme=scheme), len(tags), scheme) == tags)
    if right:
        assert read_spans(tags, strict=True, scheme=scheme) == read_spans(tags)
    every = tag_set(["A", "B-C"], scheme)
    start, between, end = allowed_transitions(every, scheme)
    codes = [every.index(tag) for tag in tags]
    legal = not codes or bool(start[codes[0]] and between[codes[:-1], codes[1:]].all() and end[codes[-1]])
    assert right == legal


@pytest.mark.parametrize(
    ("name", "tags", "index", "what"),
    [
        ("IOB2", "O I-PER O", 1, "tag 'I-PER' after 'O', but in IOB2 a span begins with B-PER"),
        ("IOB2", "I-PER", 0, "tag 'I-PER' at the beginning, but in IOB2 a span begins with B-PER"),
        ("IOB2", "B-LOC I-PER", 1, "tag 'I-PER' after 'B-LOC'"),
        ("IOB2", "B-LOC E-LOC", 1, "'E-LOC' is no tag of IOB2, whose tags are O and B, I with a kind"),
        ("IOB1", "I-LOC O B-LOC", 2, "tag 'B-LOC' after 'O', but in IOB1 B-LOC only parts two spans that touch"),
        ("IOB1", "I-LOC B-PER", 1, "this one begins with I-PER"),
        ("BIOES", "B-LOC O", 1, "tag 'O' after 'B-LOC', but in BIOES I-LOC or E-LOC must follow"),
        ("BIOES", "O E-LOC", 1, "a span begins with B-LOC or S-LOC"),
        ("BMES", "O B-LOC M-LOC", 2, "the sentence ends after 'M-LOC', but in BMES M-LOC or E-LOC must follow"),
        ("BMES", "S-LOC M-LOC", 1, "tag 'M-LOC' after 'S-LOC'"),
    ],
)
def test_problems_name_the_place(name: str, tags: str, index: int, what: str) -> None:
    found = first_problem(tags.split(), SCHEMES[name])
    assert found is not None
    assert found[0] == index
    assert what in found[1]
    with pytest.raises(DataError, match=f"^token {index + 1}: "):
        check_tags(tags.split(), SCHEMES[name])
    with pytest.raises(DataError, match=f"^line {index + 70}: "):
        check_tags(tags.split(), SCHEMES[name], lambda index: f"line {index + 70}")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["I-PER I-PER O"], "IOB1"),
        (["O B-PER I-PER O", "I-PER O", "O I-PER", "I-LOC B-PER"], "IOB1"),
        (["B-PER I-PER", "B-LOC O", "O I-LOC"], "IOB2"),
        (["O O"], "IOB2"),
        (["S-PER O"], "BIOES"),
        (["B-PER M-PER E-PER"], "BMES"),
        (["U-PER O"], "BILOU"),
        (["O W-PER"], "BMEWO"),
        (["B M E S S"], "BMES"),
        (["NN VB IN"], None),
        (["B-PER", "NN"], None),
        (["O B-"], None),
        ([], "IOB2"),
    ],
)
def test_tells_schemes_apart(tags: list[str], expected: str | None) -> None:
    found = detect_scheme(line.split() for line in tags)
    assert found == (SCHEMES[expected] if expected else None)


def test_schemes_that_cannot_be() -> None:
    with pytest.raises(DataError, match="letters B, I, W are of no scheme"):
        detect_scheme([["B-A", "I-A", "W-A"]])
    with pytest.raises(DataError, match="with - and with _"):
        detect_scheme([["B-A", "I_A"]])


@pytest.mark.parametrize(
    ("sentences", "said"),
    [
        (["O B-PER I-PER", "O X-PER O"], r"sentence 2, token 2: 'X-PER' is no tag of a span"),
        (["O B-PER I-PER PER"], r"sentence 1, token 4: 'PER' is no tag of a span"),
        (["B-PER I-PER O", "M-PER O"], r"sentence 2, token 1: 'M-PER' does not go with the other tags"),
        (["B-PER I-PER O", "B_PER O"], r"sentence 2, token 1: 'B_PER': tags are written with - and with _"),
        (["B M E S " * 6 + "X"], r"sentence 1, token 25: 'X' is no tag of a span"),
    ],
)
def test_a_tag_that_breaks_an_otherwise_clear_scheme_is_named(sentences: list[str], said: str) -> None:
    tags = [line.split() for line in sentences]
    with pytest.raises(UnclearScheme, match=said):
        detect_scheme(tags)
    with pytest.raises(UnclearScheme, match="here 7"):
        detect_scheme(tags, where=lambda number, token: "here 7")
    found = detect_scheme(tags, mend=True)
    assert found is not None
    assert all(first_problem(mended_tags(own, found), found) is None for own in tags)


def test_what_is_odd_is_read_as_conlleval_reads_it() -> None:
    assert mended_tags("O X-PER X-PER B-PER PER".split(), SCHEMES["IOB2"]) == "O B-PER I-PER B-PER O".split()  # noqa: SIM905
    assert mended_tags("B_A ?-A I_A".split(), SCHEMES["BIOES"]) == "B-A I-A E-A".split()  # noqa: SIM905


@pytest.mark.parametrize("tags", ["B-PER NN VB DT", "N V S O E ! N V", "B X"])
def test_few_tags_like_those_of_spans_make_no_scheme(tags: str) -> None:
    assert detect_scheme([tags.split()]) is None


def test_underscores_between_letter_and_kind() -> None:
    tags = ["B_PER", "I_PER", "O", "B_LOC"]
    scheme = detect_scheme([tags])
    assert scheme == dataclasses.replace(SCHEMES["IOB2"], separator="_")
    spans = [Span(0, 2, "PER"), Span(3, 4, "LOC")]
    assert read_spans(tags) == read_spans(tags, scheme=scheme) == spans
    assert write_tags(spans, 4, scheme) == tags
    assert tag_set(["PER"], scheme) == ("O", "B_PER", "I_PER")
    with pytest.raises(DataError, match="'B_PER' is no tag of IOB2"):
        read_spans(tags, scheme=SCHEMES["IOB2"])


def test_letters_alone_and_kinds_with_hyphens() -> None:
    words = ["B", "M", "E", "S", "B", "E"]
    assert read_spans(words) == [Span(0, 3, ""), Span(3, 4, ""), Span(4, 6, "")]
    assert convert_tags(words, SCHEMES["IOB2"]) == ["B", "I", "I", "B", "B", "I"]
    assert tag_set([""], SCHEMES["BMES"]) == ("O", "B", "M", "E", "S")
    assert read_spans(["B-person-artist", "I-person-artist"]) == [Span(0, 2, "person-artist")]


def test_names_of_schemes() -> None:
    assert get_scheme("bio") is get_scheme("IOB2") is SCHEMES["IOB2"]
    assert get_scheme("IOBES") is SCHEMES["BIOES"]
    assert get_scheme("bmeso") is SCHEMES["BMES"]
    with pytest.raises(UsageError, match="did you mean 'BIOES'"):
        get_scheme("BIOE")


def test_what_is_refused() -> None:
    iob2: Scheme = SCHEMES["IOB2"]
    for wrong in ([Span(0, 2, "A"), Span(1, 3, "A")], [Span(2, 2, "A")], [Span(3, 5, "A")], [Span(-1, 1, "A")]):
        with pytest.raises(DataError, match="is empty, overlaps another or is not within the 4 tokens"):
            write_tags(wrong, 4, iob2)
    with pytest.raises(DataError, match="'NN' is no tag of a span"):
        read_spans(["NN"])
    with pytest.raises(UsageError, match="name the one"):
        read_spans(["O"], strict=True)


def test_a_crf_never_leaves_the_scheme() -> None:
    from rondo.decoding import viterbi
    from rondo.layers.crf import CRF

    torch.manual_seed(0)
    for name in NAMES:
        tags = tag_set(["PER", "LOC"], SCHEMES[name])
        crf = CRF(len(tags), allowed=allowed_transitions(tags, SCHEMES[name]))
        best = viterbi(torch.randn(20, 9, len(tags)), crf.scores())
        free = viterbi(torch.randn(20, 9, len(tags)), CRF(len(tags)).scores())
        for path in best.tags.tolist():
            check_tags([tags[tag] for tag in path], SCHEMES[name])
        assert any(first_problem([tags[tag] for tag in path], SCHEMES[name]) for path in free.tags.tolist())
