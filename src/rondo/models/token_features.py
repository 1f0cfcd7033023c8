"""What stands before the layers of a tagger: words, their shapes and spellings, and pairs of neighbours, as vectors.

A token comes as a row of whole numbers, so that sentences are batched as any other sequences. The columns are
`WORD`, `SHAPE`, `LEFT` and `RIGHT`; where spellings are read also `KEY` and the characters, `PADDING` behind them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rondo.cells import Cell
from rondo.errors import UsageError
from rondo.models.options import RecurrentOptions
from rondo.models.spelling import Spelling, SpellingName

WORD, SHAPE, LEFT, RIGHT, KEY, CHARACTERS = range(6)
"""Columns: the word, its shape, the pairs with the token before and after it, a number that no other spelling has,
and where the characters begin."""
UNKNOWN = 0
"""The number of words, shapes and pairs that are not known."""
SCALE = 0.1
"""Of all vectors at first."""


@dataclass(frozen=True, kw_only=True)
class FeatureOptions(RecurrentOptions):
    """The network."""

    embedding: int = 100
    """Width of the word vectors (of Chinese: of the character vectors)."""
    spelling: SpellingName | None = "recurrent"
    """What reads the characters of a word: recurrent, in both directions, or convolution."""
    character_embedding: int = 30
    """Width of the vectors of the characters in words."""
    character_hidden: int = 30
    """Units in each direction of what reads them, or half the channels of the convolution."""
    shape_embedding: int = 16
    """Width of the vectors of shapes: capitals, small letters, digits and signs in their order; 0: none."""
    pair_embedding: int = 0
    """Width of the vectors of pairs of neighbouring tokens, for Chinese by characters; 0: none."""
    word_dropout: float = 0.25
    """How readily words are taken for unknown in training: this over itself and the word's frequency, so at 0.25
    a word that occurs once is in one case of five. Pairs likewise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("embedding", 1), ("shape_embedding", 0), ("pair_embedding", 0), ("word_dropout", 0)):
            if not getattr(self, name) >= least:
                raise UsageError(f"--{name.replace('_', '-')} is at least {least}, not {getattr(self, name)}")


class Sizes(NamedTuple):
    """How many there are of each."""

    words: int
    shapes: int
    pairs: int
    characters: int


class Frequencies(NamedTuple):
    """How often the training part has each; what is unknown counts 0."""

    words: Tensor
    pairs: Tensor


class TokenFeatures(nn.Module):
    """Vectors (B, T, output_size) of tokens given as rows (B, T, columns).

    With ``frequencies``, in training, rare words and pairs are replaced by the unknown one at random
    (Kiperwasser and Goldberg 2016, 1603.04351), which so learns a vector of its own.
    """

    rare_words: Tensor
    rare_pairs: Tensor

    def __init__(self, sizes: Sizes, options: FeatureOptions, *, cell: Cell | None = None) -> None:
        super().__init__()
        self.word_dropout = options.word_dropout
        self.words = _table(sizes.words, options.embedding)
        self.shapes = _table(sizes.shapes, options.shape_embedding) if options.shape_embedding else None
        self.pairs = _table(sizes.pairs, options.pair_embedding) if options.pair_embedding else None
        self.spelling: Spelling | None = None
        if options.spelling is not None:
            self.spelling = Spelling(
                options.spelling, sizes.characters, embedding=options.character_embedding,
                units=options.character_hidden, cell=cell or options.cell, backend=options.backend,
            )  # fmt: skip
        self.output_size = (
            options.embedding
            + options.shape_embedding
            + 2 * options.pair_embedding
            + (self.spelling.output_size if self.spelling is not None else 0)
        )
        # They matter to training alone, which counts anew, so they are not kept with the weights.
        self.register_buffer("rare_words", torch.zeros(sizes.words), persistent=False)
        self.register_buffer("rare_pairs", torch.zeros(sizes.pairs), persistent=False)

    def replace_rare(self, frequencies: Frequencies) -> None:
        """From now on, in training, take what is rare for unknown."""
        a = self.word_dropout
        for buffer, counts in ((self.rare_words, frequencies.words), (self.rare_pairs, frequencies.pairs)):
            if a:
                buffer.copy_(a / (a + counts.to(buffer.dtype)))

    def forward(self, rows: Tensor) -> Tensor:
        vectors = [self.words(self._known(rows[..., WORD], self.rare_words))]
        if self.shapes is not None:
            vectors.append(self.shapes(rows[..., SHAPE]))
        if self.pairs is not None:
            vectors += [self.pairs(self._known(rows[..., place], self.rare_pairs)) for place in (LEFT, RIGHT)]
        if self.spelling is not None:
            vectors.append(self._spelled(rows, self.spelling))
        return torch.cat(vectors, -1) if len(vectors) > 1 else vectors[0]

    def _known(self, numbers: Tensor, rare: Tensor) -> Tensor:
        if not self.training or not self.word_dropout:
            return numbers
        chance = rare[numbers]
        return numbers.masked_fill(torch.rand_like(chance) < chance, UNKNOWN)

    def _spelled(self, rows: Tensor, spelling: Spelling) -> Tensor:
        """Each spelling of the batch is read once, however often it occurs."""
        keys, places = rows[..., KEY].unique(return_inverse=True)
        flat = places.reshape(-1)
        one = flat.new_empty(len(keys)).scatter_(0, flat, torch.arange(len(flat), device=flat.device))
        read: Tensor = spelling(rows.reshape(-1, rows.shape[-1])[one, CHARACTERS:])
        return read[places]


def _table(size: int, width: int) -> nn.Embedding:
    table = nn.Embedding(size, width)
    nn.init.normal_(table.weight, std=SCALE)
    return table
