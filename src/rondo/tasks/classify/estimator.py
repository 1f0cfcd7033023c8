"""`TextClassifier`: classes of texts, as a scikit-learn estimator; what `rondo.load` makes of such a model, too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rondo.data.labelled import Labelled
from rondo.data.splits import Parts
from rondo.data.texts import as_texts
from rondo.errors import UsageError
from rondo.tasks.classification.estimator import ClassifierEstimator
from rondo.tasks.classification.model import ClassifierModel
from rondo.tasks.classify.encoder import TextEncoder
from rondo.tasks.classify.learning import learn_texts
from rondo.tasks.classify.options import ClassifyOptions
from rondo.tasks.parameters import with_parameters
from rondo.training.protocols import Progress, TrainingSummary


@with_parameters(ClassifyOptions)
class TextClassifier(ClassifierEstimator):
    """Classifies texts with a recurrent network: sentiment, topic, intent, language.

    Texts are a list, an array or a column of a data frame. Each has one class, or, where `fit` is given lists
    of labels or rows of 0 and 1, any number of them. Works as scikit-learn's classifiers do: in pipelines, in
    cross-validation, in searches. The same parameters are the flags of ``rondo train classify``.

    >>> classifier = rondo.TextClassifier(epochs=5).fit(texts, classes)
    >>> classifier.predict(["What a film!"]), classifier.predict_proba(["What a film!"])
    >>> classifier.save("my-model")  # rondo.load("my-model") gives it back

    After `fit`: ``classes_``, ``history_`` (losses and scores over the training), ``model_`` (the network and
    its vocabulary).
    """

    encoder_class = TextEncoder

    def _items(self, X: Any, y: Any = None, groups: Any = None, *, fitting: bool = False) -> Labelled:
        columns = getattr(X, "columns", None)
        if columns is not None:
            if len(columns) != 1:
                names = ", ".join(map(str, list(columns)[:6]))
                raise UsageError(f"texts are one column; the data frame has {len(columns)}: {names}")
            X = X[columns[0]]
        elif getattr(X, "ndim", 1) == 2 and X.shape[1] == 1:
            X = X[:, 0]
        return as_texts(X, y, groups)

    def _learn(
        self, parts: Parts, options: Any, folder: Path, class_weights: Mapping[Any, float] | None,
        progress: Progress | None,
    ) -> tuple[ClassifierModel, TrainingSummary]:  # fmt: skip
        return learn_texts(parts, options, folder, class_weights=class_weights, progress=progress)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
