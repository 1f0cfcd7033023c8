"""Grey images with their classes, as one array: from idx files as MNIST has them, ``.npz``, pictures, or memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from rondo.data.arrays import class_names, named_array, read_idx, read_npz
from rondo.data.files import Paths
from rondo.data.labelled import Labelled, Origin, Row, as_list, from_python
from rondo.data.pictures import Columns, holds_pictures, iter_pictures
from rondo.data.signals import LABELS, VALUES
from rondo.errors import DataError, UsageError

LARGEST = 1 << 12
"""Pixels along a side: more than any recurrent network should be asked to read."""


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """How images and their classes stand in a file."""

    labels: str | None = None
    """Idx file with the classes. Left out: the one that MNIST would have beside the images, with labels in its name."""
    values: str | None = None
    """Array of an .npz file that holds the images, or column of a table that names their files. Left out: one with a
    usual name, such as x or images, file or path."""
    label_column: str | None = None
    """Array or column, likewise, with the classes. Left out: one with a usual name, such as y or label."""
    group_column: str | None = None
    """Array or column that says who or what an image is from, which must not be parted. Left out: none."""
    resize: tuple[int, int] | None = None
    """Make all pictures so high and so wide. Left out: they are of one size already."""

    def __post_init__(self) -> None:
        if self.resize is not None and not all(type(side) is int and 1 <= side <= LARGEST for side in self.resize):
            raise UsageError(f"--resize is a height and a width from 1 to {LARGEST}, not {self.resize}")


def read_images(paths: Paths, options: ImageFormat | None = None, *, labelled: bool | None = True) -> Labelled:
    """All images of idx or ``.npz`` files, or pictures: of a folder with one folder for each class, or of a table.

    They are of one size, (N, height, width). ``labelled`` says whether classes must be there; None means if they are
    there.
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not files:
        raise UsageError("no files to read images from.")
    options = options or ImageFormat()
    if len(files) > 1 and options.labels is not None:
        raise UsageError("--labels names the classes of one file; of several, each needs its own beside it")
    parts = [_read(file, options, labelled) for file in files]
    for file, part in zip(files, parts, strict=True):
        own, first = np.shape(part.items)[1:], np.shape(parts[0].items)[1:]
        if own != first:
            sizes = [" x ".join(map(str, size)) for size in (own, first)]
            raise DataError(f"{file} has images of {sizes[0]} pixels, {files[0]} of {sizes[1]}.")
    return Labelled.joined(parts)


def iter_images(source: Any, options: ImageFormat | None = None) -> Iterator[Row]:
    """The images of a file or a folder one by one, with classes where these are there."""
    if not isinstance(source, str | Path):
        raise UsageError("images are read from a file or a folder; they cannot be piped in")
    if holds_pictures(Path(source)):
        yield from _pictures(Path(source), options or ImageFormat(), None)
        return
    data = read_images(source, options, labelled=None)
    for place, (item, origin) in enumerate(zip(data.items, data.origins, strict=True)):
        yield Row(item, data.labels[place] if data.labels is not None else None, None, origin)


def as_images(items: Any, labels: Any = None, groups: Any = None) -> Labelled:
    """Images that are in memory: (N, height, width), or square ones as rows of their pixels, (N, pixels)."""
    if hasattr(items, "columns") and hasattr(items, "to_numpy"):
        items = items.to_numpy()
    try:
        images = np.asarray(as_list(items) if hasattr(items, "to_list") else items)
    except ValueError:
        raise DataError("images all have the same size, as one array (number, height, width).") from None
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        if side * side != images.shape[1]:
            raise DataError(
                f"rows of {images.shape[1]} pixels are no square images; give an array (number, height, width)."
            )
        images = images.reshape(len(images), side, side)
    return from_python(_items(_sound(images, "the array", [""])), labels, groups)


def _read(path: Path, options: ImageFormat, labelled: bool | None) -> Labelled:
    labels: list[str] | None = None
    groups: list[Any] | None = None
    beside: Path | None = None
    if holds_pictures(path):
        return _stacked(list(_pictures(path, options, labelled)))
    if options.resize is not None:
        raise UsageError(f"--resize is for pictures; {path} has its images in an array")
    if ".npz" in [suffix.lower() for suffix in path.suffixes]:
        arrays = read_npz(path)
        found = named_array(arrays, options.values, VALUES)
        if found is None:
            raise DataError(f"{path} has the arrays {', '.join(arrays)}; name that of the images (--values).")
        if options.labels is not None:
            raise UsageError(f"--labels names an idx file; the classes in {path} are an array (--label-column)")
        images = found
        found = named_array(arrays, options.label_column, LABELS) if labelled is not False else None
        labels = None if found is None else class_names(found.tolist())
        group = named_array(arrays, options.group_column, ())
        groups = None if group is None else group.tolist()
    else:
        images = read_idx(path)
        beside = Path(options.labels) if options.labels is not None else _labels_beside(path)
        if labelled is not False and beside is not None:
            labels = class_names(read_idx(beside).tolist())
    _sound(images, str(path), [f"{path}, image {n}" for n in range(1, len(images) + 1)])
    if labels is None and labelled:
        raise DataError(f"{path}: there is no file or array with the classes of these images; name it.")
    for what, values in (("labels", labels), ("groups", groups)):
        if values is not None and len(values) != len(images):
            raise DataError(f"{beside or path} has {len(values)} {what}, {path} {len(images)} images.")
    origins = [Origin(str(path), n, "image") for n in range(1, len(images) + 1)]
    return Labelled(_items(images), labels, groups, origins)


def _pictures(path: Path, options: ImageFormat, labelled: bool | None) -> Iterator[Row]:
    if options.labels is not None:
        raise UsageError(f"--labels names an idx file; pictures have their classes from folders or a table, as {path}")
    columns = Columns(options.values, options.label_column, options.group_column)
    return iter_pictures(path, columns, resize=options.resize, labelled=labelled)


def _stacked(rows: list[Row]) -> Labelled:
    """Pictures as one array, if they are all of one size."""
    for row in rows:
        if row.item.shape != rows[0].item.shape:
            own, first = (" x ".join(map(str, item.shape)) for item in (row.item, rows[0].item))
            raise DataError(
                f"{row.origin}: a picture of {own} pixels, where {rows[0].origin} has {first}; --resize HEIGHT WIDTH "
                "makes them alike."
            )
    found = Labelled.collect(rows)
    images = _sound(np.stack(list(found.items)), found.where(0), [str(origin) for origin in found.origins])
    return Labelled(_items(images), found.labels, found.groups, found.origins)


def _sound(images: npt.NDArray[Any], name: str, places: list[str]) -> npt.NDArray[Any]:
    """The images, if they are such: finite numbers along three axes."""
    if images.ndim != 3:
        raise DataError(f"{name} has {images.ndim} axes; images are (number, height, width).")
    if 0 in images.shape[1:]:
        raise DataError(f"{name} has images without pixels.")
    if images.dtype.kind not in "biuf":
        raise DataError(f"{name} has values of type {images.dtype}; pixels are numbers.")
    if images.dtype.kind == "f" and not (good := np.isfinite(images).all((1, 2))).all():
        first = int(np.flatnonzero(~good)[0])
        where = places[first] if len(places) == len(images) else f"item {first + 1}"
        raise DataError(f"{where} has a pixel that is no finite number.")
    return images


def _labels_beside(path: Path) -> Path | None:
    """MNIST's own names: train-images-idx3-ubyte and train-labels-idx1-ubyte."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    return path.with_name(name) if name != path.name and path.with_name(name).is_file() else None


def _items(images: npt.NDArray[Any]) -> Sequence[Any]:
    """The same array: NumPy does not say that arrays are sequences, but what is asked of items they do."""
    return cast(Sequence[Any], images)
