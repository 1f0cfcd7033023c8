"""The baseline of taggers that learns: a CRF over features made by hand, trained by CRFsuite (Okazaki 2007).

No network and none of our own code but the features: what a sceptic would have tried first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rondo.errors import DataError, RondoError, UsageError
from rondo.evaluation.tag_features import are_characters, character_features, word_features

try:
    import pycrfsuite
except ImportError:  # an extra: nothing but this baseline needs it
    pycrfsuite = None

Features = Callable[[Sequence[str]], list[list[str]]]


class FeatureCRF:
    """A linear-chain CRF whose scores are sums over the features of `rondo.evaluation.tag_features`.

    ``l1`` and ``l2`` weigh the sum of the weights' sizes and of their squares, ``iterations`` bounds those of
    L-BFGS (orthant-wise with l1), and ``min_count`` leaves out features that are rarer. The same sentences give
    the same model.
    """

    def __init__(self, *, l1: float = 0.1, l2: float = 0.1, iterations: int = 60, min_count: int = 1) -> None:
        if min(l1, l2) < 0 or iterations < 1 or min_count < 1:
            raise UsageError("l1 and l2 are at least 0, iterations and min_count at least 1")
        self.l1, self.l2, self.iterations, self.min_count = l1, l2, iterations, min_count
        self.by_characters = False
        self._model = b""
        if pycrfsuite is None:
            raise RondoError("the baseline of a CRF on features needs python-crfsuite: pip install 'rondo[tagging]'")

    def fit(self, sentences: Sequence[Sequence[str]], tags: Iterable[Sequence[str]]) -> FeatureCRF:
        """Train. A scheme that marks where spans end (BIOES, BMES) does best; convert the tags before and after."""
        self.by_characters = are_characters(sentences)
        trainer = pycrfsuite.Trainer(verbose=False)
        trainer.set_params(
            {
                "c1": self.l1,
                "c2": self.l2,
                "max_iterations": self.iterations,
                "feature.minfreq": self.min_count,
                "feature.possible_transitions": True,
            }
        )
        met = 0
        for tokens, marks in zip(sentences, tags, strict=True):
            if tokens:
                trainer.append(self._features(tokens), list(marks))
                met += 1
        if not met:
            raise DataError("a CRF on features needs at least one sentence with a token")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            trainer.train(str(path))
            self._model = path.read_bytes()
        return self

    def predict(self, sentences: Iterable[Sequence[str]]) -> list[list[str]]:
        """The best tags of each sentence."""
        if not self._model:
            raise UsageError("fit the CRF on features before it is to predict")
        tagger = pycrfsuite.Tagger()
        tagger.open_inmemory(self._model)
        return [tagger.tag(self._features(tokens)) if tokens else [] for tokens in sentences]

    def to_bytes(self) -> bytes:
        """The trained model, for `from_bytes`."""
        return self._model

    @classmethod
    def from_bytes(cls, model: bytes, *, by_characters: bool) -> FeatureCRF:
        """A model that was trained before."""
        made = cls()
        made._model, made.by_characters = model, by_characters
        return made

    @property
    def size(self) -> int:
        """The bytes of the model."""
        return len(self._model)

    def _features(self, tokens: Sequence[str]) -> list[list[str]]:
        make: Features = character_features if self.by_characters else word_features
        return make(tokens)
