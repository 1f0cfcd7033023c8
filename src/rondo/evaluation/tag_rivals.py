"""Baselines of taggers behind one interface: each learns in the scheme that suits it, and answers in the data's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Labelled
from rondo.data.tagging.schemes import BIOES, IOB1, Scheme, convert_tags
from rondo.evaluation import feature_crf
from rondo.evaluation.feature_crf import FeatureCRF
from rondo.evaluation.frequent_tag import FrequentTag

Tags = list[list[str]]


class TagRival(Protocol):
    """A way to tag without a network."""

    name: str
    """As it stands in the report."""
    about: str
    """How it was made, in a sentence."""

    def fit(self, data: Labelled, scheme: Scheme | None) -> Self:
        """Learn from sentences whose tags are in ``scheme``; None if the tags are no spans."""
        ...

    def predict(self, sentences: Sequence[Sequence[str]]) -> Tags:
        """Tags of the same scheme."""
        ...


@dataclass
class _Between:
    """The way from the data's scheme to that in which a baseline learns, and back."""

    outer: Scheme | None
    inner: Scheme

    def inwards(self, tags: Sequence[Sequence[str]]) -> Tags:
        return [list(each) if self.outer is None else convert_tags(each, self.inner) for each in tags]

    def outwards(self, tags: Tags) -> Tags:
        return tags if self.outer is None else [convert_tags(each, self.outer) for each in tags]

    def to_json(self) -> list[str] | None:
        return None if self.outer is None else self.outer.to_json()


class MostFrequentTag:
    """The tag that a word had most often, `FrequentTag`."""

    name = "most frequent tag of each word"

    def __init__(self) -> None:
        self.about = ""
        self._model = FrequentTag()
        self._between = _Between(None, IOB1)

    def fit(self, data: Labelled, scheme: Scheme | None) -> Self:
        self._between = _Between(scheme, IOB1)
        self._model.fit(data.items, self._between.inwards(data.labels or []))
        learned = " It learns in IOB1, where a tag says little but the kind." if scheme is not None else ""
        self.about = (
            "Each word has the tag that it had most often; one that was never met is judged by its shape." + learned
        )
        return self

    def predict(self, sentences: Sequence[Sequence[str]]) -> Tags:
        return self._between.outwards(self._model.predict(sentences))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `from_arrays` makes the fitted baseline of again."""
        model = self._model
        tables = {"word": model.by_word, "lower": model.by_lower, "shape": model.by_shape, "most": model.most_frequent}
        return _packed(tables, self.about, self._between)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From arrays in which anything may stand: ValueError, TypeError or KeyError for what is no baseline."""
        made, content = cls(), json.loads(arrays["header"].tobytes())
        made.about, made._between = _about(content, IOB1)
        for name in ("word", "lower", "shape"):
            table = {str(key): str(tag) for key, tag in content[name].items()}
            setattr(made._model, f"by_{name}", table)
        made._model.most_frequent = str(content["most"])
        return made


class CRFOnFeatures:
    """A CRF on hand-made features, `FeatureCRF`; it needs python-crfsuite."""

    name = "CRF on hand-made features"

    def __init__(self) -> None:
        self.about = ""
        self._model = FeatureCRF()
        self._between = _Between(None, BIOES)

    @staticmethod
    def available() -> bool:
        """Whether what it needs is installed."""
        return feature_crf.pycrfsuite is not None

    def fit(self, data: Labelled, scheme: Scheme | None) -> Self:
        self._between = _Between(scheme, BIOES)
        model = self._model.fit(data.items, self._between.inwards(data.labels or []))
        looks = "the characters around each and the pairs and triples they form" if model.by_characters else (
            "words, their prefixes, suffixes and shapes, and those of their neighbours"
        )  # fmt: skip
        learned = ", in BIOES" if scheme is not None else ""
        self.about = f"It looks at {looks}; trained by CRFsuite with L1 {model.l1} and L2 {model.l2}{learned}."
        return self

    def predict(self, sentences: Sequence[Sequence[str]]) -> Tags:
        return self._between.outwards(self._model.predict(sentences))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `from_arrays` makes the fitted baseline of again."""
        packed = _packed({"by_characters": self._model.by_characters}, self.about, self._between)
        return {**packed, "model": np.frombuffer(self._model.to_bytes(), np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From arrays in which anything may stand: ValueError, TypeError or KeyError for what is no baseline."""
        content = json.loads(arrays["header"].tobytes())
        made = cls()
        made.about, made._between = _about(content, BIOES)
        made._model = FeatureCRF.from_bytes(arrays["model"].tobytes(), by_characters=bool(content["by_characters"]))
        return made


def tag_rivals() -> list[TagRival]:
    """The baselines that can be had here; the stronger one needs python-crfsuite."""
    return [MostFrequentTag(), *([CRFOnFeatures()] if CRFOnFeatures.available() else [])]


def _packed(content: Mapping[str, Any], about: str, between: _Between) -> dict[str, npt.NDArray[Any]]:
    header = json.dumps({**content, "about": about, "scheme": between.to_json()}, ensure_ascii=False)
    return {"header": np.frombuffer(header.encode(), np.uint8)}


def _about(content: Mapping[str, Any], inner: Scheme) -> tuple[str, _Between]:
    saved = content["scheme"]
    outer = None if saved is None else Scheme.from_json(saved)
    return str(content["about"]), _Between(outer, inner)
