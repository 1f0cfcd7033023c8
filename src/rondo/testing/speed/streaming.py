"""One step at a time, called from Python with one sequence: Rondo's stepper beside torch's cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rondo.layers import Recurrent
from rondo.models.language_model import LanguageModel, LanguageModelOptions
from rondo.testing.speed.layers import OURS
from rondo.testing.speed.timing import Effort, Interval, Run, Samples, timed

INPUT, SIZES = 64, (64, 256, 512)
VOCABULARY = 65


@dataclass(frozen=True)
class StepRow:
    """A step, measured."""

    name: str
    """``gru`` or ``model``."""
    hidden: int
    how: str
    """``stepper()``, or ``step()`` where there is none."""
    baseline: str
    samples: Samples

    @property
    def ratio(self) -> Interval:
        return self.samples.ratio(self.baseline, OURS)

    def to_dict(self) -> dict[str, Any]:
        """For a file of results."""
        return {
            "key": f"stream/{self.name}/{self.hidden}", "cell": self.name, "hidden": self.hidden, "how": self.how,
            "baseline": self.baseline, "microseconds": 1e6 * self.samples.median(OURS),
            "ratio": self.ratio.to_list(), "seconds": self.samples.to_dict(), "rounds": self.samples.rounds,
        }  # fmt: skip


def measure_step(hidden: int, effort: Effort, *, inputs: int = INPUT, backend: str = "auto") -> StepRow:
    """A GRU layer, one sequence, one step a call."""
    layer = Recurrent("gru", inputs, hidden, backend=backend).eval()
    cell = nn.GRUCell(inputs, hidden)
    cell.load_state_dict({name: getattr(layer, f"{name}_l0") for name in cell.state_dict()})
    whole = nn.GRU(inputs, hidden, batch_first=True)
    x = torch.randn(1, inputs)
    ours, how = advance(layer, x)
    runs = {OURS: ours, "torch.nn.GRUCell": _carried(cell, x), "torch.nn.GRU": _carried_whole(whole, x[:, None])}
    return _row("gru", hidden, how, runs, effort)


def measure_model(hidden: int, effort: Effort, *, backend: str = "auto") -> StepRow:
    """Embedding, two GRU layers and the read-out, one token a call."""
    model = LanguageModel(VOCABULARY, LanguageModelOptions(cell="gru", layers=2, hidden=hidden, embedding=INPUT)).eval()
    model.recurrent.backend = backend
    token = torch.tensor([7])
    ours, how = advance(model, token)
    plain = PlainSteps(hidden).eval()
    plain.load(model)
    return _row("model", hidden, how, {OURS: ours, "torch.nn": _carried(plain, token)}, effort)


class PlainSteps(nn.Module):
    """The same model as a user of torch writes it for one step."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, INPUT)
        self.cells = nn.ModuleList([nn.GRUCell(INPUT, hidden), nn.GRUCell(hidden, hidden)])
        self.readout = nn.Linear(hidden, VOCABULARY)
        self.state: list[Tensor | None] = [None, None]

    def load(self, model: LanguageModel) -> None:
        """Take the weights of Rondo's model."""
        self.embedding.load_state_dict(model.embedding.state_dict())
        self.readout.load_state_dict(model.readout.state_dict())
        for layer, cell in enumerate(self.cells):
            cell.load_state_dict({name: getattr(model.recurrent, f"{name}_l{layer}") for name in cell.state_dict()})

    def forward(self, token: Tensor, _: Any = None) -> Tensor:
        features = self.embedding(token)
        for number, cell in enumerate(self.cells):
            features = self.state[number] = cell(features, self.state[number])
        logits: Tensor = self.readout(features)
        return logits


def advance(module: Any, x: Tensor) -> tuple[Run, str]:
    """One step with the state carried on, by the stepper where there is one; and how it is called."""
    if hasattr(module, "stepper"):
        stepper = module.stepper()
        step = stepper if callable(stepper) else stepper.step
        return (lambda: step(x)), "stepper()"
    state: Any = None

    def run() -> None:
        nonlocal state
        _, state = module.step(x, state)

    return run, "step()"


def _carried(cell: Callable[..., Tensor], x: Tensor) -> Run:
    h: Tensor | None = None

    def run() -> None:
        nonlocal h
        h = cell(x, h)

    return run


def _carried_whole(layer: nn.GRU, x: Tensor) -> Run:
    h: Tensor | None = None

    def run() -> None:
        nonlocal h
        _, h = layer(x, h)

    return run


def _row(name: str, hidden: int, how: str, runs: dict[str, Run], effort: Effort) -> StepRow:
    with torch.inference_mode():
        samples = timed(runs, effort)
    baseline = samples.fastest([name for name in runs if name != OURS])
    return StepRow(name, hidden, how, baseline, samples)
