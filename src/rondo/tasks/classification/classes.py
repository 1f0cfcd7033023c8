"""The classes of a classifier: their names, and whether an item can have several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Label, Labelled
from rondo.errors import DataError, ModelError

THRESHOLD = 0.5
"""Where items can have several classes, each is given that is at least so probable."""

_KINDS = (str, bool, int, float)


@dataclass(frozen=True)
class Classes:
    """What there is to choose from, in the order of the network's outputs."""

    names: tuple[Label, ...]
    several: bool = False
    """Whether an item can have several classes, or none."""

    @classmethod
    def of(cls, data: Labelled) -> Self:
        """The classes of a training part."""
        if data.labels is None:
            raise DataError("these items have no labels to learn from.")
        names = data.classes
        for place, label in enumerate(data.labels):
            for one in label if data.several else (label,):
                if type(one) not in _KINDS:
                    kind = type(one).__name__
                    raise DataError(f"{data.where(place)}: the label is of type {kind}; labels are texts or numbers.")
        if data.several and not names:
            raise DataError("no item has any label: there is nothing to learn.")
        if not data.several and len(names) < 2:
            raise DataError(f"all items are of one class, '{names[0]}': there is nothing to tell apart.")
        return cls(names, data.several)

    def __len__(self) -> int:
        return len(self.names)

    def chosen(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The most probable class (N,), or yes and no for each class (N, K)."""
        return probabilities >= THRESHOLD if self.several else probabilities.argmax(1)

    def named(self, chosen: npt.NDArray[Any]) -> list[Label]:
        """The names of classes given by their numbers, or by yes and no: then a tuple an item."""
        if self.several:
            return [tuple(self.names[k] for k in np.flatnonzero(row)) for row in chosen]
        return [self.names[k] for k in chosen.tolist()]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {"names": list(self.names), "several": self.several}

    @classmethod
    def from_json(cls, saved: Any) -> Self:
        """From a configuration in which anything may stand."""
        try:
            names, several = tuple(saved["names"]), saved["several"]
        except (TypeError, KeyError) as error:
            raise ModelError("config.json is damaged: it names no classes") from error
        known = all(type(name) in _KINDS for name in names)
        if not known or type(several) is not bool or len(set(names)) != len(names) or not names:
            raise ModelError("config.json is damaged: its classes are not different names")
        return cls(names, several)


def balanced_weights(codes: npt.NDArray[Any], classes: Classes) -> npt.NDArray[np.float64]:
    """A weight for each class that makes all count alike: the number of items a class, over its own number.

    Of several classes an item: how many items have it not, for each that has it.
    """
    if classes.several:
        having = codes.sum(0)
        return (len(codes) - having) / np.maximum(having, 1)
    counts = np.bincount(codes, minlength=len(classes))
    return len(codes) / (len(classes) * np.maximum(counts, 1))
