"""What all estimators share: scikit-learn's conventions, over the options, the training and the folders of a task.

The parameters of an estimator are its task's options (`rondo.tasks.parameters`). `fit` trains in a folder that
vanishes, with the same loop as the command line; what it leaves is in ``model_``. `save` writes the folder that
the command line writes, and `rondo.load` makes an estimator of either.
"""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from rondo.errors import ModelError, RondoError, UsageError
from rondo.models.folder import discard_training, read_config, refuse_other_things, weights_digest, write_events
from rondo.storage import gathering
from rondo.tasks.options import from_flat, option_names
from rondo.tasks.parameters import in_python
from rondo.tasks.registry import TASKS
from rondo.training.protocols import TrainingSummary
from rondo.training.randomness import random_state_kept

_LARGEST_SEED = 2**31


def seed_from(random_state: Any) -> int:
    """A seed from what scikit-learn calls ``random_state``: a whole number, a generator, or None for any."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(_LARGEST_SEED))
    except ValueError as error:
        raise UsageError(f"random_state is a whole number, a RandomState or None, not {random_state!r}") from error


class FittedModel(Protocol):
    """What an estimator has learned: a network with all that it takes to use it."""

    config: dict[str, Any]

    @property
    def network(self) -> torch.nn.Module: ...

    def save(self, folder: str | Path) -> None: ...


class Estimator(BaseEstimator):
    """Base of the estimators. A class of its own needs `with_parameters`, `_learn`, and `_load`."""

    options_class: ClassVar[type]
    """The dataclass of its task's options; `with_parameters` sets it."""

    model_: Any
    """What was learned: network, vocabulary, configuration."""
    history_: list[dict[str, Any]]
    """The events of the training: losses, scores, learning rates."""

    @classmethod
    @abstractmethod
    def _load(cls, folder: str | Path, device: str | torch.device) -> Any:
        """The model in a folder, as ``model_``."""

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder: `rondo.load` makes an estimator of it, and the command line uses it.

        The folder is new or empty, or holds a model of Rondo's, which is replaced.
        """
        check_is_fitted(self, "model_")
        folder = Path(folder)
        refuse_other_things(folder)
        before = _digest(folder)
        self.model_.save(folder)
        if _digest(folder) != before:
            discard_training(folder)
        write_events(folder, self.history_)
        self._write_card(folder)

    def _write_card(self, folder: Path) -> None:
        """Write the model's card; an estimator whose task has none does nothing."""

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """The fitted estimator in a folder that `save` or a training on the command line wrote."""
        _check_kind(cls, folder)
        model = cls._load(folder, device)
        made = cls._with_options(model.config)
        made._take(model, [])
        return made

    def _take(self, model: Any, history: list[dict[str, Any]]) -> None:
        """Set what was learned."""
        self.model_ = model
        self.history_ = history

    @classmethod
    def _with_options(cls, config: Mapping[str, Any]) -> Self:
        """An estimator with the parameters that a saved model was trained with, as far as they can be read."""
        sections = config.get("options")
        saved = {
            name: tuple(value) if isinstance(value, list) else value
            for section in (sections.values() if isinstance(sections, Mapping) else ())
            if isinstance(section, Mapping)
            for name, value in section.items()
        }
        names = cls._get_param_names()
        made = cls(**{name: value for name, value in saved.items() if name in names})
        if isinstance(saved.get("seed"), int):
            made.set_params(random_state=saved["seed"])
        if isinstance(weights := config.get("class_weights"), list) and "class_weight" in names:
            made.set_params(class_weight={name: weight for name, weight in weights})  # noqa: C416
        return made

    def _resolved(self, seed: int, **more: Any) -> Any:
        """The options that the parameters say, checked."""
        names = option_names(self.options_class)
        given = {name: value for name, value in self.get_params(deep=False).items() if name in names}
        return from_flat(self.options_class, {**given, "seed": seed, "checkpoint_minutes": 0.0, **more})

    def _seed(self) -> int:
        return seed_from(self.random_state)

    @contextmanager
    def _training(self) -> Iterator[Path]:
        """A folder to train in. The generators of random numbers and the number of threads are as before afterwards.

        What goes wrong is said in the names that Python's users gave.
        """
        threads = torch.get_num_threads()
        try:
            with tempfile.TemporaryDirectory(prefix="rondo-") as folder, random_state_kept(torch.device("cpu")):
                yield Path(folder)
        except RondoError as error:
            raise type(error)(in_python(str(error), self._get_param_names())) from error
        finally:
            torch.set_num_threads(threads)


def _digest(folder: Path) -> str | None:
    """What tells the model in a folder from any other, if there is one."""
    try:
        return weights_digest(folder)
    except ModelError:
        return None


def _check_kind(kind: type, folder: str | Path) -> None:
    """Refuse a folder with the model of another task, and name it."""
    config = read_config(folder)
    task = TASKS.get(str(config.get("task")))
    home = task.home_of_model.rpartition(":")[2] if task is not None else None
    if task is not None and home not in [base.__name__ for base in kind.__mro__]:
        raise ModelError(f"{folder} holds a model of the task {task.name}, no {kind.__name__}; rondo.load reads it")


def finished(summary: TrainingSummary) -> TrainingSummary:
    """The summary of a training in `fit`; a training that was interrupted is no result."""
    if summary.stopped_why == "interrupted":
        raise KeyboardInterrupt
    return summary


def folder_bytes(model: FittedModel) -> dict[str, bytes]:
    """The files of a model's folder, by name: how a model is pickled."""
    with tempfile.TemporaryDirectory(prefix="rondo-") as folder, gathering() as files:
        model.save(folder)
    return {path.name: data for path, data in files.items()}


@contextmanager
def folder_of(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder with these files, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="rondo-") as name:
        folder = Path(name)
        for part, data in files.items():
            (folder / part).write_bytes(data)
        yield folder
