"""Byte-pair pieces (Sennrich et al. 2016, over bytes as in Radford et al. 2019), by the tokenizers library."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from rondo.data.protocol import Ids, StreamDecoder, cut_before_blank, whole_pieces
from rondo.errors import DataError, ModelError, UsageError
from rondo.storage import read_json, write_text

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
        inner = _byte_level(models.BPE())
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
        model = _checked(path, read_json(path))
        merges = [(first, second) for first, second in model["merges"]]
        try:
            # Made from the checked parts: nothing else of the file reaches the library, which can end the process.
            return cls(_byte_level(models.BPE(model["vocab"], merges)))
        except Exception as error:  # the library raises bare exceptions
            raise ModelError(f"{path} is damaged: {error or type(error).__name__}.") from None


def _byte_level(model: models.BPE) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner


def _checked(path: Path, content: Any) -> dict[str, Any]:
    """The model in a file of the tokenizers library, if all else is as `BytePairTokenizer.train` leaves it."""
    expected = json.loads(_byte_level(models.BPE()).to_str())
    own = {"vocab", "merges"}
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ModelError(f"{path} is damaged: it holds no tokenizer.")
    model: dict[str, Any] = content["model"]
    for found, known in (({**content, "model": {}}, {**expected, "model": {}}), (model, expected["model"])):
        for name in sorted((found.keys() | known.keys()) - own):
            # What a field says when the library leaves it out is null or false.
            if (found.get(name) or None) != (known.get(name) or None):
                raise ModelError(
                    f"{path} is not a byte-level byte-pair tokenizer of Rondo's: "
                    f"its {name} is {str(found.get(name))[:80]}."
                )
    vocab, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocab, dict) or not isinstance(merges, list):
        raise ModelError(f"{path} is damaged: it has no pieces.")
    if any(type(number) is not int for number in vocab.values()) or {*vocab.values()} != {*range(len(vocab))}:
        raise ModelError(f"{path} is damaged: the numbers of its pieces do not run from 0 on.")
    characters = set(_byte_characters())
    if not characters <= vocab.keys() or any(not piece or not characters.issuperset(piece) for piece in vocab):
        raise ModelError(f"{path} is damaged: its pieces are not made of the 256 bytes.")
    for merge in merges:
        if not isinstance(merge, list) or [type(part) for part in merge] != [str, str]:
            raise ModelError(f"{path} is damaged: {str(merge)[:80]} is not a pair of pieces.")
        if not {merge[0], merge[1], merge[0] + merge[1]} <= vocab.keys():
            raise ModelError(f"{path} is damaged: it joins pieces that it does not have: {str(merge)[:80]}.")
    return model


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
