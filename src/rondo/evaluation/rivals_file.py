"""The file of fitted baselines, so that they can be asked about other items later: a NumPy archive without pickles."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from rondo.errors import ModelError
from rondo.storage import DAMAGED_ARRAYS

Arrays = Mapping[str, npt.NDArray[Any]]


@runtime_checkable
class Lasting(Protocol):
    """A baseline that can be written down when it is fitted."""

    name: str

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that it needs to predict; nothing if that is too much to be kept."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The baseline again."""
        ...


def rival_bytes(rivals: Sequence[Any]) -> bytes:
    """A file of those that can be written, in their order."""
    arrays = {
        f"{place}/{type(rival).name}/{key}": array
        for place, rival in enumerate(rivals)
        if isinstance(rival, Lasting)
        for key, array in rival.to_arrays().items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def parse_rivals(path: str | Path, data: bytes, kinds: Sequence[type[Any]]) -> list[Any]:
    """The baselines of these kinds in the bytes of a file; ``path`` is for the messages."""
    by_name = {kind.name: kind for kind in kinds}
    parts: dict[str, dict[str, npt.NDArray[Any]]] = {}
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            for name in archive.files:
                place, key = name.rsplit("/", 1)
                parts.setdefault(place, {})[key] = archive[name]
        ordered = sorted(parts.items(), key=lambda part: int(part[0].partition("/")[0]))
        return [by_name[place.partition("/")[2]].from_arrays(arrays) for place, arrays in ordered]
    except DAMAGED_ARRAYS as error:
        raise ModelError(f"{path} holds no baselines of Rondo's, or it is damaged ({error}).") from None
