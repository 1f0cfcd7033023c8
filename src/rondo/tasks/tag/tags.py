"""The tags of a tagger: those of the data, those that the network tells apart, and the way between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from rondo.data.labelled import Labelled
from rondo.data.tagging.detection import UnclearScheme, detect_scheme, mended_tags
from rondo.data.tagging.schemes import (
    BIOES,
    OUTSIDE,
    Scheme,
    allowed_transitions,
    check_tags,
    convert_tags,
    first_problem,
    get_scheme,
    parse_tag,
    read_spans,
    tag_set,
)
from rondo.data.tagging.sentences import Sentence
from rondo.errors import DataError, ModelError
from rondo.layers.transitions import Transitions
from rondo.tasks.tag.options import TagData

Broken = Literal["error", "mend", "keep"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TagNames:
    """What a tagger can say."""

    names: tuple[str, ...]
    """In the order of the network's outputs."""
    scheme: Scheme | None
    """What spans are written in, in the data and in answers; None if the tags are no spans."""
    inner: Scheme | None
    """What the network's own tags are written in."""

    @classmethod
    def of(cls, data: Labelled, options: TagData, scheme: Scheme | None) -> Self:
        """The tags of a training part."""
        every = data.classes
        if not every:
            raise DataError("no sentence has a token with a tag: there is nothing to learn")
        if scheme is None:
            names = every
        else:
            inner = _same_separator(BIOES, scheme) if options.inner_scheme == "BIOES" else scheme
            kinds = {scheme.parse(tag).kind for tag in every if tag != OUTSIDE}
            names = tuple(tag for tag in tag_set(kinds, inner) if tag != OUTSIDE or OUTSIDE in every)
        if len(names) < 2:
            raise DataError(f"all tokens have the tag '{names[0]}': there is nothing to tell apart")
        return cls(names, scheme, None if scheme is None else inner)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of spans; of tags that are no spans, the tags."""
        if self.inner is None:
            return self.names
        return tuple(sorted({self.inner.parse(tag).kind for tag in self.names if tag != OUTSIDE}))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All tags that can be answered, in the data's scheme."""
        if self.scheme is None:
            return self.names
        return tuple(tag for tag in tag_set(self.kinds, self.scheme) if tag != OUTSIDE or OUTSIDE in self.names)

    @property
    def allowed(self) -> Transitions | None:
        """Which of the network's tags may follow which; None where all may."""
        return None if self.inner is None else allowed_transitions(self.names, self.inner)

    def codes(self, tags: Sequence[str]) -> npt.NDArray[np.int64] | None:
        """The numbers of the network's tags for tags of the data; None if there is one that it cannot say."""
        own = tags if self.inner is None or not tags else convert_tags(tags, self.inner)
        try:
            return np.array([self._numbers[tag] for tag in own], np.int64)
        except KeyError:
            return None

    def named(self, codes: Sequence[int], *, sound: bool) -> list[str]:
        """The network's answer in the data's scheme; ``sound`` says that it keeps to the rules of its own."""
        own = [self.names[code] for code in codes]
        if self.inner is None or self.scheme is None or self.inner == self.scheme:
            return own
        if sound and self.scheme.always_begins:
            return [self._letters[tag] for tag in own]
        return convert_tags(own, self.scheme)

    @cached_property
    def edges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """For each kind of span, which of the network's tags end one and which begin one, (kinds, tags).

        None unless the data's scheme asks for that: in IOB1 a span begins with its own letter only next to another.
        """
        if self.scheme is None or self.inner is None or self.inner == self.scheme or self.scheme.always_begins:
            return None
        parsed = [self.inner.parse(name) for name in self.names]
        last, first = (
            np.array([[tag.kind == kind and tag.role in roles for tag in parsed] for kind in self.kinds], np.int64)
            for roles in ("ES", "BS")
        )
        return last, first

    def of_classes(self, marginals: Floats, touching: Floats | None) -> Floats:
        """The probabilities of `classes`, (T, classes), from those of the network's tags, (T, tags).

        ``touching`` (T, kinds) has, where there are `edges`, how likely a span begins next to one of its kind.
        """
        if self.scheme is None or self.inner is None or self.inner == self.scheme:
            return marginals
        place = {tag: number for number, tag in enumerate(self.classes)}
        found = np.zeros((len(marginals), len(self.classes)))
        for column, name in enumerate(self.names):
            role, kind = self.inner.parse(name)
            if not self.scheme.ends:
                role = {"S": "B", "E": "I"}.get(role, role)
            if not self.scheme.always_begins and role == "B":
                role = "I"
            found[:, place[self.scheme.tag(role, kind)]] += marginals[:, column]
        for number, kind in enumerate(self.kinds if touching is not None else ()):
            begun = np.minimum(touching[:, number], found[:, place[self.scheme.tag("I", kind)]])  # type: ignore[index]
            found[:, place[self.scheme.tag("I", kind)]] -= begun
            found[:, place[self.scheme.tag("B", kind)]] += begun
        return found

    def unseen(self, tags: Sequence[str]) -> set[str]:
        """The kinds of spans, or the tags, among these that the tagger cannot say."""
        said = set(tags) if self.scheme is None else {span.kind for span in read_spans(tags)}
        return said - set(self.kinds)

    def like(self, word: str) -> bool:
        """Whether a word is one of these tags, or another one of spans."""
        if self.scheme is None or word == OUTSIDE:
            return word in self.names or word == OUTSIDE
        found = parse_tag(word) or parse_tag(word, separator="_")
        return found is not None and (bool(found.kind) or "" in self.kinds)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {
            "names": list(self.names),
            "scheme": None if self.scheme is None else self.scheme.to_json(),
            "inner": None if self.inner is None else self.inner.to_json(),
        }

    @classmethod
    def from_json(cls, saved: Any) -> Self:
        """From a configuration in which anything may stand."""
        try:
            names = tuple(saved["names"])
            schemes = [None if saved[key] is None else Scheme.from_json(saved[key]) for key in ("scheme", "inner")]
            whole = cls(names, *schemes)
            if not names or len(set(names)) != len(names) or not all(type(name) is str for name in names):
                raise ValueError("tags are different names")
            if (whole.scheme is None) != (whole.inner is None):
                raise ValueError("one of two schemes is missing")
            for name in names:
                if whole.inner is not None:
                    whole.inner.parse(name)
        except (TypeError, KeyError, ValueError) as error:
            raise ModelError(f"config.json is damaged: its tags cannot be read ({error})") from None
        return whole

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {tag: number for number, tag in enumerate(self.names)}

    @cached_property
    def _letters(self) -> dict[str, str]:
        """Each tag of the network in the data's scheme, where that needs no look at its neighbours."""
        assert self.inner is not None, "tags of spans have schemes"
        assert self.scheme is not None, "tags of spans have schemes"
        found = {}
        for name in self.names:
            role, kind = self.inner.parse(name)
            if not self.scheme.ends:
                role = {"S": "B", "E": "I"}.get(role, role)
            found[name] = self.scheme.tag(role, kind)
        return found


def scheme_of(sentences: Sequence[Sentence], options: TagData) -> Scheme | None:
    """The scheme of tagged sentences: what is asked for, or what their tags say."""
    if options.scheme == "none":
        return None
    if options.scheme != "auto":
        return _asked(sentences, options.scheme)
    try:
        return _detected(sentences, mend=options.broken == "mend")
    except UnclearScheme as error:
        raise DataError(
            f"{error}. Mend it, or let broken tags be read as conlleval reads them (--broken mend); or say that the "
            "tags are no spans (--scheme none)"
        ) from None


def in_scheme(
    sentences: Sequence[Sentence], scheme: Scheme | None, *, broken: Broken, given: str = "auto"
) -> Sequence[Sentence]:
    """Sentences with their tags as a tagger has them, whose spans are in ``scheme``.

    ``given`` is the scheme that they are written in, or auto: told by their tags. ``broken`` says what becomes of
    tags that break it: an error, the spans that conlleval reads, or, with keep, what they are, which those that are
    converted cannot be.
    """
    if scheme is None or not any(sentence.tags for sentence in sentences):
        return sentences
    found = _detected(sentences, mend=broken == "mend") if given == "auto" else _asked(sentences, given)
    if found is None:
        first = next(sentence for sentence in sentences if sentence.tags)
        raise DataError(
            f"{first.where(0)}: '{first.tags[0] if first.tags else ''}': these tags are no spans, and those of the "
            f"tagger are, written in {scheme.name}"
        )
    if found == scheme or (given == "auto" and _fits(sentences, scheme, found)):
        return sentences
    if broken == "error":
        for sentence in sentences:
            _check(sentence, sentence.tags or (), found, sentence.where)
    return [replace(sentence, tags=tuple(mended_tags(sentence.tags or (), scheme))) for sentence in sentences]


def checked(sentences: Sequence[Sentence], scheme: Scheme | None, options: TagData) -> Labelled:
    """Sentences as items with their tags; those that break the scheme are refused with their line, or mended."""
    if scheme is not None and options.broken == "mend":
        sentences = [replace(each, tags=tuple(mended_tags(each.tags or (), scheme))) for each in sentences]
    elif scheme is not None:
        for sentence in sentences:
            _check(sentence, sentence.tags or (), scheme, sentence.where)
    return as_labelled(sentences)


def as_labelled(sentences: Sequence[Sentence]) -> Labelled:
    """Sentences as items with their tags, as they are."""
    groups = [sentence.group for sentence in sentences]
    known = bool(groups) and all(group is not None for group in groups)
    return Labelled(
        [sentence.tokens for sentence in sentences],
        [sentence.tags or () for sentence in sentences],
        groups if known else None,
        [sentence.origin for sentence in sentences],
    )


def _detected(sentences: Sequence[Sentence], *, mend: bool) -> Scheme | None:
    tags = (sentence.tags or () for sentence in sentences)
    return detect_scheme(tags, where=lambda number, token: sentences[number].where(token), mend=mend)


def _asked(sentences: Sequence[Sentence], name: str) -> Scheme:
    """A scheme by name, with what the tags have between letter and kind."""
    found = _detected(sentences, mend=True)
    return get_scheme(name) if found is None else _same_separator(get_scheme(name), found)


def _fits(sentences: Sequence[Sentence], scheme: Scheme, other: Scheme) -> bool:
    """Whether tags may as well be written in one scheme as in another one."""
    wrong = [
        sum(first_problem(sentence.tags or (), each) is not None for sentence in sentences) for each in (scheme, other)
    ]
    return wrong[0] <= wrong[1]


def _check(sentence: Sentence, tags: Sequence[str], scheme: Scheme, where: Callable[[int], object]) -> None:
    try:
        check_tags(tags, scheme, where)
    except DataError as error:
        mend = "Mend the tags, or let them be read as conlleval reads them (--broken mend)"
        raise DataError(f"{error}. {mend}") from None


def _same_separator(scheme: Scheme, other: Scheme) -> Scheme:
    return replace(scheme, separator=other.separator)
