"""What a model of verse learns from and what is held out, from files; long poems in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rondo.errors import UsageError
from rondo.tasks.poetry.corpus import Corpus, Split, make_corpus, read_corpus, split_corpus
from rondo.tasks.poetry.options import PoetryData
from rondo.tasks.poetry.vocabulary import PoemVocabulary

SHORTEST_PIECE = 16


def read_parts(paths: Sequence[str | Path], options: PoetryData, *, seed: int) -> tuple[Corpus, Split]:
    """Read and split. No poem of a part shares half its lines with one of another; where files of the user's
    do, the poem stays in the test part, else in the validation part.
    """
    corpus = read_corpus(paths, encoding=options.encoding)
    held = {
        name: read_corpus([path], encoding=options.encoding).poems
        for name, path in (("test", options.test), ("valid", options.valid))
        if path is not None
    }
    together = make_corpus([poem for poems in (*held.values(), corpus.poems) for poem in poems])
    group_of = {poem.text: group for poem, group in zip(together.poems, together.group, strict=True)}
    taken: set[int] = set()
    for name, poems in held.items():
        # A poem that `together` lacks equals one of a part before.
        held[name] = tuple(p for p in poems if p.text in group_of and group_of[p.text] not in taken)
        taken |= {group_of[poem.text] for poem in held[name]}
        if not held[name]:
            raise UsageError(f"--{name}: its poems all stand in the test part: none is left")
    free = [index for index, group in enumerate(together.group) if group not in taken]
    rest = Corpus(
        tuple(together.poems[index] for index in free), tuple(together.group[index] for index in free), corpus.counts
    )
    split = split_corpus(rest, valid_fraction=0.0 if options.valid else options.valid_fraction, seed=seed)
    if not options.valid and not split.valid:
        raise UsageError("--valid-fraction leaves no poem to validate on")
    return corpus, Split(train=split.train, valid=held.get("valid", split.valid), test=held.get("test", ()))


def pieces_of(ids: np.ndarray, vocabulary: PoemVocabulary, max_tokens: int) -> Iterator[np.ndarray]:
    """A poem's tokens; a long poem in pieces that end with a line, each behind the form's token."""
    if max_tokens < SHORTEST_PIECE:
        raise UsageError(f"--max-tokens is at least {SHORTEST_PIECE}, not {max_tokens}")
    while len(ids) > max_tokens:
        head = ids[: min(max_tokens, len(ids) - 2)]  # the last mark stays with the end of the poem
        marks = np.flatnonzero((head == vocabulary.stop) | (head == vocabulary.comma))
        end = int(marks[-1]) + 1 if len(marks) else len(head)
        yield ids[:end]
        ids = np.concatenate([ids[:1], ids[end:]])
    yield ids
