"""Vectors of words from their characters: what a tagger knows of a word that it has never met."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from rondo.cells import Cell, get_cell
from rondo.errors import UsageError, nearest
from rondo.layers import Recurrent
from rondo.layers.masks import valid_steps
from rondo.layers.readout import max_over_steps

SpellingName = Literal["recurrent", "convolution"]
SPELLINGS: tuple[SpellingName, ...] = ("recurrent", "convolution")
PADDING, UNKNOWN = 0, 1
"""What stands behind the end of a word, and for characters that are not known."""
KERNEL = 3
SCALE = 0.1
"""Of character vectors at first."""


class Spelling(nn.Module):
    """A vector for each word from its characters.

    ``recurrent``    what a recurrent layer says after the last character, and the reverse one before the first
                     (Lample et al. 2016, 1603.01360)
    ``convolution``  the largest values of a convolution over three characters (Ma and Hovy 2016, 1603.01354)

    ``units`` are those of each direction, or half of the convolution's channels: both give vectors of one width.
    """

    def __init__(
        self, name: SpellingName, characters: int, *, embedding: int, units: int, cell: str | Cell, backend: str
    ) -> None:
        super().__init__()
        if name not in SPELLINGS:
            raise UsageError(f"there is no encoder of characters '{name}'{nearest(name, SPELLINGS)}")
        for option, value in (("character-embedding", embedding), ("character-hidden", units)):
            if value < 1:
                raise UsageError(f"--{option} is at least 1, not {value}")
        self.name = name
        self.embedding = nn.Embedding(characters, embedding)
        nn.init.normal_(self.embedding.weight, std=SCALE)
        self.recurrent: Recurrent | None = None
        self.convolution: nn.Conv1d | None = None
        if name == "recurrent":
            self.recurrent = _both_ways(cell, embedding, units, backend)
            self.output_size = self.recurrent.output_size
        else:
            self.convolution = nn.Conv1d(embedding, 2 * units, KERNEL, padding=KERNEL // 2)
            self.output_size = 2 * units

    def forward(self, characters: Tensor) -> Tensor:
        """(N, output_size), from the characters of N words (N, longest), `PADDING` behind their ends."""
        lengths = (characters != PADDING).sum(1)
        longest = int(lengths.max()) if len(lengths) else 0
        if not longest:
            return self.embedding.weight.new_zeros(len(characters), self.output_size)
        vectors = self.embedding(characters[:, :longest])
        if self.recurrent is not None:
            last: Tensor = self.recurrent(vectors, lengths=lengths, last_only=True).last
            return last
        valid = valid_steps(lengths, longest, vectors.device)[..., None]
        assert self.convolution is not None, "one of the two is there"
        convolved = self.convolution((vectors * valid).transpose(1, 2)).transpose(1, 2)
        return max_over_steps(convolved, lengths)


def _both_ways(cell: str | Cell, embedding: int, units: int, backend: str) -> Recurrent:
    found = get_cell(cell)
    width = units if found.has_projection else None
    return Recurrent(found, embedding, units, bidirectional=True, projection_size=width, backend=backend)
