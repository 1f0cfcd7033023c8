"""Features of tokens made by hand, for a CRF without a network.

Of words, those that are usual for named entities (Ratnaparkhi 1996; Zhang and Johnson 2003): the word, its lower case,
prefixes, suffixes and shape, and those of its neighbours. Of Chinese characters, n-grams around the character, as in
word segmentation (Ng and Low 2004).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_RUN = re.compile(r"(.)\1+")
_EDGE = "\n"  # in no token


def shape(token: str) -> str:
    """What kinds of characters stand in a token, repeated ones once: A, a, 0, or the character itself (Aa, 0.0)."""
    kinds = ("A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in token)
    return _RUN.sub(r"\1", "".join(kinds))


def are_characters(sentences: Iterable[Sequence[str]]) -> bool:
    """Whether tokens are characters rather than words: nearly all of them have one."""
    lengths = [len(token) for tokens in sentences for token in tokens]
    return sum(length == 1 for length in lengths) > 0.9 * len(lengths)


def word_features(tokens: Sequence[str]) -> list[list[str]]:
    """The features of each word, by name."""
    lower = [token.lower() for token in tokens]
    shapes = [shape(token) for token in tokens]
    found = []
    for at, token in enumerate(tokens):
        features = [
            "bias",
            f"word={token}",
            f"digit={any(c.isdigit() for c in token)}",
            f"capital={token[:1].isupper()}",
        ]
        for length in (1, 2, 3, 4):
            features += (f"prefix={token[:length]}", f"suffix={token[-length:]}")
        for distance in (-2, -1, 0, 1, 2):
            near = at + distance
            if 0 <= near < len(tokens):
                features += (f"{distance}:lower={lower[near]}", f"{distance}:shape={shapes[near]}")
            else:
                features.append(f"{distance}:edge")
        if at:
            features.append(f"-1,0:lower={lower[at - 1]} {lower[at]}")
        if at + 1 < len(tokens):
            features.append(f"0,1:lower={lower[at]} {lower[at + 1]}")
        found.append(features)
    return found


def character_features(tokens: Sequence[str]) -> list[list[str]]:
    """The features of each character, by name: those within two of it, and the pairs and triples they form."""
    padded = [_EDGE, _EDGE, *tokens, _EDGE, _EDGE]
    found = []
    for at in range(len(tokens)):
        a, b, c, d, e = padded[at : at + 5]
        features = ["bias", f"shape={shape(c)}"]
        features += (f"-2={a}", f"-1={b}", f"0={c}", f"1={d}", f"2={e}")
        features += (f"-2,-1={a}{b}", f"-1,0={b}{c}", f"0,1={c}{d}", f"1,2={d}{e}", f"-1,1={b}{d}")
        features += (f"-2,0={a}{b}{c}", f"-1,1={b}{c}{d}", f"0,2={c}{d}{e}")
        found.append(features)
    return found
