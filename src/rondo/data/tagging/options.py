"""How tagged sentences stand in files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TokenFormat:
    """How tokens and their tags stand in a file. Mostly it is told by the file."""

    token_column: str | None = None
    """Column of the tokens: its name, or its number from 1. Left out: one with a usual name, else the first."""
    tag_column: str | None = None
    """Column of the tags, likewise; -1 is the last. Left out: one with a usual name, else the last."""
    format: Literal["auto", "columns", "jsonl", "lines"] = "auto"
    """Kind of file: columns (a token a line, a blank line between sentences, as CoNLL has it), jsonl, or lines (a
    sentence a line). auto goes by the name, else by the first line: columns or jsonl."""
    separator: Literal["auto", "tab", "blank"] = "auto"
    """What parts the columns: tab, or any run of blanks and tabs. auto: tab if the first line has one."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line has the columns' names. auto: if they are usual ones, or a column is asked for by name."""
    comments: Literal["auto", "yes", "no"] = "auto"
    """Whether lines that begin with # are comments. auto: before the first token of a sentence, where such a line has
    not as many columns as the others."""
    unit: Literal["words", "characters", "blanks"] | None = None
    """What a text is cut into, where a file has no tokens: words, characters, or what stands between blanks. Left out:
    words, or characters for a tagger of these; for lines with a file of tags beside them, blanks."""
    misaligned: Literal["error", "widen", "drop"] = "error"
    """What becomes of a span of characters that begins or ends within a token: error, widen (to tokens), or drop."""
    encoding: str | None = None
    """Encoding of the files. Left out: detected."""


# fmt: off
TOKEN_NAMES: tuple[str, ...] = (
    "token", "tokens", "word", "words", "form", "character", "char", "text", "sentence", "字", "词", "詞", "文本",
)
TAG_NAMES: tuple[str, ...] = (
    "ner", "ner_tag", "ner_tags", "tag", "tags", "label", "labels", "entity", "entities", "spans", "bio",
    "标签", "標籤",
)
# fmt: on
