"""The mistakes of which a tagger was most sure, and what drove them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from rondo.data.tagging.schemes import Span, read_spans
from rondo.evaluation.spans import Mistake, mistakes
from rondo.inspect import Evidence
from rondo.inspect.saliency import Floats, times_gradient
from rondo.models.tagger import SequenceTagger
from rondo.tasks.tag.judging import TagJudgement
from rondo.tasks.tag.model import TaggerModel

SHOWN = 10
AROUND = 30
"""Tokens on either side of a mistake that are shown."""


@dataclass(frozen=True)
class SpanMistake:
    """Something that is wrong with a sentence."""

    index: int
    """Its place among those that were judged."""
    what: Mistake
    extent: Span
    """From the first token that is concerned to the one after the last."""
    confidence: float
    """How probable the model thought its tags to be there."""


def worst_mistakes(model: TaggerModel, judgement: TagJudgement) -> tuple[Counter[str], list[SpanMistake]]:
    """How many mistakes there are of each sort, and those of which the model was most sure."""
    predictions = judgement.predictions
    found = [
        mistakes(read_spans(one), read_spans(other))
        for one, other in zip(predictions.true, predictions.predicted, strict=True)
    ]
    extents = [[_extent(mistake) for mistake in own] for own in found]
    sure = model.probabilities(judgement.data.items, extents)
    every = [
        SpanMistake(index, *each)
        for index, own in enumerate(found)
        for each in zip(own, extents[index], sure[index], strict=True)
    ]
    worst = sorted(every, key=lambda mistake: -mistake.confidence)
    return Counter(mistake.what.what for mistake in every), worst[:SHOWN]


def evidence(model: TaggerModel, judgement: TagJudgement, mistake: SpanMistake) -> Evidence:
    """A mistake in its sentence, with what each token spoke for."""
    tokens = judgement.data.items[mistake.index]
    weights = influence(model, judgement, mistake)
    first, last = max(0, mistake.extent.start - AROUND), min(len(tokens), mistake.extent.stop + AROUND)
    true, said = mistake.what.true, mistake.what.predicted
    notes = [judgement.data.where(mistake.index)]
    if last - first < len(tokens):
        notes.append(f"{last - first} of {len(tokens)} tokens are shown")
    blank = "" if model.config.get("unit") == "characters" else " "
    is_there = "is nothing" if true is None else f"is {true.kind} “{blank.join(tokens[true.start : true.stop])}”"
    found = "said nothing" if said is None else f"said {said.kind} “{blank.join(tokens[said.start : said.stop])}”"
    return Evidence(
        list(tokens[first:last]),
        weights[first:last].tolist(),
        label=f"{found} ({mistake.confidence:.1%}), {is_there}",
        note="; ".join(note for note in notes if note),
        spaced=bool(blank),
    )


def influence(model: TaggerModel, judgement: TagJudgement, mistake: SpanMistake) -> Floats:
    """How much each token spoke for the tags that were said, and against those that are right, (T,)."""
    network, tags = model.network, model.tags
    index, (start, stop, _) = mistake.index, mistake.extent
    said = tags.codes(judgement.predictions.predicted[index])
    true = tags.codes(judgement.predictions.true[index])
    device = next(network.parameters()).device
    rows = torch.from_numpy(model.encoder.encode(judgement.data.items[index]))[None].to(device)

    def asked(values: torch.Tensor, member: SequenceTagger) -> torch.Tensor:
        emission = member.read(values)[0]
        places = np.arange(start, stop)
        towards = emission[places, np.asarray(said)[places]].sum() if said is not None else emission.new_zeros(())
        # Tags that the network cannot say have no score that could speak for them.
        against = emission[places, true[places]].sum() if true is not None else 0.0
        return towards - against

    shares = []
    for member in network.members:
        with torch.no_grad():
            vectors = member.input(rows)
        shares.append(times_gradient(vectors, partial(asked, member=member)).sum(1))
    found: Floats = torch.stack(shares).mean(0).double().cpu().numpy()
    return found


def _extent(mistake: Mistake) -> Span:
    spans = [span for span in (mistake.true, mistake.predicted) if span is not None]
    return Span(min(span.start for span in spans), max(span.stop for span in spans), "")
