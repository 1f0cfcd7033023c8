"""`SignalClassifier`: classes of signals, as a scikit-learn estimator; what `rondo.load` makes of such a model, too."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from sklearn.utils.validation import check_array, validate_data

from rondo.data.files import Paths
from rondo.data.labelled import Labelled, Row
from rondo.data.signals import SignalFormat, as_signals, iter_signals, read_signals
from rondo.errors import DataError
from rondo.evaluation.neighbours import NearestNeighbour
from rondo.evaluation.rivals import Majority
from rondo.tasks.answers import Answer
from rondo.tasks.classification.answering import answers, checked_items, checked_rows, evaluation, saved_reading
from rondo.tasks.classification.estimator import ClassifierEstimator
from rondo.tasks.parameters import with_parameters
from rondo.tasks.signals.encoder import SignalEncoder
from rondo.tasks.signals.options import SignalOptions

SAME_COLUMNS = ("label_column", "group_column", "series_column", "time_column", "values", "lengths")
"""What of how the training's files were read holds for others, unless something else is said."""


@with_parameters(SignalOptions)
class SignalClassifier(ClassifierEstimator):
    """Classifies signals with a recurrent network: sensors, movements, recordings, any series of numbers.

    Signals are an array (N, T) or (N, T, channels), a data frame with a signal a row, or a list of arrays (T,) or
    (T, channels) of any lengths. Fitted on an array (N, T), on lists of numbers that make one, or on a data frame,
    others must have as many columns, as scikit-learn has it; a list of arrays may be of other lengths still. Values
    that are not a number are missing ones: they are filled along straight lines. `fit` takes a file or a folder, too,
    without ``y``; `rondo.read_signals` reads other columns. Works as scikit-learn's classifiers
    do: in pipelines, in cross-validation, in searches. The same parameters are the flags of ``rondo train signals``.

    >>> classifier = rondo.SignalClassifier(epochs=50).fit(signals, classes)
    >>> classifier.predict(others), classifier.predict_proba(others)
    >>> classifier.save("my-model")  # rondo.load("my-model") gives it back

    After `fit`: ``classes_``, ``history_`` (losses and scores over the training), ``model_`` (the network and
    its scaling).
    """

    encoder_class = SignalEncoder
    home_of_learning = "rondo.tasks.signals.task:learn_signals"
    home_of_words = "rondo.tasks.signals.report:WORDS"

    def _items(self, X: Any, y: Any = None, groups: Any = None, *, fitting: bool = False) -> Labelled:
        if fitting:
            self.__dict__.pop("n_features_in_", None)  # of an earlier fit, to an array
        if not isinstance(X, list | tuple) or (fitting and _is_table(X)):
            X = self._array(X, fitting)
        data = as_signals(X, y, groups)
        return data if fitting or not hasattr(self, "model_") else checked_items(self.model_, data)

    def _array(self, X: Any, fitting: bool) -> Any:
        """An array or a data frame, as scikit-learn checks it: two axes always have the width of the training's."""
        if getattr(X, "ndim", 2) == 3:
            return check_array(X, allow_nd=True, ensure_all_finite="allow-nan")
        return validate_data(self, X, reset=fitting, ensure_all_finite="allow-nan")

    def _read(self, source: Any, *, labelled: bool) -> Labelled:
        return read_signals(source, labelled=labelled)

    def reading(self, **given: Any) -> SignalFormat:
        """How files are read: as in training, where nothing else is ``given``."""
        return saved_reading(self.model_, SignalFormat, SAME_COLUMNS, given)

    def answers(
        self, source: str | Path | TextIO, reading: SignalFormat | None = None, *, at_once: int | None = None
    ) -> Iterator[Answer]:
        """The class of each signal of a file, or of an open one; see `rondo predict`."""
        reading = reading or self.reading()
        rows = self._with_known_classes(iter_signals(source, reading), source, reading)
        return answers(self.model_, checked_rows(self.model_, rows), at_once=at_once)

    def evaluate(self, paths: Paths, *, reading: SignalFormat | None = None) -> dict[str, Any]:
        """Score the model on labelled signals in files, beside the baselines that were fitted when it was trained."""
        started = time.perf_counter()
        data = checked_items(self.model_, read_signals(paths, reading or self.reading()))
        return evaluation(self.model_, data, (Majority, NearestNeighbour), started=started)

    def _with_known_classes(self, rows: Iterable[Row], source: Any, reading: SignalFormat) -> Iterator[Row]:
        """The rows of a table of numbers, unless their first values stand where the classes were in training."""
        told = reading.label_column is not None or reading.series_column is not None
        table = not told and reading.format in ("auto", "table") and not str(source).lower().endswith((".ts", ".npz"))
        known = set(map(str, self.model_.classes.names))
        for row in rows:
            if table and row.label is not None and str(row.label) not in known and _is_number(row.label):
                raise DataError(
                    f"{row.origin}: its first value, {row.label}, stands where classes stand, and is none that the "
                    "model knows. --label-column none: the lines have no class; --label-column 1: they have one."
                )
            yield row

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


def _is_number(label: Any) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _is_table(rows: Sequence[Any]) -> bool:
    """Whether lists of numbers lie in a list, all of one length: an array, written out."""
    if not rows or not all(isinstance(row, list | tuple) for row in rows):
        return False
    return len({len(row) for row in rows}) == 1 and all(isinstance(value, int | float) for row in rows for value in row)
