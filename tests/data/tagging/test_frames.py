"""Tagged sentences from data frames."""

from __future__ import annotations

import math
from typing import Any

import pandas
import polars
import pytest

from rondo.data.tagging import TokenFormat, read_sentences
from rondo.errors import DataError, UsageError

LISTS = {"tokens": [["Ada", "came"], ["Oslo"]], "tags": [["B-PER", "O"], ["B-LOC"]], "doc": ["a", "b"]}
LONG = {"sentence_id": [1, 1, 2], "word": ["Ada", "came", "Oslo"], "tag": ["B-PER", "O", "B-LOC"]}
FILLED = {"Sentence #": ["Sentence: 1", math.nan, "Sentence: 2"], "Word": LONG["word"], "Tag": LONG["tag"]}


@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame])
@pytest.mark.parametrize("columns", [LISTS, LONG, FILLED], ids=["lists", "rows", "first row of each"])
def test_a_sentence_a_row_or_a_token_a_row(make: Any, columns: dict[str, Any]) -> None:
    if make is polars.DataFrame:
        columns = {name: [None if one is math.nan else one for one in values] for name, values in columns.items()}
    found = read_sentences(make(columns))
    assert [(sentence.tokens, sentence.tags) for sentence in found] == [
        (("Ada", "came"), ("B-PER", "O")), (("Oslo",), ("B-LOC",)),
    ]  # fmt: skip
    assert [str(sentence.origin) for sentence in found] == ["row 1", "row 2" if "tokens" in columns else "row 3"]


def test_columns_are_named_and_groups_are_read() -> None:
    frame = pandas.DataFrame({**LISTS, "pos": [["NE", "V"], ["NE"]]})
    found = read_sentences(frame, TokenFormat(tag_column="pos"), group_column="doc")
    assert [(sentence.tags, sentence.group) for sentence in found] == [(("NE", "V"), "a"), (("NE",), "b")]
    assert read_sentences(frame, tagged=False)[0].tags is None


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(DataError, match=r"no column of tags \(tokens\)"):
        read_sentences(pandas.DataFrame({"tokens": LISTS["tokens"]}))
    with pytest.raises(DataError, match="a column that says which sentence"):
        read_sentences(pandas.DataFrame({"word": LONG["word"], "tag": LONG["tag"]}))
    with pytest.raises(DataError, match="row 1: 2 tokens have 1 tags"):
        read_sentences(pandas.DataFrame({"tokens": LISTS["tokens"], "tags": [["O"], ["O"]]}))
    with pytest.raises(UsageError, match="not with a data frame"):
        read_sentences(pandas.DataFrame(LISTS), labels="tags.txt")
