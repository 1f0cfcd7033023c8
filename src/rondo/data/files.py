"""Reading files: plain or compressed, text in any encoding, as a stream, with errors for people.

Whether a file is compressed is told by its content, not by its name. Text comes with ``\\n`` at the ends of
lines whatever the file has, and without a byte order mark.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from rondo.data import encodings
from rondo.errors import DataError

Paths = str | Path | Sequence[str | Path]

CHUNK = 1 << 20
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError)


def open_binary(path: str | Path) -> io.BufferedReader:
    """The content of a file, unpacked if it is gzip, xz, bzip2, or a zip archive of one file."""
    return io.BufferedReader(_Content(Path(path)), CHUNK)


def open_text(path: str | Path, *, encoding: str | None = None) -> io.TextIOBase:
    """A file's text, to be read or gone through line by line; without ``encoding`` it is detected."""
    return _Text(path, encoding)


def iter_text(paths: Paths, *, encoding: str | None = None, chunk: int = CHUNK) -> Iterator[str]:
    """The text of one or several files in pieces of about ``chunk`` bytes.

    Between two files stands a line end, if the first does not close with one.
    """
    end = ""
    for path in _several(paths):
        if end not in ("", "\n"):
            yield "\n"
        for piece in _decode(Path(path), encoding, chunk):
            yield piece
            end = piece[-1]


def read_text(paths: Paths, *, encoding: str | None = None) -> str:
    """The text of one or several files at once."""
    return "".join(iter_text(paths, encoding=encoding))


def detect_encoding(path: str | Path) -> str:
    """The encoding in which a file without a told encoding is read."""
    with open_binary(path) as content:
        return encodings.detect(cast(BinaryIO, content), str(path))


def _several(paths: Paths) -> Sequence[str | Path]:
    return [paths] if isinstance(paths, str | Path) else paths


def _decode(path: Path, encoding: str | None, chunk: int) -> Generator[str, None, None]:
    """A file's text in pieces, none of them empty; at least one."""
    name = encodings.check_name(encoding) if encoding else detect_encoding(path)
    line_ends = io.IncrementalNewlineDecoder(None, translate=True)
    offset, line, started = 0, 1, False
    with open_binary(path) as content:
        if name in ("utf-16", "utf-32") and encodings.byte_order_mark(content.peek(4)) is None:
            name += "-le"
        if encoding and name.startswith(("utf-16-", "utf-32-")):
            encodings.refuse_narrow(content.peek(4)[: encodings.SAMPLE], str(path), name)
        decoder = codecs.getincrementaldecoder(name)()
        while True:
            data = content.read(chunk)
            if offset == 0 and not name.startswith(("utf-16", "utf-32")):
                encodings.refuse_binary(data, str(path))
            try:
                decoded = decoder.decode(data, not data)
            except UnicodeDecodeError as error:
                raise _undecodable(path, name, encoding is not None, error, offset + len(data), line) from None
            text = line_ends.decode(decoded, not data)
            if not started:
                text = text.removeprefix("\ufeff")
            if text:
                started = True
                line += text.count("\n")
                yield text
            if not data:
                break
            offset += len(data)
    if not started:
        raise DataError(f"{path} is empty.")


def _undecodable(path: Path, name: str, told: bool, error: UnicodeDecodeError, end: int, line: int) -> DataError:
    """``end`` is where in the file the decoder's input ended, ``line`` the line where the chunk began."""
    start = end - len(error.object) + error.start
    before = error.object[: error.start].decode(name, "replace")
    line += before.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    return DataError(
        f"{path} is not {name}, {'as told' if told else 'though it looks like it'}: byte "
        f"0x{error.object[error.start]:02x} at offset {start}, line {line}, does not fit. "
        "Say the right encoding (--encoding), or repair that place."
    )


class _Content(io.RawIOBase):
    """The unpacked bytes of a file; whatever goes wrong with it becomes a `DataError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._layers = contextlib.ExitStack()
        try:
            self._inner = self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> BinaryIO:
        path = self._path
        if path.is_dir():
            raise DataError(f"{path} is a folder; give the files in it, for instance {path / '*.txt'}.")
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is not a regular file.")
        try:
            file = self._layers.enter_context(open(path, "rb"))  # noqa: SIM115
        except FileNotFoundError:
            raise DataError(f"{path} does not exist.") from None
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            start = file.read(10)
            file.seek(0)
            if not start:
                raise DataError(f"{path} is empty.")
            return self._unpack(file, start)
        except (OSError, *_DAMAGE) as error:
            raise self._unreadable(error) from None

    def _unpack(self, file: BinaryIO, start: bytes) -> BinaryIO:
        enter = self._layers.enter_context
        if start.startswith(b"\x1f\x8b"):
            return cast(BinaryIO, enter(gzip.GzipFile(fileobj=file)))
        if start.startswith(b"\xfd7zXZ\0"):
            return cast(BinaryIO, enter(lzma.LZMAFile(file)))
        if start.startswith(b"BZh") and start[4:] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
            return cast(BinaryIO, enter(bz2.BZ2File(file)))
        if start.startswith((b"PK\3\4", b"PK\5\6")):
            archive = enter(zipfile.ZipFile(file))
            return cast(BinaryIO, enter(archive.open(self._only_member(archive))))
        return file

    def _only_member(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        members = [
            member for member in archive.infolist() if not member.is_dir() and "__MACOSX/" not in member.filename
        ]
        if len(members) != 1:
            names = ", ".join(member.filename for member in members[:3]) + (", ..." if len(members) > 3 else "")
            holds = f"{len(members)} files ({names}); unpack it and give the files" if members else "no file"
            raise DataError(f"{self._path} is a zip archive with {holds}.")
        if members[0].flag_bits & 1:
            raise DataError(f"{self._path} is a zip archive locked with a password; unpack it first.")
        return members[0]

    def _unreadable(self, error: Exception) -> DataError:
        if isinstance(error, _DAMAGE) or (isinstance(error, OSError) and error.errno is None):
            return DataError(f"{self._path} is a damaged archive, or the end of it is missing ({error}).")
        reason = error.strerror if isinstance(error, OSError) else error
        return DataError(f"{self._path} cannot be read: {reason}.")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._inner.seekable()

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (OSError, *_DAMAGE) as error:
            raise self._unreadable(error) from None
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return self._inner.seek(offset, whence)
        except _DAMAGE as error:
            raise self._unreadable(error) from None

    def close(self) -> None:
        self._layers.close()
        super().close()


class _Text(io.TextIOBase):
    """The pieces of `_decode` as a file to read from."""

    def __init__(self, path: str | Path, encoding: str | None) -> None:
        self._pieces = _decode(Path(path), encoding, CHUNK)
        self._held = next(self._pieces)
        self._at = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> str:
        wanted = -1 if size is None else size
        parts: list[str] = []
        have = 0
        while (wanted < 0 or have < wanted) and self._fill():
            stop = len(self._held) if wanted < 0 else self._at + wanted - have
            parts.append(self._held[self._at : stop])
            self._at += len(parts[-1])
            have += len(parts[-1])
        return "".join(parts)

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        parts: list[str] = []
        while self._fill():
            stop = self._held.find("\n", self._at) + 1
            parts.append(self._held[self._at : stop or None])
            self._at += len(parts[-1])
            if stop:
                break
        return "".join(parts)

    def _fill(self) -> bool:
        """Whether there is more; then it is in ``_held``."""
        if self._at == len(self._held):
            self._held, self._at = next(self._pieces, ""), 0
        return bool(self._held)

    def close(self) -> None:
        self._pieces.close()
        super().close()
