"""The tokens of a poem: one for its form, one a character or mark, one for the end.

``[form] 白 日 依 山 盡 ， 黃 ... 樓 。 <end>``
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rondo.errors import ModelError, UsageError
from rondo.models.folder import part_of
from rondo.models.place import PlaceTokens
from rondo.storage import read_json, write_json
from rondo.tasks.poetry.corpus import Poem
from rondo.tasks.poetry.forms import COMMA, FORMS, STOP, Form

UNKNOWN, END = "<unk>", "<end>"
FILE_NAME = "vocabulary.json"

_KIND = "poem"
_SPECIAL = (UNKNOWN, END, *(f"<{form.short}>" for form in FORMS), COMMA, STOP)


class PoemVocabulary:
    """Numbers for tokens: 0 is <unk>, then <end>, the forms, ，and 。, then characters by frequency."""

    kind = _KIND

    def __init__(self, characters: Sequence[str]) -> None:
        self.tokens: tuple[str, ...] = (*_SPECIAL, *characters)
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self._ids) != len(self.tokens):
            raise UsageError("a vocabulary of poems lists a character twice")
        self._form_ids = {form.name: self._ids[f"<{form.short}>"] for form in FORMS}
        self._forms = {number: form for form, number in zip(FORMS, self._form_ids.values(), strict=True)}

    @classmethod
    def build(cls, poems: Iterable[Poem], *, min_count: int = 2) -> PoemVocabulary:
        """Characters that stand at least ``min_count`` times in the poems; the rest becomes <unk>."""
        counts = Counter(character for poem in poems for line in poem.lines for character in line)
        kept = [character for character, count in counts.items() if count >= min_count]
        return cls(sorted(kept, key=lambda character: (-counts[character], character)))

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    @property
    def size(self) -> int:
        return len(self.tokens)

    @property
    def unknown(self) -> int:
        return self._ids[UNKNOWN]

    @property
    def end(self) -> int:
        return self._ids[END]

    @property
    def comma(self) -> int:
        return self._ids[COMMA]

    @property
    def stop(self) -> int:
        return self._ids[STOP]

    @property
    def first_character(self) -> int:
        """All tokens from this number on are characters of verse."""
        return len(_SPECIAL)

    @property
    def place_tokens(self) -> PlaceTokens:
        """The tokens that say where in a poem one is."""
        return PlaceTokens(forms=tuple(self._form_ids.values()), line_ends=(self.comma, self.stop))

    def form_token(self, form: Form) -> int:
        return self._form_ids[form.name]

    def id(self, character: str) -> int:
        """The number of a character or mark, that of <unk> if it has none."""
        return self._ids.get(character, self.unknown)

    def generable(self) -> np.ndarray:
        """Which tokens may be generated: not <unk>, not the forms. A fresh boolean array."""
        allowed = np.ones(self.size, dtype=bool)
        allowed[: self.comma] = False
        allowed[self.end] = True
        return allowed

    def encode_poem(self, poem: Poem) -> np.ndarray:
        """Form, text, end."""
        body = (self.id(character) for character in poem.text)
        return np.array([self.form_token(poem.form), *body, self.end], dtype=np.int64)

    def decode_poem(self, ids: Sequence[int] | np.ndarray) -> tuple[Form | None, str]:
        """Form (None if the first token is none) and text up to <end>; <unk> shows as □."""
        numbers = [int(number) for number in ids]
        form = self._forms.get(numbers[0]) if numbers else None
        text = []
        for number in numbers[form is not None :]:
            if number == self.end:
                break
            if number == self.unknown:
                text.append("□")
            elif number not in self._forms:
                text.append(self.tokens[number])
        return form, "".join(text)

    def save(self, folder: str | Path) -> None:
        """Write ``vocabulary.json`` into a model folder."""
        characters = "".join(self.tokens[len(_SPECIAL) :])
        write_json(Path(folder) / FILE_NAME, {"kind": _KIND, "special": list(_SPECIAL), "characters": characters})

    @classmethod
    def load(cls, folder: str | Path) -> PoemVocabulary:
        path = part_of(folder, FILE_NAME)
        content = read_json(path)
        if (
            not isinstance(content, dict)
            or content.get("kind") != _KIND
            or content.get("special") != list(_SPECIAL)
            or not isinstance(content.get("characters"), str)
            or len({*content["characters"], COMMA, STOP}) != len(content["characters"]) + 2
        ):
            raise ModelError(f"{path} is not a vocabulary of poems that this version can read")
        return cls(content["characters"])
