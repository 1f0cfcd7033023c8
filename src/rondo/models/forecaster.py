"""The forecaster: many to many, out of step. A context goes in, what a head says of each step of the horizon comes out.

Four strategies, with any cell:

``segments``   the context is cut into segments, one step of the recurrence each; from its last state all segments of
               the horizon come at once, told apart by a learned position (Lin et al. 2023, "SegRNN: Segment Recurrent
               Neural Network for Long-Term Time Series Forecasting", section 3)
``direct``     the last output becomes all steps of the horizon in one product
``decoder``    a second recurrence begins with the state of the first and goes through the horizon, reading what is
               known in advance (as Wen et al. 2017, "A Multi-Horizon Quantile Recurrent Forecaster", have a product)
``recursive``  each step reads the value before it; forecasts are sampled paths, each value drawn being read by the
               next step (Salinas et al. 2020, "DeepAR", section 3)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rondo.cells import Cell
from rondo.errors import UsageError, nearest
from rondo.layers import RecurrentOutput, StackState
from rondo.layers.dropout import dropped, probability
from rondo.models.forecast_heads import HeadName, make_head
from rondo.models.forecast_inputs import Features, ForecastInputs, Kinds
from rondo.models.linear_path import LinearPath
from rondo.models.options import EnsembleOptions

Strategy = Literal["segments", "direct", "decoder", "recursive"]
START_WEIGHT = 0.1
"""What the weights of the last layer are multiplied by before anything is learned: small beside its bias."""
MOST_STARTED = 1_000_000
"""Values whose spread a step of the first forecast has, at most."""


@dataclass(frozen=True, kw_only=True)
class ForecasterOptions(EnsembleOptions):
    """The network."""

    cell: str = "gru"
    """The cell: a name such as lstm, gru or min_gru, or your own as FILE.py:NAME."""
    layers: int = 1
    """Recurrent layers on top of each other."""
    hidden: int = 128
    """Units in each layer."""
    strategy: Strategy = "segments"
    """How the horizon comes about: segments (SegRNN), direct, decoder (a second recurrence), or recursive (sampled
    paths, as DeepAR)."""
    head: HeadName = "quantiles"
    """What is said of each step: mse, mae or huber (a point, by that loss), quantiles, gaussian, student_t, or
    negative_binomial (counts)."""
    segment: int | None = None
    """Rows in a segment, for --strategy segments. Left out: half a season, but no longer than the horizon and
    what is read."""
    output_dropout: float = 0.0
    """Probability of dropping values before the recurrence's output becomes a forecast."""
    linear_path: bool = False
    """Add what the network says to a linear forecast from the context, which ridge regression finds before the network
    learns: where a linear forecast is hard to beat, the network begins there, and stays there if it learns nothing
    that is better on the validation part."""
    linear_ridge: float | None = None
    """What is added to the variance of each value of the context in that regression, in units of their mean variance:
    more of it makes a smoother forecast. Left out: 0.1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strategy not in get_args(Strategy):
            raise UsageError(f"there is no strategy '{self.strategy}'{nearest(self.strategy, get_args(Strategy))}")
        if self.segment is not None and (self.segment < 1 or self.strategy != "segments"):
            raise UsageError("--segment is at least 1, and belongs to --strategy segments")
        if self.linear_path and (self.strategy == "recursive" or self.head == "negative_binomial"):
            raise UsageError(
                "--linear-path says the whole horizon at once, in numbers of any sign: it goes neither with --strategy "
                "recursive nor with --head negative_binomial"
            )
        if self.linear_ridge is not None and (self.linear_ridge < 0 or not self.linear_path):
            raise UsageError("--linear-ridge is at least 0, and belongs to --linear-path")


class Forecaster(nn.Module):
    """Context and covariates in, parameters of a head for each step of the horizon out."""

    def __init__(
        self,
        horizon: int,
        features: Features,
        options: ForecasterOptions,
        *,
        season: int = 1,
        context_length: int | None = None,
        cell: Cell | None = None,
    ) -> None:
        super().__init__()
        if horizon < 1:
            raise UsageError(f"a horizon is at least 1, not {horizon}")
        if options.linear_path and context_length is None:
            raise UsageError("a linear path reads so many rows and no others: give a context_length")
        self.horizon, self.features, self.strategy = horizon, features, options.strategy
        self.head = make_head(options.head)
        self.output_dropout = probability("output_dropout", options.output_dropout)
        self.past_kinds, self.future_kinds, self.static_kinds = map(
            Kinds, (features.past_kinds, features.future_kinds, features.static_kinds)
        )
        ahead = features.future + self.future_kinds.output_size
        static = features.static + self.static_kinds.output_size
        each = 1 + features.masked + features.past + self.past_kinds.output_size + ahead
        hidden, size = options.hidden, self.head.size
        self.segment = 1
        if options.strategy == "segments":
            read = horizon if context_length is None else context_length
            self.segment = min(options.segment or min(max(1, season // 2), read), horizon)
            if self.segment > read:
                raise UsageError(
                    f"--segment {options.segment} does not fit into the {read} rows that are read: take a shorter one, "
                    "or a longer --context-length if the series have the rows"
                )
            count = -(-horizon // self.segment)
            self.enter = nn.Linear(each * self.segment + static, hidden)
            self.position = nn.Parameter(torch.randn(count, hidden) * 0.1)
            self.ahead = nn.Linear(ahead * self.segment + static, hidden, bias=False) if ahead + static else None
            self.recurrent = options.build(hidden, cell=cell)
            self.leave = nn.Linear(self.recurrent.output_size, self.segment * size)
        else:
            self.recurrent = options.build(each + static, cell=cell)
            steps = horizon if options.strategy == "direct" else 1
            if options.strategy == "direct":
                self.ahead = nn.Linear(ahead, size, bias=False) if ahead else None
            if options.strategy == "decoder":
                self.position = nn.Parameter(torch.randn(horizon, hidden) * 0.1)
                self.decoder = options.build(hidden + ahead + static, cell=cell)
            self.leave = nn.Linear(self.recurrent.output_size, steps * size)
        self.linear = LinearPath(context_length, horizon) if options.linear_path and context_length else None

    @property
    def members(self) -> Sequence[Forecaster]:
        """The networks that answer: this one."""
        return (self,)

    @torch.no_grad()
    def begin(self, targets: Tensor, unit: Tensor, context: Tensor) -> None:
        """Let the first forecast, whatever the context, be about how scaled ``targets`` (N, horizon) are spread.

        ``unit`` (N,) is theirs, ``context`` (N, L) what is before them: a linear path stays what it is, and what it
        leaves is spread so. Where the last layer serves several steps, it begins with what they have in common.
        """
        if self.linear is not None:
            targets = targets - self.linear(context)
        size, slots = self.head.size, self.leave.out_features // self.head.size
        self.leave.weight *= START_WEIGHT
        if self.strategy == "direct" and self.ahead is not None:  # it reaches the forecast, too
            self.ahead.weight *= START_WEIGHT
        for slot in range(slots):
            own, units = targets[:, slot::slots], unit[:, None].expand_as(targets)[:, slot::slots]
            known = ~torch.isnan(own)
            if known.any():
                some = slice(None, None, -(-int(known.sum()) // MOST_STARTED))
                self.leave.bias[slot * size : (slot + 1) * size] = self.head.start(own[known][some], units[known][some])

    def follow(self, inputs: ForecastInputs, state: StackState | None = None) -> RecurrentOutput:
        """Run over the rows of the context, going on from ``state``: what a forecast is made from."""
        table, _, static = self._table(inputs)
        return self.recurrent(torch.cat([table, *_along(static, table.shape[1])], -1), state, last_only=True)

    def forward(
        self, inputs: ForecastInputs, target: Tensor | None = None, *, reads: Sequence[RecurrentOutput] = ()
    ) -> Tensor:
        """Parameters (B, horizon, size); `recursive` reads the scaled ``target`` (B, horizon), NaN where missing.

        ``reads`` is what `follow` gave for each of `members`, in place of the context.
        """
        said = self._say(inputs, target, reads)
        return said if self.linear is None else self.head.moved(said, self.linear(inputs.context))

    def _say(self, inputs: ForecastInputs, target: Tensor | None, reads: Sequence[RecurrentOutput]) -> Tensor:
        """What the recurrent network says by itself."""
        table, ahead, static = self._table(inputs)
        if self.strategy == "segments":
            return self._segments(table, ahead, static)
        if self.strategy == "recursive":
            if target is None:
                raise UsageError("a recursive forecaster reads the values before each step; it is sampled from.")
            return self._teach(inputs, target)
        read = reads[0] if reads else self.follow(inputs)
        if self.strategy == "direct":
            parameters = self.leave(self._drop(read.last)).unflatten(-1, (self.horizon, self.head.size))
            return parameters if self.ahead is None else parameters + self.ahead(ahead)
        entering = [self.position.expand(len(table), -1, -1), ahead, *_along(static, self.horizon)]
        decoded = self.decoder(torch.cat(entering, -1), read.state).sequence
        said: Tensor = self.leave(self._drop(decoded))
        return said

    @torch.no_grad()
    def sample(
        self,
        inputs: ForecastInputs,
        paths: int,
        generator: torch.Generator | None = None,
        *,
        reads: Sequence[RecurrentOutput] = (),
    ) -> Tensor:
        """Sampled futures (B, horizon, paths), scaled; ``reads`` as for `forward`.

        Of `recursive` they are paths: each value follows from the ones before. The others draw each step by itself
        from what they say of it.
        """
        if self.strategy != "recursive":
            parameters = self(inputs, reads=reads)[:, :, None].expand(-1, -1, paths, -1)
            return self.head.sample(parameters, inputs.unit[:, None, None], generator)
        table, ahead, static = self._table(inputs)
        read = reads[0] if reads else self.follow(inputs)
        many = torch.arange(len(table), device=table.device).repeat_interleave(paths)
        state: StackState = read.state.select(many)
        said, ahead, static, unit = self.leave(read.last)[many], ahead[many], static[many], inputs.unit[many]
        drawn = [self.head.sample(said, unit, generator)]
        for step in range(1, self.horizon):
            read = self.recurrent(
                self._after(drawn[-1][:, None], ahead[:, step : step + 1], static), state, last_only=True
            )
            state = read.state
            drawn.append(self.head.sample(self.leave(read.last), unit, generator))
        return torch.stack(drawn, 1).unflatten(0, (len(table), paths)).transpose(1, 2)

    def _table(self, inputs: ForecastInputs) -> tuple[Tensor, Tensor, Tensor]:
        """What is known of each row of the context, of each row of the horizon, and of the series."""
        L = inputs.context.shape[1]
        future = torch.cat([inputs.future, *self.future_kinds(inputs.future_codes)], -1)
        own = [inputs.context[..., None], *([inputs.known[..., None]] if self.features.masked else []), inputs.past]
        # A recursive network forecasts the next row at each: it reads what is known of that one.
        beside = future[:, 1 : L + 1] if self.strategy == "recursive" else future[:, :L]
        table = torch.cat([*own, *self.past_kinds(inputs.past_codes), beside], -1)
        return table, future[:, L:], torch.cat([inputs.static, *self.static_kinds(inputs.static_codes)], -1)

    def _segments(self, table: Tensor, ahead: Tensor, static: Tensor) -> Tensor:
        B, L, _ = table.shape
        if self.segment > L:
            raise UsageError(f"a segment of {self.segment} rows does not fit into a context of {L}")
        cut = table[:, L % self.segment :].unflatten(1, (-1, self.segment)).flatten(2)
        entering = self.enter(torch.cat([cut, *_along(static, cut.shape[1])], -1)).relu()
        state = self.recurrent(entering, last_only=True).state
        count = len(self.position)
        positions = self.position.expand(B, -1, -1)
        if self.ahead is not None:
            short = count * self.segment - self.horizon
            whole = nn.functional.pad(ahead, (0, 0, 0, short)).unflatten(1, (count, self.segment)).flatten(2)
            positions = positions + self.ahead(torch.cat([whole, *_along(static, count)], -1))
        each = torch.arange(B, device=table.device).repeat_interleave(count)
        read = self.recurrent(positions.flatten(0, 1)[:, None], state.select(each), last_only=True).last
        parameters = self.leave(self._drop(read)).unflatten(-1, (self.segment, self.head.size))
        return parameters.unflatten(0, (B, count)).flatten(1, 2)[:, : self.horizon]

    def _teach(self, inputs: ForecastInputs, target: Tensor) -> Tensor:
        """Parameters of the horizon, each step reading the true value before it."""
        table, ahead, static = self._table(inputs)
        L = table.shape[1]
        entering = torch.cat([table, *_along(static, L)], -1)
        if self.horizon > 1:
            later = self._after(target[:, :-1], ahead[:, 1:], static)
            entering = torch.cat([entering, later], 1)
        said: Tensor = self.leave(self._drop(self.recurrent(entering).sequence[:, L - 1 :]))
        return said

    def _after(self, values: Tensor, ahead: Tensor, static: Tensor) -> Tensor:
        """Rows of the horizon (B, T): values, and what was known in advance; past covariates are zero there."""
        known = ~torch.isnan(values)
        own = [
            torch.where(known, values, 0.0)[..., None],
            *([known[..., None].to(values.dtype)] * self.features.masked),
        ]
        empty = values.new_zeros(*values.shape, self.features.past + self.past_kinds.output_size)
        return torch.cat([*own, empty, ahead, *_along(static, values.shape[1])], -1)

    def _drop(self, features: Tensor) -> Tensor:
        if not self.training or not self.output_dropout:
            return features
        whole = features if features.dim() == 3 else features[:, None]
        return dropped(whole, self.output_dropout, locked=False).reshape(features.shape)


def _along(static: Tensor, steps: int) -> list[Tensor]:
    """What is known of the series, beside each of its steps."""
    return [static[:, None].expand(-1, steps, -1)] if static.shape[-1] else []
