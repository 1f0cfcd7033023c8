"""Text training, tokens a second, beside the same model written plainly in torch.

The two trainings are those of ``benchmarks/quality/throughput.py``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sections import Plan, Result

from rondo.data.streams import TokenStream
from rondo.models.language_model import LanguageModelOptions
from rondo.testing.speed.layers import OURS
from rondo.testing.speed.machine import Watch
from rondo.testing.speed.timing import Effort, Samples, steadily

sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))

from throughput import VOCABULARY, PlainModel, plain_seconds, rondo_seconds

PLAIN = "torch.nn"
STEPS, PAIRS = 40, 7
LAYERS, HIDDEN, EMBEDDING, DROPOUT = 2, 256, 64, 0.1


def rows(plan: Plan) -> Iterator[Result]:
    """GRU and LSTM. The backend is the one that is chosen by itself: the model has no option for it."""
    steps, batch, length = (2, 4, 5) if plan.quick else (STEPS, 64, 100)
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=steps * batch * length * 3 + 1).astype(np.uint8)
    source = TokenStream(tokens, batch_size=batch, bptt_length=length)
    for name in ("gru", "lstm"):
        yield _row(name, source, steps, plan.effort, 16 if plan.quick else HIDDEN)


def _row(name: str, source: TokenStream, steps: int, effort: Effort, hidden: int) -> Result:
    options = LanguageModelOptions(cell=name, layers=LAYERS, hidden=hidden, embedding=EMBEDDING)
    seconds: dict[str, list[float]] = {PLAIN: [], OURS: []}

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return rondo_seconds(options, source, steps, Path(folder))

    def plain() -> float:
        return plain_seconds(PlainModel(name.upper(), EMBEDDING, hidden, LAYERS, DROPOUT), source, steps)

    takes = {PLAIN: plain, OURS: ours}
    with Watch() as watch:
        for pair in range(min(PAIRS, effort.rounds) + 1):  # the first warms up
            for who in (PLAIN, OURS) if pair % 2 else (OURS, PLAIN):
                took = steadily(takes[who], effort)
                if pair:
                    seconds[who].append(took)
    samples = Samples(seconds)
    tokens = steps * source.batch_size * source.bptt_length
    return {
        "key": f"text/{name}", "cell": name,
        "model": f"{LAYERS} layers of {hidden}, embedding {EMBEDDING}, batch {source.batch_size}, "
                 f"{source.bptt_length} steps",
        "tokens_per_second": tokens / samples.median(OURS), "torch_tokens_per_second": tokens / samples.median(PLAIN),
        "ratio": samples.ratio(PLAIN, OURS).to_list(), "seconds": samples.to_dict(), "rounds": samples.rounds,
        "other_work": watch.others,
    }  # fmt: skip
