"""Series in files: the same frame from CSV, Parquet and JSON lines, packed or not; and memory for a long one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rondo.data.series import from_frame
from rondo.data.series.files import read_frame, write_frame
from rondo.errors import DataError, UsageError

FRAME = pl.DataFrame(
    {"date": ["2024-01-01", "2024-01-02", "2024-01-04"], "v": [1.5, None, -2.0], "größe": ["a", "b", "c"]}
)


def content(kind: str) -> bytes:
    into = io.BytesIO()
    {"csv": FRAME.write_csv, "parquet": FRAME.write_parquet, "jsonl": FRAME.write_ndjson}[kind](into)
    return into.getvalue()


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress], ids=["plain", "gz", "xz", "bz2"])
@pytest.mark.parametrize("named", [True, False], ids=["suffix", "bare"])
def test_read(tmp_path: Path, kind: str, pack: Any, named: bool) -> None:
    path = tmp_path / (f"a.{kind}.gz" if named else "a")
    path.write_bytes(pack(content(kind)))
    assert read_frame(path).equals(FRAME)
    assert from_frame(read_frame(path)).values.tolist()[0] == 1.5


def test_separators_and_words_for_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("date;v;größe\n2024-01-01;1.5;a\n2024-01-02;NA;b\n2024-01-04;-2;c\n".encode("latin-1"))
    assert read_frame(path, encoding="latin-1").equals(FRAME)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl"])
def test_written_is_read(tmp_path: Path, suffix: str) -> None:
    write_frame(FRAME, tmp_path / f"a.{suffix}")
    assert read_frame(tmp_path / f"a.{suffix}").equals(FRAME)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_frame(tmp_path / "a.csv")
    (tmp_path / "a.parquet").write_bytes(b"no table at all")
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as parquet"):
        read_frame(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4,5\n")
    with pytest.raises(DataError, match=r"a\.csv cannot be read as csv"):
        read_frame(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="ends in"):
        write_frame(FRAME, tmp_path / "a.doc")


MEASURED = """
import numpy as np, polars as pl
from rondo.data.series import from_frame
def memory(kind):  # in kB; what getrusage has as the most is at first that of the process that began this one
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(kind))
start = np.datetime64("2000-01-01", "us")
pl.DataFrame({"ds": start + np.arange(10) * np.timedelta64(1, "m"), "y": np.arange(10.0)}).pipe(from_frame)
values = np.random.default_rng(0).normal(size=5_000_000)
frame = pl.DataFrame({"ds": start + np.arange(5_000_000) * np.timedelta64(1, "m"), "y": values})
before = memory("VmRSS")
made = from_frame(frame)
print(made.lengths[0], (memory("VmHWM") - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_of_five_million_rows() -> None:
    """What is above the frame itself, in MB, while a series is made of it; a fit has more to do within 300 MB."""
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    rows, above = map(int, done.stdout.split())
    assert rows == 5_000_000
    assert above < 220
