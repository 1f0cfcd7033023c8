"""From files to the tokens that a language model trains, validates and tests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.files import iter_text
from rondo.data.tokenizers import Tokenizer, encode_stream, train_tokenizer
from rondo.errors import DataError, UsageError
from rondo.tasks.text.options import TextData

Tokens = npt.NDArray[Any]
Text = Callable[[], Iterator[str]]
"""Reads a text from its beginning, in pieces."""


@dataclass(frozen=True)
class TextCorpus:
    """The parts of a text as token ids, with what made them."""

    tokenizer: Tokenizer
    train: Tokens
    valid: Tokens
    test: Tokens | None
    files: tuple[Path, ...]

    @property
    def unit(self) -> str:
        """What a token is called."""
        return {"characters": "character", "words": "word", "pieces": "piece"}[self.tokenizer.kind]

    @property
    def parts(self) -> dict[str, Tokens]:
        """The parts that there are, by name."""
        named = {"training": self.train, "validation": self.valid, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}


def read_corpus(paths: Sequence[str | Path], options: TextData) -> TextCorpus:
    """Read, split and tokenise. The vocabulary is made from the training part alone, so that what is
    held out is as unknown to the model as a new text would be.
    """
    files = [Path(path) for path in paths]

    def reader(*paths: str | Path) -> Text:
        return lambda: iter_text(paths, encoding=options.encoding)

    train, valid = reader(*files), reader(options.valid) if options.valid else None
    if valid is None:
        train, valid = _parted(train, options.valid_fraction)
    tokenizer = train_tokenizer(options.level, train(), vocabulary_size=options.vocabulary_size)
    corpus = TextCorpus(
        tokenizer,
        encode_stream(train(), tokenizer),
        encode_stream(valid(), tokenizer),
        encode_stream(reader(options.test)(), tokenizer) if options.test else None,
        (*files, *(Path(path) for path in (options.valid, options.test) if path)),
    )
    for name, part in corpus.parts.items():
        if len(part) < 2:
            raise DataError(
                f"the {name} part has {len(part)} {tokenizer.kind}; a language model needs more text than that"
            )
    return corpus


def _parted(text: Text, held_out: float) -> tuple[Text, Text]:
    """The beginning of a text, and its end with the share ``held_out`` of the characters."""
    if not 0 < held_out < 1:
        raise UsageError(f"--valid-fraction is between 0 and 1, not {held_out}")
    length = sum(len(piece) for piece in text())
    boundary = int(length * (1 - held_out))
    if length and not boundary:
        raise DataError(
            f"the text has {length} character{'s' if length > 1 else ''}, too few to part: learning needs at least two "
            "tokens, and so does what is held out"
        )

    def between(start: int, stop: int) -> Iterator[str]:
        place = 0
        for piece in text():
            yield piece[max(start - place, 0) : max(stop - place, 0)]
            place += len(piece)
            if place >= stop:
                return

    return lambda: between(0, boundary), lambda: between(boundary, length)


def rows_that_fit(tokens: Tokens, bptt_length: int, asked: int | None) -> int:
    """Streams to read side by side: what was asked for, or up to 64 with at least two windows each."""
    if bptt_length < 1:
        raise UsageError(f"--bptt-length is at least 1, not {bptt_length}")
    windows = (len(tokens) - 1) // bptt_length
    if windows < 1:
        raise DataError(
            f"the training part has {len(tokens)} tokens, which is shorter than one window of "
            f"--bptt-length {bptt_length}: give more text or a shorter window"
        )
    if asked is None:
        return max(1, min(64, windows // 2))
    if asked < 1:
        raise UsageError(f"--batch-size is at least 1, not {asked}")
    if asked > windows:
        raise DataError(
            f"the training part has {len(tokens)} tokens, {windows} windows of --bptt-length {bptt_length}: "
            f"too few for --batch-size {asked}; at most {windows} fit"
        )
    return asked


def start_token(tokenizer: Tokenizer, tokens: Tokens) -> int:
    """The token a text begins after when there is no prompt: an end of line, else the most frequent one."""
    counts = np.bincount(np.asarray(tokens[: 1 << 20], dtype=np.int64), minlength=tokenizer.size)
    for candidate in ("\n", "<eos>"):
        number = tokenizer.number(candidate)
        if number is not None and counts[number]:
            return number
    return int(counts.argmax())
