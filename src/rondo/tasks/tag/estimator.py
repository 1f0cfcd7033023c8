"""`Tagger`: tags of tokens, by scikit-learn's conventions; what `rondo.load` makes of such a model, too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from rondo.data.files import Paths
from rondo.data.splits import make_parts
from rondo.data.tagging import Expected, Sentence, TokenFormat, as_sentences, iter_parts, read_sentences
from rondo.errors import DataError, UsageError
from rondo.evaluation.tagging import TagPredictions, main_measure
from rondo.tasks.answers import Answer
from rondo.tasks.estimator import Estimator, finished
from rondo.tasks.parameters import with_parameters
from rondo.tasks.places import named
from rondo.tasks.tag.answering import answers, evaluation, spans_of
from rondo.tasks.tag.model import Reading, TaggerModel
from rondo.tasks.tag.options import TagAnswering, TagOptions, TagScoring
from rondo.tasks.tag.tags import as_labelled, checked, in_scheme, scheme_of
from rondo.training.protocols import Progress

SAME_READING = ("token_column", "tag_column", "separator", "comments", "unit")
"""What of how the training's files were read holds for others, unless something else is said."""


@with_parameters(TagOptions)
class Tagger(Estimator):
    """Tags tokens with a recurrent network: names of people and places, parts of speech, words of Chinese text.

    A sentence is a list of its tokens, its tags are a list as long. Tags of spans (``B-PER``, ``I-PER``, ``O``) may be
    written in IOB1, IOB2 (BIO), BIOES, BILOU, BMES or BMEWO; answers are in the same scheme. Works as scikit-learn's
    estimators do: in cross-validation, in searches. The same parameters are the flags of ``rondo train tag``.

    >>> tagger = rondo.Tagger(epochs=20).fit(sentences, tags)
    >>> tagger.predict([["Ada", "Lovelace", "came", "."]])
    >>> tagger.predict_spans([["Ada", "Lovelace", "came", "."]]), tagger.predict_n_best([["Ada", "came"]], 3)
    >>> tagger.save("my-tagger")  # rondo.load("my-tagger") gives it back

    After `fit`: ``classes_`` (the tags that can be answered), ``history_`` (losses and scores over the training),
    ``model_`` (the network with its vocabulary).
    """

    model_: TaggerModel
    classes_: npt.NDArray[Any]

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
        """Learn from sentences and their tags.

        Without ``y``, ``X`` is a file as ``rondo train tag`` reads it, a data frame (tokens and tags in lists, or a
        token a row with the number of its sentence), or what `rondo.read_sentences` gave. Training is watched on
        ``X_val`` and ``y_val``, or on a share of the sentences that is drawn (``valid_fraction``); ``groups`` says
        which belong together, such as those of a document, and are not parted by that. With ``baselines`` those of
        the task are fitted, too, and are saved with the model: `evaluate` and the card put the score beside theirs.
        ``progress`` is told how it goes.
        """
        if X_val is None and y_val is not None:
            raise UsageError("X_val and y_val go together: X_val is missing")
        sentences = self._tagged(X, y, groups)
        if len(sentences) < 2:
            raise DataError(
                f"there is only {len(sentences)} sample: some to learn from and some to watch by are needed"
            )
        seed = self._seed()
        with self._training() as folder:
            options = self._resolved(seed)
            scheme = scheme_of(sentences, options.data)
            watched = None
            if X_val is not None:
                read = self._tagged(X_val, y_val, name="X_val and y_val go together: y_val")
                watched = in_scheme(read, scheme, broken=options.data.broken)
            valid = None if watched is None else checked(watched, scheme, options.data)
            data = checked(sentences, scheme, options.data)
            parts = make_parts(data, valid=valid, valid_fraction=options.data.valid_fraction, seed=seed)
            learn = named("rondo.tasks.tag.learning:learn_tags")
            model, summary = learn(parts, scheme, options, folder, baselines=baselines, progress=progress)
        self._take(model, finished(summary).history)
        return self

    def predict(self, X: Any) -> list[list[str]]:
        """The best tags of each sentence."""
        return self._fitted().tag([sentence.tokens for sentence in self._asked(X)])

    def predict_proba(self, X: Any) -> list[npt.NDArray[np.float64]]:
        """How probable each of ``classes_`` is at each token, over all ways to tag the sentence: (T, classes) each.

        `predict` gives the best tags of a sentence together, which need not be the most probable one by one.
        """
        return self._fitted().marginals([sentence.tokens for sentence in self._asked(X)])

    def predict_spans(self, X: Any) -> list[list[dict[str, Any]]]:
        """The spans of each sentence: ``label``, ``text``, ``start`` and ``end`` in characters (words are joined by
        a blank), ``tokens`` (the first and the one after the last), and ``probability``."""
        sentences = self._asked(X)
        return spans_of(self._fitted(), sentences, self.model_.tag([sentence.tokens for sentence in sentences]))

    def predict_n_best(self, X: Any, n: int = 5) -> list[list[Reading]]:
        """The ``n`` best ways to tag each sentence with their probabilities, the most probable first."""
        return self._fitted().n_best([sentence.tokens for sentence in self._asked(X)], n)

    def score(self, X: Any, y: Any = None) -> float:
        """Span F1 as conlleval counts it; the share of right tags where tags are no spans. ``X`` as in `fit`."""
        sentences = in_scheme(self._tagged(X, y), self._fitted().tags.scheme, broken="keep")
        true = [sentence.tags or () for sentence in sentences]
        said = self._fitted().tag([sentence.tokens for sentence in sentences])
        return main_measure(self.model_.tags.scheme)(TagPredictions(true, said, self.model_.tags.scheme))

    def reading(self, **given: Any) -> TokenFormat:
        """How files are read: as in training, where nothing else is ``given``."""
        options = self._fitted().config.get("options")
        saved = options.get("reading") if isinstance(options, Mapping) else None
        kept = {name: saved.get(name) for name in SAME_READING} if isinstance(saved, Mapping) else {}
        return TokenFormat(**{**{name: one for name, one in kept.items() if isinstance(one, str)}, **given})

    def answers(
        self,
        source: str | Path | TextIO,
        reading: TokenFormat | None = None,
        *,
        at_once: int | None = None,
        details: bool = False,
        answering: TagAnswering | None = None,
    ) -> Iterator[Answer]:
        """The sentences of a file, or of an open one, tagged; all else in it as it was. See `rondo predict`.

        A file with neither columns nor JSON is text, a sentence a line, whose answers are lines of tags.
        """
        model, reading, written = self._fitted(), reading or self.reading(), answering or TagAnswering()
        if details and written.append:
            raise UsageError("--append writes the tags into one more column: it does not go with --json")
        if not details and written.n_best is not None:
            raise UsageError("--n-best needs --json: a file with its tags has room for one reading of each sentence")
        characters = model.config.get("unit") == "characters"
        if characters and reading.unit is None:
            reading = replace(reading, unit="characters")
        expected = Expected(characters, model.tags.like, lines=2 if at_once is None else 1)
        parts = iter_parts(source, reading, expected=expected)
        return answers(model, parts, written, details=details, at_once=at_once)

    def evaluate(
        self, paths: Paths, *, reading: TokenFormat | None = None, scoring: TagScoring | None = None
    ) -> dict[str, Any]:
        """Score the model on tagged files, beside the baselines that were fitted when it was trained."""
        started, asked = time.perf_counter(), scoring or TagScoring()
        scheme = self._fitted().tags.scheme
        if (scheme is None) != (asked.scheme == "none") and asked.scheme != "auto":
            tags = "no spans" if scheme is None else f"spans in {scheme.name}"
            raise UsageError(f"--scheme {asked.scheme} does not go with this tagger, whose tags are {tags}")
        reading = reading or self.reading()
        sentences = read_sentences(paths, reading, labels=asked.labels, group_column=asked.group_column)
        # Spans are counted as conlleval counts them, broken or not: what is asked about is not to be mended.
        data = as_labelled(in_scheme(sentences, scheme, broken="keep", given=asked.scheme))
        return evaluation(self.model_, data, started=started)

    def _tagged(self, X: Any, y: Any, groups: Any = None, *, name: str = "y") -> Sequence[Sentence]:
        """Sentences with their tags: those of ``y``, or those that stand with the sentences."""
        if isinstance(X, str | os.PathLike) or (hasattr(X, "columns") and y is None):
            if y is not None:
                raise UsageError(f"{os.fspath(X)} has the tags of its sentences itself: leave y out")
            X = read_sentences(X, self._reading())
        elif hasattr(X, "columns"):
            X = read_sentences(X, self._reading(), tagged=False)
        elif y is None and not (isinstance(X, list | tuple) and X and all(isinstance(one, Sentence) for one in X)):
            start = "Tagger requires y to be passed, but the target y is None" if name == "y" else f"{name} is missing"
            raise UsageError(f"{start}: give the tags of each sentence, or a file or a data frame that has them")
        sentences = as_sentences(X, y, groups=groups)
        if any(sentence.tags is None for sentence in sentences):
            raise UsageError(f"{name}: these sentences have no tags")
        return sentences

    def _asked(self, X: Any) -> Sequence[Sentence]:
        """Sentences that are to be tagged; a file is a path, since a text might be meant as one."""
        self._fitted()
        if isinstance(X, os.PathLike) or hasattr(X, "columns"):
            return read_sentences(X, self._reading(), tagged=None if isinstance(X, os.PathLike) else False)
        return as_sentences(X)

    def _reading(self) -> TokenFormat:
        return self.reading() if hasattr(self, "model_") else TokenFormat()

    def _fitted(self) -> TaggerModel:
        check_is_fitted(self, "model_")
        return self.model_

    def _take(self, model: TaggerModel, history: list[dict[str, Any]]) -> None:
        super()._take(model, history)
        self.classes_ = np.array(model.tags.classes)

    def _write_card(self, folder: Path) -> None:
        named("rondo.tasks.tag.card:write_model_card")(self.model_, folder)

    @classmethod
    def _load(cls, folder: str | Path, device: str | torch.device) -> TaggerModel:
        return TaggerModel.load(folder, device=device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        return tags
