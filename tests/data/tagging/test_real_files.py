"""The data sets of tagging: their sizes as they are known, every scheme and back, and the files written back whole."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from rondo.data.tagging import (
    SCHEMES,
    Sentence,
    convert_tags,
    detect_scheme,
    first_problem,
    iter_parts,
    read_sentences,
    read_spans,
    write_part,
)

# Sentences, tokens, spans and documents, as the authors of the sets count them.
SIZES = {
    "conll2003/eng.train.gz": (14_041, 203_621, 23_499, 946, "IOB1"),
    "conll2003/eng.testa.gz": (3_250, 51_362, 5_942, 216, "IOB1"),
    "conll2003/eng.testb.gz": (3_453, 46_435, 5_648, 231, "IOB1"),
    "resume_ner/dev.char.bmes.gz": (463, 13_890, 1_497, 0, "BMES"),
    "resume_ner/test.char.bmes.gz": (477, 15_100, 1_630, 0, "BMES"),
    "msra_ner/test.txt.gz": (4_631, 172_601, 6_181, 0, "IOB2"),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes(data_folder: Path, name: str) -> None:
    sentences = read_sentences(data_folder / name)
    scheme = detect_scheme(sentence.tags or () for sentence in sentences)
    assert scheme is not None
    # MSRA is cut at punctuation, which parts some spans; what follows the cut is not counted there.
    strict = "msra" in name
    spans = [read_spans(sentence.tags or (), strict=strict, scheme=scheme) for sentence in sentences]
    documents = {sentence.group for sentence in sentences} - {None}
    counts = len(sentences), sum(map(len, sentences)), sum(map(len, spans)), len(documents), scheme.name
    assert counts == SIZES[name]


def test_kinds_of_conll(data_folder: Path) -> None:
    kinds = Counter(
        span.kind
        for sentence in read_sentences(data_folder / "conll2003/eng.testb.gz")
        for span in read_spans(sentence.tags or ())
    )
    assert kinds == {"LOC": 1668, "ORG": 1661, "PER": 1617, "MISC": 702}


@pytest.mark.parametrize("name", ["conll2003/eng.testa.gz", "resume_ner/dev.char.bmes.gz"])
def test_every_scheme_and_back(data_folder: Path, name: str) -> None:
    for sentence in read_sentences(data_folder / name):
        tags = list(sentence.tags or ())
        own = SCHEMES[SIZES[name][4]]
        assert first_problem(tags, own) is None
        for scheme in SCHEMES.values():
            other = convert_tags(tags, scheme, source=own)
            assert first_problem(other, scheme) is None
            assert convert_tags(other, own, source=scheme) == tags


@pytest.mark.parametrize("name", SIZES)
def test_files_are_written_back_whole(data_folder: Path, name: str) -> None:
    content = gzip.decompress((data_folder / name).read_bytes()).decode("utf-8")
    parts = iter_parts(data_folder / name)
    assert "".join(write_part(p, p.tags) if isinstance(p, Sentence) else write_part(p) for p in parts) == content
