"""TF-IDF of n-grams and logistic regression: the baseline that a reader of texts must beat.

Words and pairs of words; for texts in scripts that put no blanks between words, as Chinese and Japanese, one
to three characters (Korean is read in the same way). Counts are damped to 1 + log(count), and the strength of
the regularisation is chosen on the validation part (Wang and Manning 2012, "Baselines and Bigrams", show how
strong such a baseline is).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from rondo.data.labelled import Label, Labelled
from rondo.errors import DataError
from rondo.evaluation.calibration import scaled
from rondo.evaluation.classification import MEASURES, Predictions
from rondo.evaluation.rivals import Majority, Rival, both_parts

Floats = npt.NDArray[np.float64]

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""What is tried as the inverse of the regularisation."""
CERTAIN = 36.0
"""The logit of a label that all items have."""
SAMPLE = 2000
"""How many texts are looked at to tell the script."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana, Han, hangul."""
_LETTER = re.compile(r"[^\W\d_]")


def baselines_for_texts() -> list[Rival]:
    """What a classifier of texts is held against."""
    return [Majority(), BagOfWords()]


def by_characters(texts: Sequence[str]) -> bool:
    """Whether most letters are of a script that is better taken by characters than by words."""
    sample = texts[:: max(1, len(texts) // SAMPLE)]
    letters = sum(len(_LETTER.findall(text)) for text in sample)
    return 2 * sum(len(_UNSPACED.findall(text)) for text in sample) > letters


class BagOfWords:
    """TF-IDF of n-grams and logistic regression. ``strengths`` are what is tried on the validation part."""

    name = "TF-IDF and logistic regression"

    def __init__(self, *, strengths: Sequence[float] = STRENGTHS) -> None:
        self.strengths = tuple(sorted(strengths))
        self.classes: tuple[Label, ...] = ()
        self.about = ""

    def fit(self, train: Labelled, valid: Labelled) -> Self:
        both = both_parts(train, valid)
        self.classes = both.classes
        if len(self.classes) < 2 and not both.several:
            raise DataError("all items are of one class: there is nothing to tell apart.")
        self.characters, self.several = by_characters(train.items), both.several
        self._counter = _counter(characters=self.characters)
        try:
            counts = self._counter.fit_transform(both.items)
        except ValueError:
            raise DataError("the texts have no words to count.") from None
        self.strength = self._choose(counts, train, valid)
        self._weigh = TfidfTransformer(sublinear_tf=True).fit(counts)
        model = _classifier(both.several, self.strength).fit(self._weigh.transform(counts), both.codes())
        self._weights, self._bias = _planes(model, counts.shape[1])
        grams = "one to three characters" if self.characters else "words and pairs of words"
        tried = f"of {self.strengths[0]:g} to {self.strengths[-1]:g}, chosen on the validation part"
        self.about = f"{counts.shape[1]:,} different n-grams ({grams}); C = {self.strength:g} {tried}."
        return self

    def predict(self, items: Sequence[Any]) -> tuple[list[Label], Floats | None]:
        if not len(items):
            return [], np.zeros((0, len(self.classes)))
        values = self._weigh.transform(self._counter.transform(items)) @ self._weights.T + self._bias
        if not self.several and len(self._bias) == 1:
            values = np.concatenate([np.zeros_like(values), values], axis=1)
        return self._named(scaled(values, 1.0, several=self.several))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `from_arrays` makes the fitted baseline of again."""
        grams = [gram.encode("utf-8", "surrogatepass") for gram in self._counter.get_feature_names_out()]
        about = {"classes": self.classes, "several": self.several, "characters": self.characters, "about": self.about}
        return {
            "header": np.frombuffer(json.dumps({**about, "strength": self.strength}).encode(), np.uint8),
            "grams": np.frombuffer(b"".join(grams), np.uint8),
            "lengths": np.array([len(gram) for gram in grams], np.uint32),
            "idf": self._weigh.idf_,
            "weights": self._weights,
            "bias": self._bias,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From arrays in which anything may stand: ValueError, TypeError or KeyError for what is no baseline."""
        header = json.loads(arrays["header"].tobytes())
        made = cls(strengths=(float(header["strength"]),))
        made.strength, made.about = made.strengths[0], str(header["about"])
        made.classes, made.several = tuple(header["classes"]), bool(header["several"])
        made.characters = bool(header["characters"])
        ends = np.cumsum(arrays["lengths"], dtype=np.int64)
        text = arrays["grams"].tobytes()
        grams = [text[a:b].decode("utf-8", "surrogatepass") for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        made._weights, made._bias = arrays["weights"], arrays["bias"]
        rows = 1 if len(made.classes) == 2 and not made.several else len(made.classes)
        if made._weights.shape != (rows, len(grams)) or made._bias.shape != (rows,):
            raise ValueError("its weights do not fit its n-grams")
        made._counter = _counter(characters=made.characters, grams=grams)
        made._weigh = TfidfTransformer(sublinear_tf=True)
        made._weigh.idf_ = arrays["idf"]
        return made

    def _choose(self, counts: Any, train: Labelled, valid: Labelled) -> float:
        """The strength with the least log loss, which a small part shows more reliably than the accuracy.

        N-grams that only ``valid`` has do not count.
        """
        seen = counts[: len(train)]
        kept = np.asarray(seen.sum(axis=0)).ravel() > 0
        weigh = TfidfTransformer(sublinear_tf=True).fit(seen[:, kept])
        inputs, asked = (weigh.transform(part[:, kept]) for part in (seen, counts[len(train) :]))
        codes = train.codes(self.classes)
        best, chosen = np.inf, self.strengths[0]
        model = _classifier(train.several, chosen)
        for strength in self.strengths:
            # From strong to weak regularisation, each begins where the one before has ended.
            model = model.set_params(**{"estimator__C" if train.several else "C": strength})
            labels, sure = self._named(_probabilities(model.fit(inputs, codes), asked, len(self.classes)))
            found = MEASURES["log_loss"](Predictions.of(valid, labels, classes=self.classes, probabilities=sure))
            if found < best:
                best, chosen = found, strength
        return chosen

    def _named(self, sure: Floats) -> tuple[list[Label], Floats]:
        """Probabilities, and the labels that they speak for."""
        if self.several:
            return [tuple(self.classes[k] for k in np.flatnonzero(row > 0.5)) for row in sure], sure
        return [self.classes[k] for k in sure.argmax(axis=1)], sure


def _counter(*, characters: bool, grams: Sequence[str] | None = None) -> CountVectorizer:
    """Counts n-grams: those of the texts that it is fitted on, or given ones."""
    if characters:
        return CountVectorizer(analyzer="char", ngram_range=(1, 3), vocabulary=grams)
    return CountVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", vocabulary=grams)


def _probabilities(model: Any, inputs: Any, classes: int) -> Floats:
    """(N, classes); a class that the model has not met has none."""
    if isinstance(model, OneVsRestClassifier):
        return np.asarray(model.predict_proba(inputs))
    sure = np.zeros((inputs.shape[0], classes))
    sure[:, model.classes_] = model.predict_proba(inputs)
    return sure


def _planes(model: Any, size: int) -> tuple[npt.NDArray[np.float32], Floats]:
    """Weights (K, n-grams) and biases (K,) of a classifier, one row for two classes that exclude each other."""
    parts = model.estimators_ if isinstance(model, OneVsRestClassifier) else [model]
    rows, biases = [], []
    for part in parts:
        if hasattr(part, "coef_"):
            rows.append(part.coef_.astype(np.float32))
            biases.append(part.intercept_)
        else:  # a label that all items have, or none
            rows.append(np.zeros((1, size), np.float32))
            biases.append(np.where(part.predict(np.zeros((1, 1))), CERTAIN, -CERTAIN).astype(np.float64))
    return np.concatenate(rows), np.concatenate(biases)


def _classifier(several: bool, strength: float) -> Any:
    model = LogisticRegression(C=strength, max_iter=1000, warm_start=True)
    return OneVsRestClassifier(model) if several else model
