"""Which encoding a file is in, from its bytes.

A byte order mark decides. UTF-8 is told by its multi-byte sequences, which no other encoding produces by
chance; UTF-16 without a mark by its zero bytes. Western European text is told by where its accented letters
stand, since every single-byte encoding can read every other; the rest is left to charset-normalizer.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import re
from typing import BinaryIO

import charset_normalizer

from rondo.errors import DataError, UsageError, nearest

SAMPLE = 1 << 16
COMMON = ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "gbk", "big5", "big5hkscs", "latin-1"]
COMMON += ["cp1252", "iso8859-15", "cp1250", "iso8859-2", "cp1251", "koi8-r", "cp1253", "shift_jis", "cp932"]
COMMON += ["euc-jp", "iso2022_jp", "euc-kr", "cp949", "ascii"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like the mark of UTF-16, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"RIFF", "a sound or video file"),
    (b"OggS", "a sound file"),
    (b"ID3", "a sound file"),
    (b"fLaC", "a sound file"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"SQLite format 3", "a database"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x04", "a pickle"),
)
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
# Detected encodings are read as the widest one of their family: a rarer character may come later.
_WIDEST = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932", "euc_kr": "cp949"}
_WESTERN_LETTERS = frozenset("ŠŒŽšœžŸªºÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ")
_WESTERN_SIGNS = frozenset("€‚„…‘’“”•–—™¡£§©«®°±´·»¿×½¼¾²³\u00a0\u00ad")


def check_name(encoding: str) -> str:
    """The encoding's name as Python knows it."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # refuses codecs that give no text, such as base64
    except LookupError:
        raise UsageError(f"there is no text encoding '{encoding}'{nearest(encoding.lower(), COMMON)}") from None
    return codecs.lookup(encoding).name


def detect(stream: BinaryIO, name: str) -> str:
    """The encoding of an open file that is at its start; ``name`` is for the messages.

    Reads on until something other than ASCII tells: a file that is ASCII to its end is UTF-8.
    """
    start = stream.read(SAMPLE)
    if (marked := byte_order_mark(start)) is not None:
        return marked
    if b"\0" in start and (wide := _wide(start)) is not None:
        return wide
    refuse_binary(start, name)
    sample = start
    while sample.isascii():
        sample = stream.read(1 << 20)
        if not sample:
            return "utf-8"
    first = len(sample) - len(sample.lstrip(bytes(range(128))))
    sample = sample[sample.rfind(b"\n", 0, first) + 1 :]
    sample += stream.read(max(SAMPLE - len(sample), 0))
    if _is_utf8(sample):
        return "utf-8"
    return _legacy(_whole_lines(sample[:SAMPLE]), name)


def byte_order_mark(start: bytes) -> str | None:
    """The encoding that a file's first bytes declare."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)


def refuse_binary(start: bytes, name: str) -> None:
    """An error if a file that begins like this is no text in any encoding of one byte units."""
    kind = next((kind for magic, kind in _BINARY if start.startswith(magic)), None)
    if start[257:262] == b"ustar":
        kind = "a tar archive; unpack it first"
    if len(_CONTROLS.findall(start)) * 100 > len(start) or (kind and not start.isascii()) or kind == "a PDF document":
        raise DataError(f"{name} is not text: it is {kind or 'a binary file'}.")


def refuse_narrow(start: bytes, name: str, told: str) -> None:
    """An error if a file said to be UTF-16 or UTF-32, which begins like this, reads as UTF-8 from end to end.

    A few characters may do both by chance, so short files are not judged.
    """
    if len(start) < 16 or byte_order_mark(start) is not None or _CONTROLS.search(start):
        return
    with contextlib.suppress(UnicodeDecodeError):
        codecs.getincrementaldecoder("utf-8")().decode(start)
        raise DataError(f"{name} is not {told}, as told: it looks like {'ASCII' if start.isascii() else 'UTF-8'} text.")


def _wide(start: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: the one in which nearly everything is a printable character."""
    candidates = ["utf-32-le", "utf-32-be"] if b"\0\0" in start[:4] else ["utf-16-le", "utf-16-be"]
    strange = {encoding: _strange_share(start, encoding) for encoding in candidates}
    best = min(candidates, key=lambda encoding: strange[encoding])
    return best if strange[best] <= 0.01 else None


def _strange_share(data: bytes, encoding: str) -> float:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return 1.0
    return sum(not (c.isprintable() or c.isspace()) for c in text) / max(len(text), 1)


def _is_utf8(sample: bytes) -> bool:
    """Whether this is UTF-8, if need be with a few damaged places (which reading will then point at)."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample)
    damaged = text.count("\ufffd")
    sound = sum(c > "\x7f" for c in text) - damaged
    return damaged == 0 or sound >= 20 * damaged


def _whole_lines(sample: bytes) -> bytes:
    """Without what a cut through a character may have left at the end."""
    end = sample.rfind(b"\n")
    return sample[: end + 1] if end > len(sample) // 2 else sample


def _legacy(sample: bytes, name: str) -> str:
    if _is_western(sample):
        return "cp1252"
    best = charset_normalizer.from_bytes(sample).best()
    if best is None:
        raise DataError(
            f"{name}: the encoding cannot be told from the content; say which it is (--encoding, for instance "
            "utf-8, gb18030, big5 or latin-1)."
        )
    return _WIDEST.get(best.encoding, best.encoding)


def _is_western(sample: bytes) -> bool:
    """Latin-1 or its superset cp1252: few bytes are not ASCII, and those are letters of words and usual signs.

    In text of Central Europe read as cp1252, letters turn into signs inside words.
    """
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    special = [i for i, c in enumerate(text) if c > "\x7f"]
    letters = [i for i in special if text[i] in _WESTERN_LETTERS]
    signs = [i for i in special if text[i] in _WESTERN_SIGNS]
    within = [
        i for i in signs if text[i] not in "’·\u00ad" and text[i - 1 : i].isalpha() and text[i + 1 : i + 2].isalpha()
    ]
    unusual = len(special) - len(letters) - len(signs) + len(within)
    ascii_letters = sum(c.isalpha() for c in text) - len(letters)
    return 3 * len(special) <= ascii_letters and 50 * unusual <= len(special)
