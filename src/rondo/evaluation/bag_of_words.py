"""TF-IDF of n-grams and logistic regression: the baseline that a reader of texts must beat.

Words and pairs of words; for texts in scripts that put no blanks between words, as Chinese and Japanese, one
to three characters (Korean is read in the same way). Counts are damped to 1 + log(count), and the strength of
the regularisation is chosen on the validation part (Wang and Manning 2012, "Baselines and Bigrams", show how
strong such a baseline is).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from rondo.data.labelled import Label, Labelled
from rondo.errors import DataError
from rondo.evaluation.classification import MEASURES, Predictions
from rondo.evaluation.rivals import Majority, Rival, both_parts

Floats = npt.NDArray[np.float64]

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""What is tried as the inverse of the regularisation."""
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
        characters = by_characters(train.items)
        self._counter = (
            CountVectorizer(analyzer="char", ngram_range=(1, 3))
            if characters
            else CountVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
        )
        try:
            counts = self._counter.fit_transform(both.items)
        except ValueError:
            raise DataError("the texts have no words to count.") from None
        self.strength = self._choose(counts, train, valid)
        self._weigh = TfidfTransformer(sublinear_tf=True).fit(counts)
        self._model = _classifier(both.several, self.strength).fit(self._weigh.transform(counts), both.codes())
        grams = "one to three characters" if characters else "words and pairs of words"
        tried = f"of {self.strengths[0]:g} to {self.strengths[-1]:g}, chosen on the validation part"
        self.about = f"{counts.shape[1]:,} different n-grams ({grams}); C = {self.strength:g} {tried}."
        return self

    def predict(self, items: Sequence[Any]) -> tuple[list[Label], Floats | None]:
        return self._labelled(self._model, self._weigh.transform(self._counter.transform(items)))

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
            labels, sure = self._labelled(model.fit(inputs, codes), asked)
            found = MEASURES["log_loss"](Predictions.of(valid, labels, classes=self.classes, probabilities=sure))
            if found < best:
                best, chosen = found, strength
        return chosen

    def _labelled(self, model: Any, inputs: Any) -> tuple[list[Label], Floats | None]:
        if isinstance(model, OneVsRestClassifier):
            sure = np.asarray(model.predict_proba(inputs))
            return [tuple(self.classes[k] for k in np.flatnonzero(row > 0.5)) for row in sure], sure
        sure = np.zeros((inputs.shape[0], len(self.classes)))
        sure[:, model.classes_] = model.predict_proba(inputs)
        return [self.classes[k] for k in sure.argmax(axis=1)], sure


def _classifier(several: bool, strength: float) -> Any:
    model = LogisticRegression(C=strength, max_iter=1000, warm_start=True)
    return OneVsRestClassifier(model) if several else model
