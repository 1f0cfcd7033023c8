"""Tokenizers by name, from a model's folder, and over whole files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rondo.data.files import Paths, iter_text
from rondo.data.pieces import PIECES_FILE, BytePairTokenizer
from rondo.data.protocol import Ids, StreamDecoder, Tokenizer, whole_pieces
from rondo.data.vocabularies import VOCABULARY_FILE, CharacterTokenizer, WordTokenizer
from rondo.errors import DataError, ModelError, UsageError, nearest
from rondo.models.folder import part_of
from rondo.storage import read_json, write_error

__all__ = [
    "KINDS",
    "BytePairTokenizer",
    "CharacterTokenizer",
    "StreamDecoder",
    "Tokenizer",
    "WordTokenizer",
    "encode_files",
    "encode_stream",
    "load_tokenizer",
    "save_tokenizer",
    "train_tokenizer",
]

KINDS: dict[str, type[CharacterTokenizer] | type[WordTokenizer] | type[BytePairTokenizer]] = {
    kind.kind: kind for kind in (CharacterTokenizer, WordTokenizer, BytePairTokenizer)
}


def train_tokenizer(
    kind: str, texts: Iterable[str], *, vocabulary_size: int | None = None, min_count: int | None = None
) -> Tokenizer:
    """A tokenizer made from a text that comes in chunks; what is not given is up to its kind."""
    if kind not in KINDS:
        raise UsageError(f"there is no kind of token '{kind}'{nearest(kind, KINDS)}")
    if min_count is None:
        return KINDS[kind].train(texts, vocabulary_size=vocabulary_size)
    return KINDS[kind].train(texts, vocabulary_size=vocabulary_size, min_count=min_count)


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Write the vocabulary into a model's folder, in place of one of another kind."""
    tokenizer.save(folder)
    remove_other_tokenizer(tokenizer, folder)


def remove_other_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Remove the vocabulary of another kind that an earlier model left in the folder."""
    other = VOCABULARY_FILE if tokenizer.kind == BytePairTokenizer.kind else PIECES_FILE
    (Path(folder) / other).unlink(missing_ok=True)


def load_tokenizer(folder: str | Path, *, kind: str | None = None) -> Tokenizer:
    """The tokenizer of a model's folder; ``kind``, if it is known, is for the error where there is none."""
    path = Path(folder) / VOCABULARY_FILE
    if not path.exists() and (Path(folder) / PIECES_FILE).exists():
        return BytePairTokenizer.load(Path(folder) / PIECES_FILE)
    content = read_json(part_of(folder, PIECES_FILE if kind == BytePairTokenizer.kind else VOCABULARY_FILE))
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a vocabulary")
    try:
        if content["kind"] == CharacterTokenizer.kind:
            return CharacterTokenizer.from_json(content)
        if content["kind"] == WordTokenizer.kind:
            return WordTokenizer.from_json(content)
    except (KeyError, TypeError, AttributeError, ValueError, DataError) as error:
        raise ModelError(f"{path} is damaged: {error}.") from None
    raise ModelError(f"{path} is of a kind that this version of Rondo does not know: {content['kind']!r}.")


def encode_files(paths: Paths, tokenizer: Tokenizer, *, encoding: str | None = None, memory: int = 256 << 20) -> Ids:
    """The ids of files, read as a stream; above ``memory`` bytes they lie in a temporary file, not in memory."""
    ids = encode_stream(iter_text(paths, encoding=encoding), tokenizer, memory=memory)
    if not len(ids):
        names = paths if isinstance(paths, str | Path) else ", ".join(map(str, paths))
        raise DataError(f"there is nothing but blanks in {names}.")
    return ids


def encode_stream(texts: Iterable[str], tokenizer: Tokenizer, *, memory: int = 256 << 20) -> Ids:
    """The ids of a text that comes in chunks: the same ones as of the whole text at once."""
    encoded = (tokenizer.encode(piece) for piece in whole_pieces(texts, tokenizer.cut))
    held: list[Ids] = []
    size = 0
    for ids in encoded:
        held.append(ids)
        size += ids.nbytes
        if size > memory:
            return _spilled(held, encoded)
    return np.concatenate(held) if held else tokenizer.encode("")


def _spilled(held: list[Ids], rest: Iterable[Ids]) -> Ids:
    """An array in a temporary file that vanishes with it."""
    dtype: np.dtype[Any] = held[0].dtype
    try:
        with tempfile.TemporaryFile(prefix="rondo-tokens-") as file:
            for ids in held:
                file.write(ids.tobytes())
            held.clear()
            for ids in rest:
                file.write(ids.tobytes())
            file.flush()
            return np.memmap(file, dtype, mode="r")
    except OSError as error:
        raise write_error(tempfile.gettempdir(), error) from None
