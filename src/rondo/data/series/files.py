"""Files of series as frames: CSV, Parquet and JSON lines, plain or compressed; and frames as files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from rondo.data.files import open_binary, open_text
from rondo.data.tables import DELIMITERS
from rondo.errors import DataError, UsageError

Kind = Literal["csv", "parquet", "jsonl"]
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"]
_SUFFIXES: dict[str, Kind] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl",
    ".ndjson": "jsonl", ".json": "jsonl",
}  # fmt: skip


def kind_of(path: str | Path) -> Kind:
    """What a file is by its name, whatever it is packed in; of another name: by its beginning."""
    for suffix in reversed(Path(path).suffixes):
        if suffix.lower() in _SUFFIXES:
            return _SUFFIXES[suffix.lower()]
    with open_binary(path) as content:
        start = content.read(64).lstrip()
    if start.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if start.startswith(b"{") else "csv"


def read_frame(path: str | Path, *, encoding: str | None = None) -> Any:
    """The frame in a file. Times in text files stay text: `from_frame` reads them, with their zone."""
    kind = kind_of(path)
    polars = _polars(path)
    try:
        if kind == "parquet":
            with open_binary(path) as content:
                return polars.read_parquet(io.BytesIO(content.read()))
        with open_text(path, encoding=encoding) as text:
            whole = text.read()
        packed = io.BytesIO(whole.encode())
        if kind == "jsonl":
            return polars.read_ndjson(packed, infer_schema_length=None)
        mark = max(DELIMITERS, key=whole[: whole.find("\n") + 1 or None].count)
        return polars.read_csv(packed, separator=mark, null_values=MISSING, infer_schema_length=None)
    except polars.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{path} cannot be read as {kind}: {reason}") from None


def read_frames(paths: Sequence[str | Path], *, encoding: str | None = None) -> Any:
    """Files with the same columns as one frame, their rows one after the other."""
    frames = [read_frame(path, encoding=encoding) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if set(frame.columns) != set(frames[0].columns):
            raise DataError(
                f"{path} has the columns {', '.join(frame.columns)}, not those of {paths[0]}: "
                f"{', '.join(frames[0].columns)}."
            )
    if len(frames) == 1:
        return frames[0]
    polars = _polars(paths[0])
    try:
        return polars.concat([frame.select(frames[0].columns) for frame in frames], how="vertical_relaxed")
    except polars.exceptions.PolarsError as error:
        raise DataError(f"the files do not go together: {str(error).strip().splitlines()[0]}") from None


def check_writable(path: str | Path) -> Kind:
    """The kind of file that a name asks for; `UsageError` if it can be none."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"{path}: give the file a name that ends in .csv, .parquet or .jsonl.")
    if not Path(path).parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {Path(path).parent}.")
    return _SUFFIXES[suffix]


def write_frame(frame: Any, path: str | Path) -> None:
    """A frame of polars in a file, of the kind that its name says."""
    kind = check_writable(path)
    try:
        if kind == "parquet":
            frame.write_parquet(path)
        elif kind == "jsonl":
            frame.write_ndjson(path)
        else:
            frame.write_csv(path, separator="\t" if Path(path).suffix.lower() == ".tsv" else ",")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}.") from None


def _polars(path: str | Path) -> Any:
    try:
        return import_module("polars")
    except ImportError:
        raise UsageError(f"{path}: files of series are read with polars; pip install 'rondo[forecast]'.") from None
