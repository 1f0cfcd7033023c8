"""Signals and images in files of arrays: NumPy's ``.npz`` and the idx format of MNIST."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from rondo.data.files import CHUNK, open_binary
from rondo.data.series_files import class_name
from rondo.errors import DataError, nearest

Array = npt.NDArray[Any]

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    OverflowError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_idx(path: str | Path) -> Array:
    """The array of an idx file: two zero bytes, the type, the number of axes, their lengths, the values.

    LeCun's page about MNIST is its definition.
    """
    with open_binary(path) as file:
        start = file.read(4)
        if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in IDX_TYPES or not 1 <= start[3] <= 8:
            raise DataError(f"{path} is no idx file: it does not begin as one.")
        dtype = np.dtype(IDX_TYPES[start[2]])
        lengths = file.read(4 * start[3])
        shape = tuple(np.frombuffer(lengths[: len(lengths) // 4 * 4], ">u4").tolist())
        size = math.prod(shape) * dtype.itemsize
        values = _up_to(size, cast(BinaryIO, file)) if len(shape) == start[3] else b""
        if len(shape) != start[3] or len(values) != size:
            said = " x ".join(map(str, shape))
            raise DataError(f"{path} is cut short: {len(values)} of the {size} bytes of {said} values are there.")
        if file.read(1):
            raise DataError(f"{path} has more than the {' x '.join(map(str, shape))} values that it says it has.")
    return np.frombuffer(values, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _up_to(size: int, file: BinaryIO) -> bytes:
    """As many bytes as there are: a damaged file may ask for more than any memory holds."""
    parts: list[bytes] = []
    while size and (part := file.read(min(size, CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_npz(path: str | Path) -> Mapping[str, Array]:
    """The named arrays of an ``.npz`` file, each read when it is asked for. None of them may need pickle."""
    if Path(path).is_file() and zipfile.is_zipfile(path):
        return _Arrays(path, str(path))
    with open_binary(path) as file:  # compressed as a whole; or it says what is wrong
        return _Arrays(file.read(), str(path))


class _Arrays(Mapping[str, Array]):
    """NumPy's own mapping, with errors for people. The file is open only while it is read."""

    def __init__(self, source: str | Path | bytes, name: str) -> None:
        self._source, self._name = source, name
        self._names: list[str] = self._read(lambda arrays: list(arrays.files), "it")

    def __getitem__(self, key: str) -> Array:
        if key not in self._names:
            raise DataError(f"{self._name} has no array '{key}'{nearest(key, self._names)}")
        return self._read(lambda arrays: arrays[key], f"the array '{key}'")

    def _read(self, take: Callable[[Any], Any], what: str) -> Any:
        try:
            with io.BytesIO(self._source) if isinstance(self._source, bytes) else open(self._source, "rb") as file:
                arrays = np.load(file, allow_pickle=False)
                if not hasattr(arrays, "files"):
                    raise DataError(
                        f"{self._name} has one array without a name (.npy); expected .npz, with named ones."
                    )
                return take(arrays)
        except _DAMAGE as error:
            why = "it needs pickle, which could run code" if "pickle" in str(error) and what != "it" else str(error)
            raise DataError(f"{self._name} is no sound .npz file: {what} cannot be read ({why}).") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def named_array(arrays: Mapping[str, Array], asked: str | None, usual: Sequence[str]) -> Array | None:
    """The array that was asked for, or the first with a usual name, or None."""
    if asked is not None:
        return arrays[asked]
    return next((arrays[name] for wanted in usual for name in arrays if name.lower() == wanted), None)


def parted(values: Array, lengths: Array, name: str) -> list[Array]:
    """Series that stand one after another in an array."""
    if lengths.ndim != 1 or not np.issubdtype(lengths.dtype, np.integer) or (lengths < 0).any():
        raise DataError(f"{name}: lengths are whole numbers in one row, none of them negative.")
    if int(lengths.sum()) != len(values):
        raise DataError(f"{name}: the lengths add up to {int(lengths.sum())} steps; there are {len(values)}.")
    return np.split(values, np.cumsum(lengths)[:-1])


def class_names(labels: Iterable[Any]) -> list[str]:
    """The classes in an array as they would stand in a text file."""
    return [class_name(label.decode("utf-8", "replace") if isinstance(label, bytes) else label) for label in labels]
