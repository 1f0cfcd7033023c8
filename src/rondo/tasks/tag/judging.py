"""How good a tagger is: its scores on what was held out, beside baselines on the same sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rondo.data.labelled import Labelled
from rondo.data.splits import Parts
from rondo.evaluation.resampling import difference, interval, too_few
from rondo.evaluation.rivals_file import rival_bytes
from rondo.evaluation.tag_rivals import CRFOnFeatures, TagRival, tag_rivals
from rondo.evaluation.tagging import TagMeasure, TagPredictions, all_scores, main_measure
from rondo.tasks.tag.calibrating import TagCalibration, calibration_of
from rondo.tasks.tag.model import TaggerModel
from rondo.training.protocols import Progress

NEEDS_CRFSUITE = (
    "the stronger baseline, a CRF on hand-made features, was not measured: it needs python-crfsuite "
    "(pip install 'rondo[tagging]')"
)


@dataclass(frozen=True)
class TagOutcome:
    """What a baseline said."""

    name: str
    about: str
    predictions: TagPredictions


@dataclass(frozen=True)
class TagJudgement:
    """What a model and its baselines say about sentences whose tags are known."""

    data: Labelled
    part: str
    """What the sentences are: ``test``, ``validation``, or ``given``."""
    predictions: TagPredictions
    outcomes: tuple[TagOutcome, ...]
    seed: int
    unseen: dict[str, int]
    """Kinds of spans (or tags) that training has not seen, and how many sentences have them."""
    calibration: TagCalibration | None
    """How often what the model was sure of is right."""
    temperature: float
    """At which the model is so sure."""
    missing: tuple[str, ...] = ()
    """What is said of baselines that were wanted and could not be had."""

    @property
    def measure(self) -> TagMeasure:
        """The score that counts: span F1, or accuracy where tags are no spans."""
        return main_measure(self.predictions.scheme)

    @property
    def strongest(self) -> TagOutcome | None:
        """The baseline with the highest score."""
        return max(self.outcomes, key=lambda outcome: self.measure(outcome.predictions), default=None)

    def result(self) -> dict[str, Any]:
        """The figures as they stand in the JSON of a training and of an evaluation."""
        measure, ours = self.measure, self.predictions
        groups = self.data.groups
        found = interval(measure, ours, groups=groups, seed=self.seed)
        baselines = {outcome.name: measure(outcome.predictions) for outcome in self.outcomes}
        result: dict[str, Any] = {
            "metric": measure.name,
            "score": found.value,
            "score_interval": found.ends,
            "scored_on": self.part,
            "items": len(self.data),
            "scores": all_scores(ours) | ({} if self.calibration is None else self.calibration.scores()),
            "temperature": self.temperature,
            "baselines": baselines,
            "baseline": None if self.strongest is None else self.strongest.name,
            "baseline_score": None if self.strongest is None else baselines[self.strongest.name],
            "unseen_labels": self.unseen,
        }
        if ours.scheme is not None:
            result["strict_score"] = ours.strict.f1
            result["strict_baselines"] = {outcome.name: outcome.predictions.strict.f1 for outcome in self.outcomes}
        if self.strongest is not None:
            gap = difference(measure, ours, self.strongest.predictions, groups=groups, seed=self.seed)
            result["lead"], result["lead_interval"] = gap.value, gap.ends
        if found.ends is None:
            result["no_interval"] = too_few(groups)
        if self.missing:
            result["missing_baselines"] = list(self.missing)
        return result


def judge(
    model: TaggerModel,
    data: Labelled,
    rivals: Sequence[TagRival] = (),
    *,
    part: str,
    seed: int = 0,
    missing: tuple[str, ...] = (),
) -> TagJudgement:
    """The model's tags for ``data`` beside those of fitted baselines; it is wrong about tags it has not seen."""
    true, scheme = data.labels or [], model.tags.scheme
    unseen = Counter(name for tags in true for name in model.tags.unseen(tags))
    predictions = TagPredictions(true, model.tag(data.items), scheme)
    return TagJudgement(
        data,
        part,
        predictions,
        tuple(TagOutcome(r.name, r.about, TagPredictions(true, r.predict(data.items), scheme)) for r in rivals),
        seed,
        dict(sorted(unseen.items())),
        calibration_of(model, data, predictions),
        model.temperature,
        missing,
    )


def held_against(model: TaggerModel, parts: Parts, *, baselines: bool, seed: int, progress: Progress) -> TagJudgement:
    """The model beside the baselines that can be had here, on what was held out; they are kept with it."""
    rivals = tag_rivals() if baselines else []
    missing = (NEEDS_CRFSUITE,) if baselines and not CRFOnFeatures.available() else ()
    for said in missing:
        progress.message(said)
    judgement = judge_held_out(model, parts, rivals, seed=seed, progress=progress, missing=missing)
    model.baselines = rival_bytes(rivals) if rivals else None
    return judgement


def judge_held_out(
    model: TaggerModel,
    parts: Parts,
    rivals: Sequence[TagRival],
    *,
    seed: int,
    progress: Progress,
    missing: tuple[str, ...] = (),
) -> TagJudgement:
    """On the test part; where there is none, on the validation part, by which the weights were chosen.

    Baselines learn from training and validation part together; where the latter is what they are asked about, from
    the training part alone.
    """
    learned = [parts.train] if parts.test is None else [parts.train, parts.valid]
    known = Labelled.joined([_without_groups(part) for part in learned])
    for rival in rivals:
        progress.message(f"fitting a baseline: {rival.name}")
        rival.fit(known, model.tags.scheme)
    name, part = ("validation", parts.valid) if parts.test is None else ("test", parts.test)
    return judge(model, part, rivals, part=name, seed=seed, missing=missing)


def _without_groups(data: Labelled) -> Labelled:
    """For baselines: documents play no part in what they learn, and one part may name them where another does not."""
    return Labelled(data.items, data.labels, None, data.origins)
