"""Picture files as grey images: from a folder with one folder for each class, from a table that names them, or one.

Pillow reads them: PNG, JPEG and others. Colours become grey, what is transparent becomes white.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rondo.data.columns import LABEL_NAMES, LabelParser
from rondo.data.files import open_text
from rondo.data.labelled import Origin, Row, class_files, is_missing, visible_files
from rondo.data.tables import column_index, has_column, open_table
from rondo.data.texts import PACKED, SUFFIXES
from rondo.errors import DataError, UsageError, nearest

try:
    from PIL import Image, ImageOps
except ImportError:  # an extra: arrays of images are read without it
    Image = None  # type: ignore[assignment]

Array = npt.NDArray[Any]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
FILE_NAMES = ("file", "filename", "file_name", "path", "image", "picture", "images", "文件", "文件名", "图片", "圖片")
_SIXTEEN_BITS = 257
"""So many of the steps of sixteen bits are one of eight."""


class Columns(NamedTuple):
    """What was said about the columns of a table: their names or numbers, if anything."""

    file: str | None
    label: str | None
    group: str | None


def holds_pictures(path: Path) -> bool:
    """Whether this is a picture, a folder, or a table, which can only name some."""
    return path.is_dir() or _is_picture(path.name) or _kind_of_table(path) is not None


def iter_pictures(
    path: Path, columns: Columns, *, resize: tuple[int, int] | None, labelled: bool | None
) -> Iterator[Row]:
    """The pictures of a folder or of a table one by one, or a single one, each (height, width).

    ``labelled`` says whether classes must be there; None means if they are, and False that they are not looked at.
    """
    for file, label, group, origin in _named(path, columns, labelled):
        yield Row(_read(file, origin, resize), label, group, origin)


def _named(path: Path, columns: Columns, labelled: bool | None) -> Iterator[tuple[Path, Any, Any, Origin]]:
    if _kind_of_table(path) is not None and not path.is_dir():
        yield from _table(path, columns, labelled)
        return
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"{path} does not exist.")
        if labelled:
            raise DataError(f"{path} is one picture without a class; give a folder with one folder for each class.")
        yield path, None, None, Origin(str(path))
        return
    files = visible_files(path)
    in_classes = labelled is not False and all(file.parent != path for file in files)
    if labelled or (in_classes and files):
        yield from ((file, label, None, Origin(str(file))) for file, label in class_files(path))
        return
    if not files:
        raise DataError(f"{path} has no files in it.")
    yield from ((file, None, None, Origin(str(file))) for file in files)


def _table(path: Path, asked: Columns, labelled: bool | None) -> Iterator[tuple[Path, Any, Any, Origin]]:
    """What a table names; files stand where the table does, if they do not say otherwise."""
    parse = LabelParser(None)
    with open_text(path) as lines:
        table = open_table(iter(lines), str(path), str(_kind_of_table(path)), delimiter=None, quotes=None)
        header = table.named or not any(_is_picture(str(cell)) for cell in table.first)
        names = [str(cell).strip() if header else str(place) for place, cell in enumerate(table.first, 1)]
        places = _places(names, table.first, asked, header, str(path), labelled)
        for record in itertools.islice(table.records, 1 if header and not table.named else 0, None):
            origin = Origin(str(path), record.number, record.noun)
            cells = [record.cells.get(name) for name in names] if table.named else record.cells
            file, label, group = (None if place is None else cells[place] for place in places)
            if not isinstance(file, str) or not file.strip():
                raise DataError(f"{origin}: there is no name of a file in column '{names[places[0]]}'.")
            if places[1] is not None:
                label = parse(label, origin, names[places[1]], required=bool(labelled))
            if places[2] is not None and (is_missing(group) or group == ""):
                raise DataError(f"{origin}: there is no group in column '{names[places[2]]}'.")
            yield path.parent / file.strip(), label, group, origin


def _places(
    names: Sequence[str], first: Sequence[Any], asked: Columns, header: bool, source: str, labelled: bool | None
) -> tuple[int, int | None, int | None]:
    """Where file, class and group stand."""
    folded = [name.casefold() for name in names]
    if asked.file is not None:
        file: int | None = column_index(names, asked.file, source, "values")
    elif header:
        file = next((folded.index(name) for name in FILE_NAMES if name in folded), None)
    else:
        file = next(place for place, cell in enumerate(first) if _is_picture(str(cell)))
    if file is None:
        raise DataError(f"{source}: which column names the files? Name it, --values NAME{nearest('file', names)}")
    label = None
    if labelled or (labelled is None and has_column(names, asked.label)):
        if asked.label is not None:
            label = column_index(names, asked.label, source, "label-column")
        elif header:
            label = next((folded.index(n) for n in LABEL_NAMES if n in folded and folded.index(n) != file), None)
        if label is None and len(names) == 2:
            label = 1 - file
        if label is None and labelled:
            what = "NAME" if header else "N"
            raise DataError(f"{source}: which column is the class? Name it, --label-column {what}{nearest('', names)}")
    wanted = asked.group is not None and labelled is not False
    group = column_index(names, str(asked.group), source, "group-column") if wanted else None
    return file, label, group


def _read(path: Path, origin: Origin, resize: tuple[int, int] | None) -> Array:
    """A picture's grey values from 0 (black) to 255, or those of its own kind where they are no bytes."""
    if Image is None:
        raise UsageError(f"{path}: pictures are read with Pillow; pip install 'rondo[images]'.")
    where = str(path) if origin.source == str(path) else f"{origin}: {path}"
    if not path.exists():
        raise DataError(f"{where} does not exist.")
    try:
        with Image.open(path) as picture:
            frames = getattr(picture, "n_frames", 1)
            if frames > 1:
                raise DataError(f"{where} has {frames} pictures in it; one is expected.")
            found = _grey(ImageOps.exif_transpose(picture))
            if resize is not None and found.size != (resize[1], resize[0]):
                found = found.resize((resize[1], resize[0]), Image.Resampling.BILINEAR)
            return np.asarray(found)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        why = "of no kind that is known" if isinstance(error, Image.UnidentifiedImageError) else error
        raise DataError(f"{where} cannot be read as a picture ({why}).") from None


def _grey(picture: Any) -> Any:
    if picture.mode.startswith("I;16"):
        return Image.fromarray(np.asarray(picture).astype(np.float32) / _SIXTEEN_BITS)
    if picture.mode in ("I", "F"):
        return picture.convert("F")
    if "A" in picture.getbands() or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        paper = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(paper, coloured).convert("L")
    return picture.convert("L")


def _is_picture(name: str) -> bool:
    return name.strip().lower().endswith(PICTURES)


def _kind_of_table(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    return SUFFIXES.get(suffixes[-1]) if suffixes else None
