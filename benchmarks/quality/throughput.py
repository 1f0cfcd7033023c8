"""Tokens a second of text training, beside the same model written plainly in PyTorch.

``python benchmarks/quality/throughput.py``: both train on the same batches, in turn, in one
process; the ratio is taken pair by pair, the median of the pairs is reported with its quartiles.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.data.streams import TokenStream
from rondo.inspect import collect
from rondo.models.language_model import LanguageModel, LanguageModelOptions
from rondo.tasks.text.objective import NextToken
from rondo.tasks.text.options import TextTraining
from rondo.training.loop import train

VOCABULARY = 65
RESULT = Path(__file__).parent / "results" / "throughput.json"


class PlainModel(nn.Module):
    """What a user of PyTorch would write."""

    def __init__(self, kind: str, embedding: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, embedding)
        self.rnn = getattr(nn, kind)(embedding, hidden, layers, batch_first=True, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, VOCABULARY)

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        sequence, state = self.rnn(self.embedding(tokens), state)
        return self.readout(self.dropout(sequence)), state


def plain_seconds(model: PlainModel, source: TokenStream, steps: int) -> float:
    """Train as the usual script does."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    state = None
    model.train()
    started = time.perf_counter()
    for step in range(steps):
        batch = source.batch(*divmod(step, source.batches_per_epoch))
        if state is not None:
            state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        logits, state = model(batch.inputs, state)
        loss = F.cross_entropy(logits.reshape(-1, VOCABULARY), batch.targets.reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        loss.item()
    return time.perf_counter() - started


def rondo_seconds(options: LanguageModelOptions, source: TokenStream, steps: int, folder: Path) -> float:
    """Train through Rondo's loop, as the command line does."""
    network = LanguageModel(VOCABULARY, options)
    training = TextTraining(steps=steps, warmup_steps=0, checkpoint_minutes=0.0)
    summary = train(network, source, NextToken(), None, training, folder)
    return summary.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=1_000_000).astype(np.uint8)
    source = TokenStream(tokens, batch_size=64, bptt_length=100)
    rows = [measured(cell, source, arguments) for cell in ("lstm", "gru")]
    provenance = collect().to_dict()
    result = {
        "command": "python benchmarks/quality/throughput.py",
        "machine": f"{provenance['processor']}, {provenance['cores']} cores",
        "versions": provenance["versions"],
        "threads": arguments.threads,
        "rows": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def measured(cell: str, source: TokenStream, arguments: argparse.Namespace) -> dict[str, Any]:
    """Pairs of plain and Rondo runs of one cell."""
    import tempfile

    options = LanguageModelOptions(cell=cell, hidden=256, embedding=64)
    tokens = arguments.steps * source.batch_size * source.bptt_length
    runs: dict[str, Callable[[], float]] = {}
    rates: dict[str, list[float]] = {"plain": [], "rondo": []}
    for pair in range(arguments.pairs + 1):  # the first warms up
        with tempfile.TemporaryDirectory() as folder:
            plain = PlainModel(cell.upper(), 64, 256, 2, 0.1)
            runs = {
                "plain": lambda model=plain: plain_seconds(model, source, arguments.steps),  # type: ignore[misc]
                "rondo": lambda place=folder: rondo_seconds(options, source, arguments.steps, Path(place)),  # type: ignore[misc]
            }
            for name in ("plain", "rondo") if pair % 2 else ("rondo", "plain"):
                seconds = runs[name]()
                if pair:
                    rates[name].append(tokens / seconds)
    ratios = [ours / theirs for ours, theirs in zip(rates["rondo"], rates["plain"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{cell}: rondo {statistics.median(rates['rondo']):,.0f} tokens/s, plain torch "
        f"{statistics.median(rates['plain']):,.0f}, ratio {middle:.3f} [{low:.3f}, {high:.3f}]"
    )
    return {
        "cell": cell, "model": "2 x 256, embedding 64, batch 64, 100 steps",
        "rondo_tokens_per_second": statistics.median(rates["rondo"]),
        "torch_tokens_per_second": statistics.median(rates["plain"]),
        "ratio": middle, "ratio_quartiles": [low, high], "pairs": len(ratios),
    }  # fmt: skip


if __name__ == "__main__":
    main()
