"""Sentences and texts a second that ``predict`` answers, beside a plain script in PyTorch.

``python benchmarks/quality/answering.py``: a tagger on sentences of a news text's lengths, a classifier on texts of
film reviews' lengths, made up so that nothing is to be downloaded; networks as they are drawn, for time does not
depend on what they have learned. All contenders of a row run in one process, by turns. For each the whole (from
tokens or text to tags or class) beside the plain script, and the recurrent part alone beside `torch.nn` on the same
batches, sorted and packed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from plain_answers import Both, PlainClassifier, PlainTagger, in_order
from torch import Tensor

import rondo
from rondo.data.pools import batches
from rondo.inspect import collect
from rondo.testing.speed.machine import Watch
from rondo.testing.speed.timing import Effort, timed

RESULT = Path(__file__).parent / "results" / "answering.json"
OURS, PADDED, PACKED = "rondo", "plain, padded", "plain, packed"
TARGETS = {"gru": 2.0, "lstm": 1.15, "whole": 1.5}
LONGEST_TEXT = 1000
WORDS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    effort = Effort(rounds=arguments.rounds, least_rounds=min(5, arguments.rounds), row_seconds=60, warm_seconds=0)
    rows = [row for cell in ("gru", "lstm") for make in (tagging, classifying) for row in make(cell, arguments, effort)]
    provenance = collect().to_dict()
    result = {
        "command": "python benchmarks/quality/answering.py",
        "machine": f"{provenance['processor']}, {provenance['cores']} cores",
        "versions": provenance["versions"],
        "threads": arguments.threads,
        "rows": rows,
    }
    if not arguments.no_save:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


def tagging(cell: str, arguments: argparse.Namespace, effort: Effort) -> list[dict[str, Any]]:
    """A tagger with spellings and a CRF on sentences of 1 to 50 words."""
    rng = np.random.default_rng(0)
    vocabulary = _words(rng)
    lengths = rng.geometric(1 / 14.5, arguments.sentences).clip(1, 50)
    sentences = [_drawn(rng, vocabulary, length) for length in lengths]
    tags = [["O" if len(word) % 3 else f"B-{'XY'[len(word) % 2]}" for word in sentence] for sentence in sentences]
    tagger = rondo.Tagger(cell=cell, hidden=arguments.hidden, steps=1, evaluations=1, backend="auto")
    tagger.fit(sentences[:500], tags[:500], X_val=sentences[:2], y_val=tags[:2])
    model = tagger.model_

    def plain(packed: bool) -> Callable[[], Any]:
        network = PlainTagger(model.network, packed=packed)

        def run() -> list[list[str]]:
            rows = [model.encoder.encode(sentence) for sentence in sentences]
            return [model.tags.named(path, sound=True) for batch in in_order(rows) for path in network(*batch)]

        return run

    contenders = {OURS: lambda: tagger.predict(sentences), PADDED: plain(False), PACKED: plain(True)}
    same = np.mean([one == other for one, other in zip(contenders[OURS](), contenders[PACKED](), strict=True)])
    rows = [model.encoder.encode(sentence) for sentence in sentences]
    return [
        whole("sentences", cell, contenders, len(sentences), float(same), effort),
        recurrent_part("sentences", model.network.recurrent, rows, effort),
    ]


def classifying(cell: str, arguments: argparse.Namespace, effort: Effort) -> list[dict[str, Any]]:
    """A classifier by words on texts whose lengths are spread as those of film reviews are."""
    rng = np.random.default_rng(0)
    vocabulary = _words(rng)
    lengths = np.exp(rng.normal(np.log(200), 0.6, arguments.texts)).astype(int).clip(10, LONGEST_TEXT)
    texts = [" ".join(_drawn(rng, vocabulary, length)) for length in lengths]
    classes = [("good", "bad")[number % 2] for number in range(len(texts))]
    classifier = rondo.TextClassifier(
        cell=cell, hidden=arguments.hidden, steps=1, evaluations=1, max_tokens=LONGEST_TEXT
    )
    classifier.fit(texts[:60], classes[:60], X_val=texts[:4], y_val=classes[:4])
    model = classifier.model_

    def plain(packed: bool) -> Callable[[], Any]:
        network = PlainClassifier(model.network, packed=packed)

        def run() -> list[str]:
            rows = [model.encoder.encode(text) for text in texts]
            return [model.classes.names[number] for batch in in_order(rows) for number in network(*batch)]

        return run

    contenders = {OURS: lambda: classifier.predict(texts).tolist(), PADDED: plain(False), PACKED: plain(True)}
    same = np.mean([one == other for one, other in zip(contenders[OURS](), contenders[PACKED](), strict=True)])
    rows = [model.encoder.encode(text) for text in texts]
    return [
        whole("texts", cell, contenders, len(texts), float(same), effort),
        recurrent_part("texts", model.network.recurrent, rows, effort),
    ]


def whole(
    items: str, cell: str, contenders: dict[str, Callable[[], Any]], count: int, same: float, effort: Effort
) -> dict[str, Any]:
    """From what a user has to what he wants."""
    with Watch() as watch:
        samples = timed(contenders, effort)
    row = {
        "items": items, "part": "whole", "cell": cell, "same_answers_as_packed": same,
        "a_second": {name: count / samples.median(name) for name in contenders},
        "ratio": samples.ratio(PADDED, OURS).to_list(), "ratio_packed": samples.ratio(PACKED, OURS).to_list(),
        "to_reach": TARGETS["whole"], "rounds": samples.rounds, "other_work": watch.others,
    }  # fmt: skip
    print(
        f"{items}, whole, {cell}: {row['a_second'][OURS]:,.0f} a second, {row['ratio'][0]:.2f} times the plain script "
        f"(to reach {row['to_reach']}), {row['ratio_packed'][0]:.2f} times the packed one; {same:.1%} same answers",
        flush=True,
    )
    return row


def recurrent_part(items: str, recurrent: Any, rows: Sequence[Any], effort: Effort) -> dict[str, Any]:
    """The recurrent layer alone, on the batches in which Rondo answers."""
    lengths = np.array([len(row) for row in rows])
    parts: list[tuple[Tensor, Tensor]] = []
    for chosen in batches(lengths):
        sizes = torch.from_numpy(lengths[chosen])
        parts.append((torch.randn(len(chosen), int(sizes.max()), recurrent.input_size), sizes))
    theirs = Both(recurrent, packed=True)

    @torch.inference_mode()
    def ours_run() -> list[Tensor]:
        return [recurrent(x, lengths=sizes).sequence for x, sizes in parts]

    @torch.inference_mode()
    def theirs_run() -> list[Tensor]:
        return [theirs(x, sizes)[0] for x, sizes in parts]

    apart = max(float((one - other).abs().max()) for one, other in zip(ours_run(), theirs_run(), strict=True))
    with Watch() as watch:
        samples = timed({OURS: ours_run, PACKED: theirs_run}, effort)
    cell = recurrent.cell.name
    row = {
        "items": items, "part": "recurrent", "cell": cell, "largest_difference": apart,
        "a_second": {name: len(rows) / samples.median(name) for name in (OURS, PACKED)},
        "ratio": samples.ratio(PACKED, OURS).to_list(), "to_reach": TARGETS[cell], "rounds": samples.rounds,
        "other_work": watch.others,
    }  # fmt: skip
    print(
        f"{items}, recurrent part, {cell}: {row['ratio'][0]:.2f} times torch.nn, sorted and packed "
        f"(to reach {row['to_reach']}); outputs differ by {apart:.1e} at most",
        flush=True,
    )
    return row


def _words(rng: np.random.Generator) -> list[str]:
    letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
    return ["".join(rng.choice(letters, size=size)) for size in rng.integers(2, 12, WORDS)]


def _drawn(rng: np.random.Generator, vocabulary: Sequence[str], length: int) -> list[str]:
    """Words as often as Zipf has them."""
    return [vocabulary[number] for number in (rng.zipf(1.2, length) - 1) % len(vocabulary)]


if __name__ == "__main__":
    main()
