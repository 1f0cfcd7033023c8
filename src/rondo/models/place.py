"""The place in a text of lines, told to the network: its form, the line, the position in the line.

Li et al. 2020, "Rigid Formats Controlled Text Generation" (SongNet), add vectors of the position in the
line and of the line to those of the tokens, taken from a template that is known in advance. Here they
come from the tokens read so far and from nothing else: nothing is asked of the tokens that follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from rondo.errors import ModelError, UsageError
from rondo.layers import StackState
from rondo.layers.masks import checked_lengths, checked_reset

PARTS = ("place_form", "place_line", "place_position")
"""What of the place is in the state, (B, 1) each, int64: form (0: none), full lines, tokens of the line so far."""

_ORDINARY, _ENDS_LINE, _FIRST_FORM = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class PlaceTokens:
    """Which tokens say where a text is."""

    forms: tuple[int, ...]
    """Tokens that begin a text in a form of their own."""
    line_ends: tuple[int, ...]
    """Tokens that end a line."""
    most: int = 15
    """Lines and positions from this number on are not told apart."""

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """From a configuration in which anything may stand."""
        forms, line_ends, most = saved["forms"], saved["line_ends"], saved["most"]
        numbers = (*forms, *line_ends, most)
        if any(type(number) is not int for number in numbers) or len({*forms, *line_ends}) + 1 != len(numbers):
            raise ModelError("the tokens of its place are not different whole numbers")
        return cls(forms=tuple(forms), line_ends=tuple(line_ends), most=most)


class Place(nn.Module):
    """A vector for each token: that of its form and position, and that of its form and line, added up.

    The place after a token counts the token itself: behind the first character of a line the position is 1,
    behind a mark that ends the line it is 0 and there is a line more.
    """

    def __init__(self, tokens: PlaceTokens, vocabulary_size: int, width: int) -> None:
        super().__init__()
        if tokens.most < 1:
            raise UsageError(f"most is at least 1, not {tokens.most}")
        kinds = dict.fromkeys(tokens.line_ends, _ENDS_LINE)
        kinds |= {token: number for number, token in enumerate(tokens.forms, _FIRST_FORM)}
        if outside := [token for token in kinds if not 0 <= token < vocabulary_size]:
            raise UsageError(f"token {outside[0]} is not in a vocabulary of {vocabulary_size}")
        self.tokens = tokens
        table = [kinds.get(token, _ORDINARY) for token in range(vocabulary_size)]
        self.register_buffer("_kinds", torch.tensor(table), persistent=False)
        rows = (len(tokens.forms) + 1) * (tokens.most + 1)
        self.position = nn.Embedding(rows, width)
        self.line = nn.Embedding(rows, width)

    def forward(
        self,
        tokens: Tensor,
        before: StackState | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | Sequence[Sequence[bool]] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Vectors (B, T, width), and the place behind the last token; ``lengths``, ``reset`` as in `Recurrent`."""
        if tokens.dim() != 2:
            raise UsageError(f"tokens have shape {tuple(tokens.shape)}; expected (batch, time)")
        B, T = tokens.shape
        ends = checked_lengths(lengths, B, T)
        begin = self._begin(tokens, before)
        places = self._counted(tokens, begin, checked_reset(reset, B, T, tokens.device))
        form, *counts = places
        line, position = (value.clamp(max=self.tokens.most) for value in counts)
        row = form * (self.tokens.most + 1)
        vectors = self.position(row + position) + self.line(row + line)
        last = torch.full((B, 1), T) if ends is None else ends[:, None]
        return vectors, {
            name: torch.cat([first, value], 1).gather(1, last.to(tokens.device))
            for name, first, value in zip(PARTS, begin, (form, line, position), strict=True)
        }

    def _begin(self, tokens: Tensor, before: StackState | None) -> list[Tensor]:
        """The place before the tokens; numbers that no counting gives are brought into the tables' range."""
        B = tokens.shape[0]
        if before is None:
            return [tokens.new_zeros(B, 1)] * len(PARTS)
        whole = before.to(torch.int64)  # it goes along where a state is converted to the layers' type
        whole.checked(dict.fromkeys(PARTS, 1), B, dtype=torch.int64, device=tokens.device)
        highest = (len(self.tokens.forms), self.tokens.most, self.tokens.most)
        return [whole[name].clamp(0, limit) for name, limit in zip(PARTS, highest, strict=True)]

    def _counted(self, tokens: Tensor, begin: Sequence[Tensor], reset: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Form, line and position behind each token, (B, T) each: counted since the last token that began anew."""
        kinds: Tensor = self.get_buffer("_kinds")[tokens]
        starts, ends = kinds >= _FIRST_FORM, kinds == _ENDS_LINE
        forms = torch.where(starts, kinds - _ENDS_LINE, 0)  # from 1 on; 0 is none
        anew = starts if reset is None else starts | reset
        step = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)

        origin = _latest(anew, step)
        inside, origin = origin >= 0, origin.clamp(min=0)
        form = torch.where(inside, forms.gather(1, origin), begin[0])

        lines = ends.long().cumsum(1)
        line = lines + torch.where(inside, (ends.long() - lines).gather(1, origin), begin[1])

        broken = _latest(starts | ends, step + 1)
        if reset is not None:
            broken = torch.maximum(broken, _latest(reset, step))
        position = step + 1 + torch.where(broken >= 0, -broken, begin[2])
        return form, line, position


def split_state(state: StackState | None) -> tuple[StackState | None, StackState | None]:
    """The state of the layers, and that of the place."""
    if not isinstance(state, StackState):
        return state, None  # what is no state the layers refuse
    parts = state.parts()
    if missing := [name for name in PARTS if name not in parts]:
        raise UsageError(f"the state has no {' and no '.join(missing)}, which this model needs")
    place = StackState({name: parts.pop(name) for name in PARTS})
    if not parts:
        raise UsageError("the state has the place only, nothing of the layers")
    return StackState(parts), place


def _latest(marked: Tensor, value: Tensor) -> Tensor:
    """The value at the last marked step up to each step, -1 if there was none; the values grow with the steps."""
    return torch.where(marked, value, -1).cummax(1).values if marked.shape[1] else value


class Places:
    """The places of several texts, counted token by token: what `Place` computes, without tensors."""

    def __init__(self, place: Place, batch_size: int) -> None:
        self._kinds: list[int] = place.get_buffer("_kinds").tolist()
        self._forms, self._most = len(place.tokens.forms), place.tokens.most
        self._device = place.get_buffer("_kinds").device
        self._now = [[0, 0, 0] for _ in range(batch_size)]
        self._rows = torch.zeros(1 + 2, batch_size, dtype=torch.int64)
        self._written = self._rows.numpy()

    def rows(self, tokens: Sequence[int]) -> Tensor:
        """Count the tokens. (3, B), the same memory each time: rows of the tables of tokens, positions and lines."""
        if outside := [token for token in tokens if not 0 <= token < len(self._kinds)]:
            raise IndexError(f"token {outside[0]} is not in a vocabulary of {len(self._kinds)}")
        most = self._most
        for b, token in enumerate(tokens):
            kind, now = self._kinds[token], self._now[b]
            if kind >= _FIRST_FORM:
                now[:] = kind - _ENDS_LINE, 0, 0
            elif kind == _ENDS_LINE:
                now[1:] = min(now[1] + 1, most), 0
            else:
                now[2] = min(now[2] + 1, most)
            form = now[0] * (most + 1)
            self._written[:, b] = token, form + now[2], form + now[1]
        return self._rows if self._device.type == "cpu" else self._rows.to(self._device)

    def parts(self) -> dict[str, Tensor]:
        """The places as `Place` returns them."""
        counts = torch.tensor(self._now, device=self._device)
        return {name: counts[:, number : number + 1].clone() for number, name in enumerate(PARTS)}

    def set(self, parts: StackState) -> None:
        """Go on from these places."""
        whole = parts.to(torch.int64)
        whole.checked(dict.fromkeys(PARTS, 1), len(self._now), dtype=torch.int64, device=self._device)
        limits = torch.tensor([self._forms, self._most, self._most], device=self._device)
        self._now = torch.cat([whole[name] for name in PARTS], 1).clamp(limits.new_zeros(3), limits).tolist()

    def reset(self, mask: Tensor | Sequence[bool] | None = None) -> None:
        """Begin anew: all texts, or those where ``mask`` is True."""
        for b, now in enumerate(self._now):
            if mask is None or mask[b]:
                now[:] = 0, 0, 0
