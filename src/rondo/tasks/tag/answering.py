"""What a trained tagger says: about the sentences of a file, in its own format, and about a whole set."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rondo.data.labelled import Labelled
from rondo.data.pools import pooled
from rondo.data.tagging import Sentence, Verbatim, read_spans, spans_with_text, write_part
from rondo.data.tagging.reading import Part
from rondo.evaluation.rivals_file import parse_rivals
from rondo.evaluation.tag_rivals import CRFOnFeatures, MostFrequentTag
from rondo.tasks.answers import Answer
from rondo.tasks.tag.judging import judge
from rondo.tasks.tag.model import TaggerModel
from rondo.tasks.tag.options import TagAnswering
from rondo.tasks.trained import BASELINES, NO_BASELINES


def answers(
    model: TaggerModel, parts: Iterable[Part], options: TagAnswering, *, details: bool, at_once: int | None = None
) -> Iterator[Answer]:
    """Each sentence of a stream, and what stands between them, as it was written but for the tags.

    With ``details`` sentences alone come, as objects: tokens, tags, spans with their places and probabilities.
    """
    for pool in pooled(parts, lambda part: len(part) if isinstance(part, Sentence) else 0, at_once=at_once):
        sentences = [part for part in pool if isinstance(part, Sentence) and not part.marker]
        tags = model.tag([sentence.tokens for sentence in sentences])
        if details:
            yield from _detailed(model, sentences, tags, options.n_best)
            continue
        said = iter(tags)
        for part in pool:
            own = None if isinstance(part, Verbatim) or part.marker else next(said)
            text = write_part(part, own, scheme=model.tags.scheme, append=options.append)
            yield Answer(text.removesuffix("\n"), {})


def spans_of(model: TaggerModel, sentences: Sequence[Sentence], tags: Sequence[Sequence[str]]) -> list[list[Any]]:
    """The spans of tagged sentences: kind, text, place in characters and in tokens, and how probable each is."""
    if model.tags.scheme is None:
        return [[] for _ in sentences]
    found = [read_spans(own, scheme=model.tags.scheme) for own in tags]
    joint = "" if model.config.get("unit") == "characters" else " "
    probable = model.probabilities([sentence.tokens for sentence in sentences], found)
    return [
        [
            {**named, "tokens": [span.start, span.stop], "probability": probability}
            for named, span, probability in zip(
                spans_with_text(sentence, own, scheme=model.tags.scheme, joint=joint), spans, sure, strict=True
            )
        ]
        for sentence, own, spans, sure in zip(sentences, tags, found, probable, strict=True)
    ]


def _detailed(
    model: TaggerModel, sentences: Sequence[Sentence], tags: Sequence[list[str]], n: int | None
) -> Iterator[Answer]:
    spans = spans_of(model, sentences, tags)
    sure = _sure(model, sentences, tags) if model.tags.scheme is None else []
    readings = model.n_best([sentence.tokens for sentence in sentences], n) if n is not None else None
    for place, (sentence, own) in enumerate(zip(sentences, tags, strict=True)):
        values: dict[str, Any] = {"tokens": list(sentence.tokens), "tags": own}
        if sentence.text is not None:
            values = {"text": sentence.text, **values}
        if model.tags.scheme is not None:
            values["spans"] = spans[place]
        else:
            values["probabilities"] = sure[place]
        if readings is not None:
            values["n_best"] = [reading._asdict() for reading in readings[place]]
        yield Answer(" ".join(own), values)


def _sure(model: TaggerModel, sentences: Sequence[Sentence], tags: Sequence[list[str]]) -> list[list[float]]:
    """How probable each tag is."""
    place = {tag: number for number, tag in enumerate(model.tags.classes)}
    probable = model.marginals([sentence.tokens for sentence in sentences])
    return [
        [float(row[place[tag]]) for row, tag in zip(rows, own, strict=True)]
        for rows, own in zip(probable, tags, strict=True)
    ]


def evaluation(model: TaggerModel, data: Labelled, *, started: float) -> dict[str, Any]:
    """What `rondo evaluate` says of a tagger, beside the baselines that are saved with it."""
    result = model.config.get("result", {})
    kinds = (MostFrequentTag, CRFOnFeatures)
    fitted = parse_rivals(BASELINES, model.baselines, kinds) if model.baselines is not None else []
    return {
        "task": model.task,
        **({} if fitted else {"notes": [NO_BASELINES]}),
        **judge(model, data, fitted, part="given").result(),
        "parameters": model.parameters,
        "epochs": result.get("epochs"),
        "seconds": time.perf_counter() - started,
    }
