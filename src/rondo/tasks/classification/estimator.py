"""The base of the estimators that classify: fit, predict, probabilities and score as scikit-learn has them."""

from __future__ import annotations

import os
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
from rondo.tasks.classification.answering import checked_items
from rondo.tasks.classification.model import ClassifierModel, Encoder
from rondo.tasks.estimator import Estimator, finished
from rondo.tasks.places import named
from rondo.training.protocols import Progress


class ClassifierEstimator(ClassifierMixin, Estimator):
    """A class of its own says what its items are (`_items`, `_read`), names its encoder, and says where it learns."""

    encoder_class: ClassVar[type[Encoder]]
    home_of_learning: ClassVar[str]
    """Where the function is, as MODULE:NAME, that learns: ``(parts, options, folder, *, class_weights, baselines,
    progress)``, and returns a `ClassifierModel` and a `TrainingSummary`."""
    home_of_words: ClassVar[str] = ""
    """Where the `Words` are with which its task speaks of a model in its card; without them there is no card."""

    model_: ClassifierModel
    classes_: npt.NDArray[Any]
    """The classes in order. Where items can have several, the columns of what `predict` returns."""

    @abstractmethod
    def _items(self, X: Any, y: Any = None, groups: Any = None, *, fitting: bool = False) -> Labelled:
        """What a user gave, checked; `DataError` for what cannot be."""

    def _read(self, source: Any, *, labelled: bool) -> Labelled:
        """What is in a file, a folder, or a table whose columns say what they are."""
        raise UsageError(f"{type(self).__name__} reads no files: give arrays")

    def _holds_classes(self, X: Any) -> bool:
        """Whether ``X`` says itself which class an item has, as files and folders do."""
        return isinstance(X, str | os.PathLike | Labelled)

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        groups: Any = None,
        baselines: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from items and their classes.

        ``y`` is a class an item; or, where an item can have several, a list of them an item, or rows of 0 and 1.
        Without ``y``, ``X`` is a file or a folder as ``rondo train`` reads them, or what a reader gave
        (`rondo.read_texts` and its like). Training is watched on ``X_val`` and ``y_val``, or on a share of the items
        that is drawn (``valid_fraction``); ``groups`` says which items belong together and are not parted by that.
        With ``baselines`` those of the task are fitted, too, and are saved with the model: `evaluate` and the card
        put the score beside theirs. ``progress`` is told how it goes.
        """
        if X_val is None and y_val is not None:
            raise UsageError("X_val and y_val go together: items to watch the training on, and their classes")
        data = self._labelled(X, y, groups, fitting=True)
        if len(data) < 2:
            raise DataError(f"there is only {len(data)} sample: some to learn from and some to watch by are needed")
        valid = None if X_val is None else self._labelled(X_val, y_val, name="X_val and y_val go together: y_val")
        weights = self.get_params(deep=False).get("class_weight")
        given = weights if isinstance(weights, Mapping) else None
        seed = self._seed()
        with self._training() as folder:
            options = self._resolved(
                seed, **({"class_weight": None} if given is not None else {}), **self._in_files(folder)
            )
            parts = make_parts(data, valid=valid, valid_fraction=options.data.valid_fraction, seed=seed)
            learn = named(self.home_of_learning)
            model, summary = learn(parts, options, folder, class_weights=given, baselines=baselines, progress=progress)
        self._take(model, finished(summary).history)
        return self

    def _in_files(self, folder: Path) -> dict[str, Any]:
        """Parameters that are no options as they are: what stands for them, for the time of the training."""
        return {}

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most probable class of each item, (N,); or 0 and 1 for each of ``classes_``, (N, K)."""
        probabilities = self.predict_proba(X)
        chosen = self.model_.classes.chosen(probabilities)
        found: npt.NDArray[Any] = chosen.astype(np.int64) if self.model_.classes.several else self.classes_[chosen]
        return found

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """How probable each of ``classes_`` is, (N, K). The rows add up to one, unless an item can have several."""
        check_is_fitted(self, "model_")
        return self.model_.probabilities(self._asked(X).items)

    def score(self, X: Any, y: Any = None) -> float:
        """The share of items that are classified right; of several classes an item, all of them must be.

        Without ``y``, ``X`` is what `fit` takes without it.
        """
        check_is_fitted(self, "model_")
        if y is None:
            X = self._labelled(X, None)
            y = X.labels
        predicted = self.predict(X)
        if not self.model_.classes.several:
            given = _plain(y)
            if len(given) != len(predicted):
                raise DataError(f"{len(predicted)} items have {len(given)} classes in y.")
            return float(np.mean([one == other for one, other in zip(predicted.tolist(), given, strict=True)]))
        data = X if isinstance(X, Labelled) else self._items(X, _labels(y))
        return float((predicted == data.codes(self.model_.classes.names)).all(1).mean())

    def _labelled(self, X: Any, y: Any, groups: Any = None, *, fitting: bool = False, name: str = "y") -> Labelled:
        """Items with their classes: those of ``y``, or those that stand with the items."""
        if y is not None:
            if self._holds_files(X):
                raise UsageError(f"{_short(X)} has the classes of its items itself: leave y out")
            return self._items(X, _labels(y), groups, fitting=fitting)
        if not self._holds_classes(X):
            if fitting or name == "y":
                raise UsageError(f"{type(self).__name__} requires y to be passed, but the target y is None")
            raise UsageError(f"{name} is missing")
        if groups is not None:
            raise UsageError("groups go with y; files say them by a column, which a reader is told (rondo.read_texts)")
        if fitting:
            self.__dict__.pop("n_features_in_", None)  # of an earlier fit, to an array
        data = X if isinstance(X, Labelled) else self._read(X, labelled=True)
        if data.labels is None:
            raise DataError(f"{_short(X)} has no classes.")
        return data

    def _asked(self, X: Any) -> Labelled:
        """Items whose classes are asked for."""
        if not self._holds_files(X):
            return self._items(X)
        data = X if isinstance(X, Labelled) else self._read(X, labelled=False)
        return checked_items(self.model_, data)

    @staticmethod
    def _holds_files(X: Any) -> bool:
        """Whether these are files, or what a reader made of them; a text alone may be an item by mistake."""
        return isinstance(X, os.PathLike | Labelled)

    def _write_card(self, folder: Path) -> None:
        if self.home_of_words:
            write = named("rondo.tasks.classification.page:write_model_card")
            write(self.model_, folder, named(self.home_of_words))

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


def _short(X: Any) -> str:
    """A source as a message names it."""
    return "what was read" if isinstance(X, Labelled) else str(X)


def _is_table(rows: list[Any]) -> bool:
    """Whether these are rows of 0 and 1 for each class, not lists of labels."""
    widths = {len(row) if isinstance(row, list | tuple | np.ndarray) else 0 for row in rows}
    if len(widths) != 1 or widths == {0}:
        return False
    return all(value in (0, 1) and not isinstance(value, str) for row in rows for value in row)


def _plain(y: Any) -> list[Any]:
    listed: list[Any] = y.tolist() if hasattr(y, "tolist") else list(y)
    return listed
