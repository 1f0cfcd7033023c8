"""A small language model on torch's own GRU, so that the training loop is tested by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rondo.training import Activations, Now, Result, TrainingOptions, TrainingSummary, train

SYMBOLS = 7


@dataclass(frozen=True)
class TextBatch:
    inputs: Tensor
    targets: Tensor
    fresh: bool


class TextSource:
    """Rows of a random but learnable text: a noisy walk through the symbols."""

    def __init__(self, *, rows: int = 4, length: int = 8, batches: int = 10, seed: int = 1) -> None:
        generator = torch.Generator().manual_seed(seed)
        moves = torch.randint(1, 3, (rows, batches * length + 1), generator=generator)
        self.text = moves.cumsum(1) % SYMBOLS
        self.length, self.batches_per_epoch = length, batches

    def batch(self, epoch: int, index: int) -> TextBatch:
        start = index * self.length
        window = self.text[:, start : start + self.length + 1]
        return TextBatch(window[:, :-1], window[:, 1:], index == 0)


class RaggedSource(TextSource):
    """The last batch of a pass has fewer rows, one of which may be all there is for two processes."""

    def batch(self, epoch: int, index: int) -> TextBatch:
        whole = super().batch(epoch, index)
        rows = 1 if index == self.batches_per_epoch - 1 else 1 + (index + epoch) % len(whole.inputs)
        return TextBatch(whole.inputs[:rows], whole.targets[:rows], True)


class TextModel(nn.Module):
    def __init__(self, *, hidden: int = 12, dropout: float = 0.3, seed: int = 2) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(SYMBOLS, 6)
        self.gru = nn.GRU(6, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, SYMBOLS)
        self.start = nn.Parameter(torch.randn(hidden) * 0.1)

    def forward(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if state is None:
            state = self.start.expand(1, inputs.shape[0], -1).contiguous()
        raw, state = self.gru(self.embedding(inputs), state)
        dropped = self.dropout(raw)
        return self.out(dropped), raw, dropped, state


@dataclass
class TextState:
    h: Tensor

    def detach(self) -> TextState:
        return TextState(self.h.detach())

    def state_dict(self) -> dict[str, Tensor]:
        return {"h": self.h}


class TextObjective:
    """Cross entropy with carried state; counts its calls so that a test can see them."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, model: nn.Module, batch: TextBatch, carried: TextState | None) -> Result:
        self.calls += 1
        logits, raw, dropped, state = model(batch.inputs, None if carried is None else carried.h)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")
        return Result(
            loss_sum=loss,
            count=batch.targets.numel(),
            carried=TextState(state),
            activations=Activations(raw=raw, dropped=dropped),
        )

    def restore(self, tensors: dict[str, Tensor]) -> TextState:
        return TextState(tensors["h"])


class TextEvaluator:
    """Loss on other text. Draws random numbers, which must not be noticed outside."""

    def __init__(self) -> None:
        self.source = TextSource(rows=2, length=20, batches=1, seed=9)
        self.calls = 0

    def __call__(self, model: nn.Module) -> dict[str, float]:
        self.calls += 1
        torch.rand(3)
        batch = self.source.batch(0, 0)
        logits = model(batch.inputs, None)[0]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        accuracy = (logits.argmax(-1) == batch.targets).float().mean()
        return {"valid_loss": loss.item(), "accuracy": accuracy.item()}


def run(
    folder: Path,
    *,
    model: TextModel | None = None,
    source: TextSource | None = None,
    resume: bool = False,
    progress: object = None,
    evaluate: bool = True,
    **options: object,
) -> tuple[TextModel, TrainingSummary]:
    """Train the toy; options as for ``TrainingOptions``, with a budget of 30 steps if none is given."""
    if not {"steps", "epochs", "minutes"} & options.keys():
        options["steps"] = 30
    options.setdefault("learning_rate", 0.01)
    model = model or TextModel()
    summary = train(
        model,
        source or TextSource(),
        TextObjective(),
        TextEvaluator() if evaluate else None,
        TrainingOptions(**options),
        folder,
        resume=resume,
        progress=progress,
    )
    return model, summary


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def scripted(values):
    """An evaluator that gives these losses one after the other; the first is that before training."""
    remaining = iter([9.0, *values])
    return lambda model: {"valid_loss": next(remaining)}


class Watcher:
    """Keeps what a progress display would be told."""

    def __init__(self):
        self.events: list[tuple] = []

    def start(self, **what):
        self.events.append(("start", what))

    def update(self, now: Now):
        self.events.append(("update", now))

    def evaluation(self, **what):
        self.events.append(("evaluation", what))

    def message(self, text):
        self.events.append(("message", text))

    def finish(self, summary):
        self.events.append(("finish", summary))
