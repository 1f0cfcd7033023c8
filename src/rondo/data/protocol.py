"""What every tokenizer can do, and the ways of taking text in pieces that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.unsignedinteger[Any]]


class StreamDecoder(Protocol):
    """Turns ids into text as they come; what cannot be shown yet is kept back."""

    def feed(self, token: int) -> str:
        """The text that this token adds: none, if it is not complete yet."""
        ...

    def flush(self) -> str:
        """What was kept back, at the end."""
        ...


class Tokenizer(Protocol):
    """Text to token ids and back."""

    @property
    def kind(self) -> str:
        """The name it is chosen by: ``characters``, ``words`` or ``pieces``."""
        ...

    @property
    def size(self) -> int:
        """How many ids there are."""
        ...

    @property
    def unknown(self) -> int | None:
        """The id of all that is not in the vocabulary, if there is one. It is never to be generated."""
        ...

    def encode(self, text: str) -> Ids:
        """The ids of a text, in the smallest type of numbers that holds them all."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids."""
        ...

    def token(self, index: int) -> str:
        """One token, for people to look at."""
        ...

    def number(self, token: str) -> int | None:
        """The id of the token with this text, if there is one."""
        ...

    def count_characters(self, ids: Iterable[int]) -> int:
        """How many characters of text these ids stand for."""
        ...

    def cut(self, text: str) -> int:
        """The last place at which parting the text leaves its ids as they are; 0 if there is none."""
        ...

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for text that is made token by token."""
        ...

    def save(self, folder: str | Path) -> None:
        """Write the vocabulary into a model's folder."""
        ...


def cut_before_blank(text: str) -> int:
    """The start of the last blank space in a text, where words and pieces can be parted."""
    for place in range(len(text) - 1, 0, -1):
        if text[place] in " \n\t" and not text[place - 1].isspace():
            return place
    return 0


def whole_pieces(chunks: Iterable[str], cut: Callable[[str], int], *, longest: int = 1 << 24) -> Iterator[str]:
    """The same text, parted only where ``cut`` allows it, or where that is nowhere in ``longest`` characters."""
    held = ""
    for chunk in chunks:
        held += chunk
        place = cut(held) or (len(held) if len(held) >= longest else 0)
        if place:
            yield held[:place]
            held = held[place:]
    if held:
        yield held
