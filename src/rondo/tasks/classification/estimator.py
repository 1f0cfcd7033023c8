"""The base of the estimators that classify: fit, predict, probabilities and score as scikit-learn has them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from rondo.data.labelled import Labelled
from rondo.data.splits import make_parts
from rondo.errors import DataError, UsageError
from rondo.tasks.classification.model import ClassifierModel, Encoder
from rondo.tasks.estimator import Estimator, finished
from rondo.tasks.places import named
from rondo.training.protocols import Progress


class ClassifierEstimator(ClassifierMixin, Estimator):
    """A class of its own says what its items are (`_items`), and names its encoder and where its learning is."""

    encoder_class: ClassVar[type[Encoder]]
    home_of_learning: ClassVar[str]
    """Where the function is, as MODULE:NAME, that learns: ``(parts, options, folder, *, class_weights, progress)``,
    and returns a `ClassifierModel` and a `TrainingSummary`."""

    model_: ClassifierModel
    classes_: npt.NDArray[Any]
    """The classes in order. Where items can have several, the columns of what `predict` returns."""

    @abstractmethod
    def _items(self, X: Any, y: Any = None, groups: Any = None, *, fitting: bool = False) -> Labelled:
        """What a user gave, checked; `DataError` for what cannot be."""

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        X_val: Any = None,
        y_val: Any = None,
        groups: Any = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from items and their classes.

        ``y`` is a class an item; or, where an item can have several, a list of them an item, or rows of 0 and 1.
        Training is watched on ``X_val`` and ``y_val``, or on a share of the items that is drawn
        (``valid_fraction``); ``groups`` says which items belong together and are not parted by that. ``progress``
        is told how it goes.
        """
        if (X_val is None) != (y_val is None):
            raise UsageError("X_val and y_val go together: items to watch the training on, and their classes")
        if y is None:
            raise UsageError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        data = self._items(X, _labels(y), groups, fitting=True)
        if len(data) < 2:
            raise DataError(f"there is only {len(data)} sample: some to learn from and some to watch by are needed")
        valid = None if X_val is None else self._items(X_val, _labels(y_val))
        weights = self.get_params(deep=False).get("class_weight")
        given = weights if isinstance(weights, Mapping) else None
        seed = self._seed()
        with self._training() as folder:
            options = self._resolved(seed, **({"class_weight": None} if given is not None else {}))
            parts = make_parts(data, valid=valid, valid_fraction=options.data.valid_fraction, seed=seed)
            learn = named(self.home_of_learning)
            model, summary = learn(parts, options, folder, class_weights=given, progress=progress)
        self._take(model, finished(summary).history)
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most probable class of each item, (N,); or 0 and 1 for each of ``classes_``, (N, K)."""
        probabilities = self.predict_proba(X)
        chosen = self.model_.classes.chosen(probabilities)
        found: npt.NDArray[Any] = chosen.astype(np.int64) if self.model_.classes.several else self.classes_[chosen]
        return found

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """How probable each of ``classes_`` is, (N, K). The rows add up to one, unless an item can have several."""
        check_is_fitted(self, "model_")
        return self.model_.probabilities(self._items(X).items)

    def score(self, X: Any, y: Any) -> float:
        """The share of items that are classified right; of several classes an item, all of them must be."""
        predicted = self.predict(X)
        if not self.model_.classes.several:
            return float(np.mean([one == other for one, other in zip(predicted.tolist(), _plain(y), strict=True)]))
        codes = self._items(X, _labels(y)).codes(self.model_.classes.names)
        return float((predicted == codes).all(1).mean())

    def _take(self, model: ClassifierModel, history: list[dict[str, Any]]) -> None:
        super()._take(model, history)
        self.classes_ = np.array(list(model.classes.names))

    @classmethod
    def _load(cls, folder: str | Path, device: str | torch.device) -> ClassifierModel:
        return ClassifierModel.load(folder, cls.encoder_class, device=device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _labels(y: Any) -> Any:
    """Classes as given; what is an array, or could be one, as scikit-learn takes it."""
    if hasattr(y, "__array__") and not hasattr(y, "tolist"):
        y = np.asarray(y)
    elif isinstance(y, list) and _is_table(y):
        y = np.array(y)
    elif isinstance(y, list | tuple):
        y = [label.item() if isinstance(label, np.generic) else label for label in y]
    dimensions = getattr(y, "ndim", 0)
    if dimensions == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    if dimensions:
        check_classification_targets(y)
    return y


def _is_table(rows: list[Any]) -> bool:
    """Whether these are rows of 0 and 1 for each class, not lists of labels."""
    widths = {len(row) if isinstance(row, list | tuple | np.ndarray) else 0 for row in rows}
    if len(widths) != 1 or widths == {0}:
        return False
    return all(value in (0, 1) and not isinstance(value, str) for row in rows for value in row)


def _plain(y: Any) -> list[Any]:
    listed: list[Any] = y.tolist() if hasattr(y, "tolist") else list(y)
    return listed
