"""From files to the tokens that a language model trains, validates and tests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rondo.data.tokenizers import Tokenizer, build_tokenizer, encode_files
from rondo.errors import DataError, UsageError
from rondo.inspect.provenance import DataFile
from rondo.tasks.text.options import TextData

Tokens = npt.NDArray[Any]


@dataclass(frozen=True)
class TextCorpus:
    """The parts of a text as token ids, with what made them."""

    tokenizer: Tokenizer
    train: Tokens
    valid: Tokens
    test: Tokens | None
    files: tuple[DataFile, ...]

    @property
    def unit(self) -> str:
        """What a token is called."""
        return {"characters": "character", "words": "word", "pieces": "piece"}[self.tokenizer.kind]


def read_corpus(paths: Sequence[str | Path], options: TextData) -> TextCorpus:
    """Read, tokenise and split. The vocabulary is made from the training part alone, so that what is
    held out is as unknown to the model as a new text would be.
    """
    if not 0 < options.valid_fraction < 1 and options.valid is None:
        raise UsageError(f"--valid-fraction is between 0 and 1, not {options.valid_fraction}")
    encoding = options.encoding
    train_paths = [Path(path) for path in paths]
    held_out = options.valid_fraction if options.valid is None else 0.0
    tokenizer = build_tokenizer(
        train_paths, kind=options.level, vocabulary_size=options.vocabulary_size, encoding=encoding,
        leave_out=held_out,
    )  # fmt: skip
    tokens = encode_files(train_paths, tokenizer, encoding=encoding)
    if options.valid is None:
        boundary = int(len(tokens) * (1 - held_out))
        train, valid = tokens[:boundary], tokens[boundary:]
    else:
        train, valid = tokens, encode_files([options.valid], tokenizer, encoding=encoding)
    test = encode_files([options.test], tokenizer, encoding=encoding) if options.test else None
    for name, part in (("training", train), ("validation", valid), ("test", test)):
        if part is not None and len(part) < 2:
            raise DataError(
                f"the {name} part has {len(part)} {tokenizer.kind}; a language model needs more text than that"
            )
    named = [*train_paths, *(Path(path) for path in (options.valid, options.test) if path)]
    files = tuple(DataFile(str(path), path.stat().st_size) for path in named)
    return TextCorpus(tokenizer, train, valid, test, files)


def rows_that_fit(tokens: Tokens, bptt_length: int, asked: int | None) -> int:
    """Streams to read side by side: what was asked for, or up to 64 with at least two windows each."""
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
    for candidate in ("\n", "<eos>"):
        number = tokenizer.number(candidate)
        if number is not None:
            return number
    return int(np.bincount(np.asarray(tokens[: 1 << 20], dtype=np.int64)).argmax())
