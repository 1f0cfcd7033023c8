"""Answering as a plain script in PyTorch does: batches in the order of the file, padded to the longest of each.

With ``packed`` the padding is left out by `pack_padded_sequence`, and the answers are Rondo's. Without it, as plain
scripts mostly have it, the padding is computed, and the reverse direction begins in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from rondo.models.token_features import CHARACTERS, SHAPE, WORD

AT_ONCE = 32


def in_order(rows: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches as they come, padded."""
    for start in range(0, len(rows), AT_ONCE):
        part = [torch.from_numpy(row.astype("int64")) for row in rows[start : start + AT_ONCE]]
        yield pad_sequence(part, batch_first=True), torch.tensor([len(row) for row in part])


class Both(nn.Module):
    """A recurrent layer of torch's in both directions: all outputs, and those at the ends."""

    def __init__(self, recurrent: Any, *, packed: bool) -> None:
        super().__init__()
        kind: Any = getattr(nn, recurrent.cell.name.upper())
        self.layer = kind(recurrent.input_size, recurrent.hidden_size, bidirectional=True, batch_first=True)
        self.layer.load_state_dict(recurrent.state_dict())
        self.packed = packed

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if self.packed:
            output = self.layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))[0]
            sequence, _ = pad_packed_sequence(output, batch_first=True)
        else:
            sequence = self.layer(x)[0]
        half = self.layer.hidden_size
        forth = sequence[torch.arange(len(x)), lengths - 1, :half]
        return sequence, torch.cat([forth, sequence[:, 0, half:]], 1)


class PlainTagger(nn.Module):
    """Words, shapes and characters, a recurrent network in both directions, scores of tags, the best path."""

    def __init__(self, network: Any, *, packed: bool) -> None:
        super().__init__()
        features = network.input
        self.words, self.shapes, self.characters = features.words, features.shapes, features.spelling.embedding
        self.speller = Both(features.spelling.recurrent, packed=packed)
        self.recurrent = Both(network.recurrent, packed=packed)
        self.head, self.scores = network.head, network.transitions()

    @torch.inference_mode()
    def forward(self, rows: Tensor, lengths: Tensor) -> list[list[int]]:
        B, T, _ = rows.shape
        spelled = rows[..., CHARACTERS:].reshape(B * T, -1)
        ends = (spelled != 0).sum(1).clamp(min=1)
        spelled = spelled[:, : int(ends.max())]
        letters = self.speller(self.characters(spelled), ends)[1].view(B, T, -1)
        vectors = torch.cat([self.words(rows[..., WORD]), self.shapes(rows[..., SHAPE]), letters], -1)
        return best_paths(self.head(self.recurrent(vectors, lengths)[0]), self.scores, lengths)


def best_paths(emission: Tensor, scores: Any, lengths: Tensor) -> list[list[int]]:
    """Viterbi over a padded batch, step by step."""
    best, back = scores.start + emission[:, 0], []
    for t in range(1, emission.shape[1]):
        sums, before = (best[:, :, None] + scores.between + emission[:, t, None]).max(1)
        best = torch.where((t < lengths)[:, None], sums, best)
        back.append(before.numpy())
    found = []
    for place, (tag, length) in enumerate(zip((best + scores.end).argmax(1).tolist(), lengths.tolist(), strict=True)):
        path = [tag]
        for t in range(length - 2, -1, -1):
            path.append(int(back[t][place, path[-1]]))
        found.append(path[::-1])
    return found


class PlainClassifier(nn.Module):
    """Words, a recurrent network in both directions; last, largest and mean output; classes."""

    def __init__(self, network: Any, *, packed: bool) -> None:
        super().__init__()
        self.embedding, self.head = network.input.embedding, network.head
        self.recurrent = Both(network.recurrent, packed=packed)

    @torch.inference_mode()
    def forward(self, tokens: Tensor, lengths: Tensor) -> list[int]:
        sequence, last = self.recurrent(self.embedding(tokens), lengths)
        valid = (torch.arange(tokens.shape[1]) < lengths[:, None])[..., None]
        largest = sequence.masked_fill(~valid, -torch.inf).max(1).values
        mean = (sequence * valid).sum(1) / lengths[:, None]
        found: list[int] = self.head(torch.cat([last, largest, mean], 1)).argmax(1).tolist()
        return found
