"""Text without labels that an encoder learns the language from: the training texts, a file, or what Python gives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rondo.data.labelled import as_list
from rondo.data.texts import as_texts, iter_texts
from rondo.errors import DataError, UsageError
from rondo.tasks.classify.options import OWN_TEXTS, ClassifyOptions

IN_MEMORY = "texts-to-learn-the-language-from.jsonl"
"""The file that texts from Python become for the time of the training."""


@dataclass(frozen=True)
class Unlabelled:
    """Text without labels, which can be gone through again and again."""

    source: str
    own: Sequence[str]
    """The texts of the training part."""
    options: ClassifyOptions

    def __iter__(self) -> Iterator[str]:
        if self.source == OWN_TEXTS:
            return iter(self.own)
        return (row.item for row in iter_texts(self.source, self.options.reading, labelled=False))


def unlabelled(own: Sequence[str], options: ClassifyOptions) -> Unlabelled | None:
    """The text to pre-train on, if there is to be any."""
    source = options.pretraining.pretrain
    if source is None:
        return None
    if source != OWN_TEXTS and not Path(source).exists():
        raise DataError(f"{source} does not exist; --pretrain names a file of texts, or self")
    if options.model.vectors is not None:
        raise UsageError("--pretrain learns token vectors of its own: give it or --vectors")
    if options.model.pair_embedding:
        raise UsageError("--pretrain learns to read single tokens: it does not go with --pair-embedding")
    if options.model.bidirectional:
        raise UsageError("--pretrain learns to read from beginning to end: it does not go with --bidirectional")
    if options.training.devices > 1:
        raise UsageError("--pretrain runs in one process: it does not go with --devices")
    return Unlabelled(source, own, options)


def in_one_file(given: Any, folder: Path) -> str | None:
    """Texts from Python to learn the language from, or paths of several files of them, as one file in ``folder``."""
    if given is None or isinstance(given, str | os.PathLike):
        return None
    items = as_list(given)
    if not items:
        raise UsageError("--pretrain is an empty list; it has texts, or paths of files of them")
    files = _are_files(items)
    texts = (row.item for file in items for row in iter_texts(file, labelled=False)) if files else as_texts(items).items
    path = folder / IN_MEMORY
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    return str(path)


def several(given: Any) -> str | None:
    """What `in_one_file` has made one file of, in a few words."""
    if given is None or isinstance(given, str | os.PathLike):
        return None
    items = as_list(given)
    return ", ".join(map(os.fspath, items)) if _are_files(items) else f"{len(items):,} texts"


def named_source(options: ClassifyOptions) -> str:
    """What a language is learned from, in a few words."""
    source = str(options.pretraining.pretrain)
    if Path(source).name == IN_MEMORY:
        return "what is given to learn the language from"
    return "the training texts" if source == OWN_TEXTS else source


def _are_files(items: Sequence[Any]) -> bool:
    return all(isinstance(item, os.PathLike) for item in items)
