"""`TextClassifier`: classes of texts, as a scikit-learn estimator; what `rondo.load` makes of such a model, too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rondo.data.columns import TextFormat
from rondo.data.files import Paths
from rondo.data.labelled import Labelled
from rondo.data.texts import as_texts, iter_texts, read_texts, texts_from_frame
from rondo.evaluation.bag_of_words import BagOfWords
from rondo.evaluation.rivals import Majority
from rondo.tasks.answers import Answer
from rondo.tasks.classification.answering import answers, evaluation, saved_reading
from rondo.tasks.classification.estimator import ClassifierEstimator
from rondo.tasks.classification.model import ClassifierModel
from rondo.tasks.classify.encoder import TextEncoder
from rondo.tasks.classify.options import ClassifyOptions, ClassifyScoring
from rondo.tasks.classify.unlabelled import in_one_file, several
from rondo.tasks.parameters import with_parameters

SAME_COLUMNS = ("text_column", "label_column", "label_separator")
"""What of how the training's files were read holds for others, unless something else is said."""


@with_parameters(ClassifyOptions, sections=("data", "model", "pretraining", "training"))
class TextClassifier(ClassifierEstimator):
    """Classifies texts with a recurrent network: sentiment, topic, intent, language.

    Texts are a list, an array or a column of a data frame. Each has one class, or, where `fit` is given lists
    of labels or rows of 0 and 1, any number of them. Texts and classes can also stand together: in a data frame
    with columns such as text and label, in a file, or in a folder with one folder for each class, which `fit` takes
    without ``y``; `rondo.read_texts` reads other columns. Works as scikit-learn's classifiers do: in pipelines, in
    cross-validation, in searches. The same parameters are the flags of ``rondo train classify``.

    ``pretrain`` may also be a list of texts, or of paths of files, to learn the language from first.

    >>> classifier = rondo.TextClassifier(epochs=5).fit(texts, classes)
    >>> classifier.predict(["What a film!"]), classifier.predict_proba(["What a film!"])
    >>> classifier.save("my-model")  # rondo.load("my-model") gives it back

    After `fit`: ``classes_``, ``history_`` (losses and scores over the training), ``model_`` (the network and
    its vocabulary).
    """

    encoder_class = TextEncoder
    home_of_learning = "rondo.tasks.classify.task:learn_texts"
    home_of_words = "rondo.tasks.classify.report:WORDS"

    def _items(self, X: Any, y: Any = None, groups: Any = None, *, fitting: bool = False) -> Labelled:
        if _is_frame(X):
            X = texts_from_frame(X, labelled=False).items
        elif getattr(X, "ndim", 1) == 2 and X.shape[1] == 1:
            X = X[:, 0]
        return as_texts(X, y, groups)

    def _read(self, source: Any, *, labelled: bool) -> Labelled:
        return read_texts(source, labelled=labelled)

    def _holds_classes(self, X: Any) -> bool:
        return (_is_frame(X) and len(X.columns) > 1) or super()._holds_classes(X)

    def _in_files(self, folder: Path) -> dict[str, Any]:
        made = in_one_file(self.get_params(deep=False)["pretrain"], folder)
        return {} if made is None else {"pretrain": made}

    def _take(self, model: ClassifierModel, history: list[dict[str, Any]]) -> None:
        super()._take(model, history)
        given = several(self.get_params(deep=False)["pretrain"])
        if given is not None:
            model.config["pretraining"]["source"] = given
            model.config["options"]["pretraining"]["pretrain"] = None  # its file was there for the training alone

    def reading(self, **given: Any) -> TextFormat:
        """How files are read: as in training, where nothing else is ``given``."""
        return saved_reading(self.model_, TextFormat, SAME_COLUMNS, given)

    def answers(
        self, source: str | Path | TextIO, reading: TextFormat | None = None, *, at_once: int | None = None
    ) -> Iterator[Answer]:
        """The class of each text of a file, or of an open one, line by line or row by row; see `rondo predict`."""
        rows = iter_texts(source, reading or self.reading(), labelled=False)
        return answers(self.model_, rows, at_once=at_once)

    def evaluate(
        self, paths: Paths, *, reading: TextFormat | None = None, scoring: ClassifyScoring | None = None
    ) -> dict[str, Any]:
        """Score the model on labelled texts in files, beside the baselines that were fitted when it was trained."""
        started = time.perf_counter()
        data = read_texts(paths, reading or self.reading(), label_file=scoring.labels if scoring is not None else None)
        return evaluation(self.model_, data, (Majority, BagOfWords), started=started)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _is_frame(X: Any) -> bool:
    return getattr(X, "columns", None) is not None
