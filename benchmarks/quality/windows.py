"""Windows a second of a forecaster's training on ETTh1, beside the same network written plainly in PyTorch.

``python benchmarks/quality/windows.py``: both learn from windows of all seven columns, 96 hours to 96 hours, in turn,
in one process; the ratio is taken pair by pair, the median of the pairs is reported with its quartiles.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from forecast_data import ett
from row import DATA
from torch import Tensor, nn

from rondo.data.series import SeriesSet, from_frame
from rondo.inspect import collect
from rondo.models.forecaster import ForecasterOptions
from rondo.tasks.forecast.learning import ForecastLoss, WindowBatches, prepare
from rondo.tasks.forecast.options import ForecastData, ForecastOptions, ForecastTraining
from rondo.training.loop import train

RESULT = Path(__file__).parent / "results" / "windows.json"
TRAINING_ROWS, CONTEXT, HORIZON, BATCH = 8640, 96, 96, 128


class PlainForecaster(nn.Module):
    """What a user of PyTorch would write: a GRU over the context, one product for the horizon."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(1, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, HORIZON)

    def forward(self, context: Tensor) -> Tensor:
        last = context[:, -1:]
        _, state = self.rnn((context - last)[..., None])
        forecast: Tensor = self.readout(state[-1]) + last
        return forecast


def plain_windows(source: SeriesSet) -> Tensor:
    """All windows of all columns, scaled, as a view that each batch is taken from."""
    values = torch.tensor(source.values.reshape(len(source), -1)[:, :TRAINING_ROWS], dtype=torch.float32)
    scaled = (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True)
    return scaled.unfold(1, CONTEXT + HORIZON, 1)


def plain_seconds(hidden: int, windows: Tensor, steps: int) -> float:
    """Train as the usual script does, from windows that are in memory."""
    model = PlainForecaster(hidden)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    order = torch.randperm(windows.shape[0] * windows.shape[1])
    started = time.perf_counter()
    for step in range(steps):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        batch = windows[chosen % windows.shape[0], chosen // windows.shape[0]]
        loss = (model(batch[:, :CONTEXT]) - batch[:, CONTEXT:]).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        loss.item()
    return time.perf_counter() - started


def rondo_seconds(hidden: int, source: SeriesSet, steps: int, threads: int) -> float:
    """Train through Rondo's loop, as the command line does, windows made for each batch."""
    options = ForecastOptions(
        data=ForecastData(horizon=HORIZON, context_length=CONTEXT, calendar="none"),
        model=ForecasterOptions(strategy="direct", head="mae", hidden=hidden),
        training=ForecastTraining(steps=steps, batch_size=BATCH, checkpoint_minutes=0.0, threads=threads),
    )
    training = source.cut(TRAINING_ROWS)
    encoder, network = prepare(training, options)
    batches = WindowBatches(training, encoder, batch_size=BATCH, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        return train(network, batches, ForecastLoss(), None, options.training, Path(folder)).seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if not DATA.is_dir():
        sys.exit("set RONDO_DATA to the folder of data sets")
    torch.set_num_threads(arguments.threads)
    source = from_frame(ett("ETTh1")())
    rows = [measured(hidden, source, arguments) for hidden in arguments.hidden]
    provenance = collect().to_dict()
    result = {
        "command": "python benchmarks/quality/windows.py",
        "machine": f"{provenance['processor']}, {provenance['cores']} cores",
        "versions": provenance["versions"],
        "threads": arguments.threads,
        "rows": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def measured(hidden: int, source: SeriesSet, arguments: argparse.Namespace) -> dict[str, Any]:
    """Pairs of plain and Rondo runs of one size."""
    windows = plain_windows(source)
    rates: dict[str, list[float]] = {"plain": [], "rondo": []}
    for pair in range(arguments.pairs + 1):  # the first warms up
        for name in ("plain", "rondo") if pair % 2 else ("rondo", "plain"):
            if name == "plain":
                seconds = plain_seconds(hidden, windows, arguments.steps)
            else:
                seconds = rondo_seconds(hidden, source, arguments.steps, arguments.threads)
            if pair:
                rates[name].append(arguments.steps * BATCH / seconds)
    ratios = [ours / theirs for ours, theirs in zip(rates["rondo"], rates["plain"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    print(
        f"GRU of {hidden}: rondo {statistics.median(rates['rondo']):,.0f} windows/s, plain torch "
        f"{statistics.median(rates['plain']):,.0f}, ratio {middle:.3f} [{low:.3f}, {high:.3f}]"
    )
    return {
        "model": f"GRU of {hidden}, {CONTEXT} hours to {HORIZON}, batch {BATCH}",
        "rondo_windows_per_second": statistics.median(rates["rondo"]),
        "torch_windows_per_second": statistics.median(rates["plain"]),
        "ratio": middle, "ratio_quartiles": [low, high], "pairs": len(ratios),
    }  # fmt: skip


if __name__ == "__main__":
    main()
