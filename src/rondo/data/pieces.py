"""Byte-pair pieces (Sennrich et al. 2016, over bytes as in Radford et al. 2019), by the tokenizers library."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from rondo.data.protocol import Ids, StreamDecoder, cut_before_blank, whole_pieces
from rondo.errors import DataError, ModelError, UsageError
from rondo.storage import read_bytes, read_json, write_text

PIECES_FILE = "tokenizer.json"

_BLOCK = 1 << 16


class BytePairTokenizer:
    """The pieces of words that were found by joining frequent pairs, starting from the 256 bytes.

    Every text can be encoded and comes back exactly. Its file is that of the tokenizers library.
    """

    kind = "pieces"
    unknown = None

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        self._inner = inner
        byte_of = {character: byte for byte, character in enumerate(_byte_characters())}
        pieces = sorted(inner.get_vocab().items(), key=lambda item: item[1])
        self._bytes = [bytes(byte_of[character] for character in piece) for piece, _ in pieces]
        if [number for _, number in pieces] != list(range(len(pieces))):
            raise DataError("the numbers of the pieces do not run from 0 on.")
        self._dtype = np.min_scalar_type(len(pieces) - 1)

    @classmethod
    def train(cls, texts: Iterable[str], *, vocabulary_size: int | None = None, min_count: int = 2) -> Self:
        """Join pairs seen ``min_count`` times until there are ``vocabulary_size`` pieces, 8,000 if not given."""
        size = 8_000 if vocabulary_size is None else vocabulary_size
        if size <= 256:
            raise UsageError(f"a vocabulary of {size} pieces is too small: 256 are single bytes.")
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size, min_frequency=min_count, initial_alphabet=_byte_characters(), show_progress=False
        )
        inner.train_from_iterator(whole_pieces(texts, cut_before_blank), trainer)
        return cls(inner)

    @property
    def size(self) -> int:
        return len(self._bytes)

    def encode(self, text: str) -> Ids:
        blocks = (text[start : start + _BLOCK] for start in range(0, len(text), _BLOCK))
        encoded = self._inner.encode_batch_fast(list(whole_pieces(blocks, self.cut)), add_special_tokens=False)
        return np.concatenate([np.empty(0, self._dtype), *[np.array(block.ids, self._dtype) for block in encoded]])

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self._bytes[index] for index in ids).decode("utf-8", "replace")

    def token(self, index: int) -> str:
        return self._bytes[index].decode("utf-8", "replace")

    def number(self, token: str) -> int | None:
        ids = self.encode(token)
        return int(ids[0]) if len(ids) == 1 else None

    def count_characters(self, ids: Iterable[int]) -> int:
        # Bytes of the form 10xxxxxx continue a character, all others begin one.
        return sum(byte & 0xC0 != 0x80 for index in ids for byte in self._bytes[index])

    def cut(self, text: str) -> int:
        return cut_before_blank(text)

    def stream_decoder(self) -> StreamDecoder:
        return _Pieces(self._bytes)

    def save(self, folder: str | Path) -> None:
        write_text(Path(folder) / PIECES_FILE, self._inner.to_str())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file of the tokenizers library, if it is of the kind that `train` makes."""
        content = read_json(path)
        try:
            sort = content["model"]["type"], content["pre_tokenizer"]["type"], content["normalizer"]
            if sort != ("BPE", "ByteLevel", None):
                raise ModelError(f"{path} is not a byte-level byte-pair tokenizer: {sort}.")
            return cls(tokenizers.Tokenizer.from_str(read_bytes(path).decode("utf-8")))
        except ModelError:
            raise
        except Exception as error:  # the library raises bare exceptions
            raise ModelError(f"{path} is damaged: {error or type(error).__name__}.") from None


class _Pieces:
    """Bytes to characters; the first bytes of a character wait for the others."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        return self._decoder.decode(self._pieces[token])

    def flush(self) -> str:
        return self._decoder.decode(b"", True)


def _byte_characters() -> list[str]:
    """The visible character that stands for each byte in a byte-level vocabulary, as GPT-2 laid it down."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]
