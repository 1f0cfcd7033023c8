"""Any file, any encoding, any compression: the same text; and a clear error where there is none."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import itertools
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.files import detect_encoding, iter_text, open_binary, open_text, read_text
from rondo.errors import DataError, UsageError

ENGLISH = "It was the best of times, it was the worst of times.\n" * 20
TRADITIONAL = "秦川雄帝宅，函谷壯皇居。\n綺殿千尋起，離宮百雉餘。\n連甍遙接漢，飛觀迥凌虛。\n" * 9
SIMPLIFIED = "床前明月光，疑是地上霜。\n白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。\n" * 9
FRENCH = "L'été dernier, nous étions à la mer. Ça c'était agréable : « les élèves jouaient ».\n" * 9
GERMAN = "Die Straße führt über die Brücke.\nSchöne Grüße aus München! Größere Äpfel?\n" * 9
POLISH = "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.\n" * 9
RUSSIAN = "Все люди рождаются свободными и равными в своем достоинстве и правах.\n" * 9
JAPANESE = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。\n" * 9
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.\n" * 9


def zipped(data: bytes, *names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("text.txt",):
            archive.writestr(name, data)
    return buffer.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zip": zipped,
}


def written(folder: Path, data: bytes, name: str = "text.txt") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (ENGLISH, "ascii"),
        (SIMPLIFIED, "utf-8"),
        (SIMPLIFIED, "utf-8-sig"),
        (SIMPLIFIED, "utf-16"),
        (SIMPLIFIED, "utf-32"),
        (SIMPLIFIED, "utf-16-le"),
        (SIMPLIFIED, "utf-16-be"),
        (ENGLISH, "utf-16-le"),
        (ENGLISH, "utf-16-be"),
        (ENGLISH, "utf-32-le"),
        (ENGLISH, "utf-32-be"),
        (SIMPLIFIED, "gb18030"),
        (SIMPLIFIED, "gb2312"),
        (TRADITIONAL, "gb18030"),
        (TRADITIONAL, "big5"),
        (FRENCH, "latin-1"),
        (GERMAN, "latin-1"),
        (FRENCH.replace("'", "’"), "cp1252"),
        (ENGLISH + "naïve\n", "latin-1"),
        (POLISH, "cp1250"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc-jp"),
        (KOREAN, "euc-kr"),
    ],
)
def test_detects_the_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    path = written(tmp_path, text.encode(encoding))
    assert read_text(path) == text
    assert path.read_bytes().decode(detect_encoding(path)).removeprefix("\ufeff") == text


@pytest.mark.parametrize("encoding", ["latin-1", "gb18030", "utf-8"])
def test_detects_what_comes_late(tmp_path: Path, encoding: str) -> None:
    text = ENGLISH * 3000 + {"latin-1": FRENCH, "gb18030": SIMPLIFIED, "utf-8": SIMPLIFIED}[encoding]
    path = written(tmp_path, text.encode(encoding))
    assert read_text(path) == text


def test_a_character_outside_the_small_set_of_a_family_may_come_late(tmp_path: Path) -> None:
    text = SIMPLIFIED * 40 + "喆镕㐀\n"
    assert read_text(written(tmp_path, text.encode("gb18030"))) == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "gb18030", "big5hkscs"])
def test_a_told_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, TRADITIONAL.encode(encoding))
    assert read_text(path, encoding=encoding) == TRADITIONAL


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "gb18030"])
def test_a_mark_that_the_told_encoding_would_keep_is_dropped(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, ("\ufeff" + TRADITIONAL).encode(encoding))
    assert read_text(path, encoding=encoding) == TRADITIONAL


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_without_a_mark_the_low_byte_is_first(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, TRADITIONAL.encode(f"{encoding}-le"))
    assert "".join(iter_text(path, encoding=encoding, chunk=1)) == TRADITIONAL


def test_a_told_encoding_goes_before_a_detected_one(tmp_path: Path) -> None:
    path = written(tmp_path, SIMPLIFIED.encode("gb18030"))
    assert read_text(path, encoding="latin-1") == SIMPLIFIED.encode("gb18030").decode("latin-1")


@settings(deadline=None, max_examples=60)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    st.sampled_from(["utf-8", "utf-16-be", "gb18030"]),
)
def test_pieces_of_any_size_give_the_same_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str
) -> None:
    text = text.lstrip("\ufeff") + "\n"
    path = written(tmp_path_factory.mktemp("pieces"), text.encode(encoding))
    for chunk in (1, 3, 1000):
        assert "".join(iter_text(path, encoding=encoding, chunk=chunk)) == text


def test_line_ends_are_made_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, b"one\r\ntwo\rthree\n")
    assert read_text(path) == "one\ntwo\nthree\n"
    assert "".join(iter_text(path, chunk=4)) == "one\ntwo\nthree\n"


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_compressed_files_are_told_by_content(tmp_path: Path, kind: str) -> None:
    data = SIMPLIFIED.encode("gb18030")
    path = written(tmp_path, COMPRESSIONS[kind](data), "text.dat")
    assert read_text(path) == SIMPLIFIED
    with open_binary(path) as content:
        assert content.read(7) == data[:7]
        content.seek(100)
        assert content.read() == data[100:]


def test_a_plain_file_may_have_any_name(tmp_path: Path) -> None:
    assert read_text(written(tmp_path, ENGLISH.encode(), "text.txt.gz")) == ENGLISH


def test_archives_joined_end_to_end(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(b"one\n", mtime=0) + gzip.compress(b"two\n", mtime=0))
    assert read_text(path) == "one\ntwo\n"


def test_what_macos_adds_to_an_archive_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, zipped(b"one\n", "a.txt", "__MACOSX/._a.txt"))
    assert read_text(path) == "one\n"


def test_several_files_do_not_run_together(tmp_path: Path) -> None:
    first = written(tmp_path, b"one", "1")
    second = written(tmp_path, "zwölf\n".encode("utf-16"), "2")
    third = written(tmp_path, b"three", "3")
    assert read_text([first, second, str(third)]) == "one\nzwölf\nthree"


def test_big_files_are_streamed(tmp_path: Path) -> None:
    path = written(tmp_path, lzma.compress(b"abcdefgh\n" * 2_000_000, preset=0))
    pieces = [len(piece) for piece in itertools.islice(iter_text(path), 3)]
    assert max(pieces) <= 1 << 20


def test_reading_line_by_line(tmp_path: Path) -> None:
    lines = SIMPLIFIED.splitlines(keepends=True)
    path = written(tmp_path, gzip.compress(SIMPLIFIED.rstrip("\n").encode("big5", "replace").replace(b"?", b"-")))
    expected = read_text(path)
    with open_text(path) as file:
        assert list(file) == expected.splitlines(keepends=True)
    with open_text(path) as file:
        assert file.read(5) == expected[:5]
        assert file.readline() == expected[5 : len(lines[0])]
        assert file.read() == expected[len(lines[0]) :]
        assert file.read() == file.readline() == ""


def test_line_by_line_is_the_same_as_a_common_text_file(tmp_path: Path) -> None:
    path = written(tmp_path, ("x" * 700_000 + "\r\n" + "\n\n" + "é" * 700_000).encode())
    with open_text(path) as ours, open(path, encoding="utf-8") as common:
        assert ours.readlines() == common.readlines()


def check_error(path: Path, *parts: str, encoding: str | None = None) -> None:
    for read in (read_text, lambda path, encoding: open_text(path, encoding=encoding).read()):
        with pytest.raises(DataError) as caught:
            read(path, encoding=encoding)
        for part in (str(path), *parts):
            assert part in str(caught.value)


def test_missing_folder_and_special_files(tmp_path: Path) -> None:
    check_error(tmp_path / "missing.txt", "does not exist")
    check_error(tmp_path, "is a folder")
    os.mkfifo(tmp_path / "pipe")
    check_error(tmp_path / "pipe", "regular file")


@pytest.mark.parametrize(
    "data", [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, gzip.compress(b"", mtime=0), bz2.compress(b""), zipped(b"")]
)
def test_empty_files(tmp_path: Path, data: bytes) -> None:
    check_error(written(tmp_path, data), "is empty")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, b"text")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    check_error(path, "cannot be read", "Permission denied")


@pytest.mark.parametrize("cut", [12, 40, -1])
@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_archives_cut_short(tmp_path: Path, kind: str, cut: int) -> None:
    data = COMPRESSIONS[kind](os.urandom(3000).hex().encode())
    check_error(written(tmp_path, data[:cut]), "damaged archive")


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_damaged_archives(tmp_path: Path, kind: str) -> None:
    data = bytearray(COMPRESSIONS[kind](os.urandom(3000).hex().encode()))
    for i in range(1000, 1040):
        data[i] ^= 0x55
    check_error(written(tmp_path, bytes(data)), "damaged archive")


def test_archives_of_none_or_many(tmp_path: Path) -> None:
    check_error(written(tmp_path, zipped(b"text", "a", "b", "c", "d")), "4 files (a, b, c, ...)")
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    check_error(written(tmp_path, buffer.getvalue()), "no file")


def test_locked_archives(tmp_path: Path) -> None:
    data = bytearray(zipped(b"text"))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    check_error(written(tmp_path, bytes(data)), "password")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "PNG image"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "PDF"),
        (b"\x7fELF" + bytes(200), "a program"),
        (bytes(range(256)) * 40, "binary"),
        (bytes(1000), "binary"),
        (bytes(257) + b"ustar" + bytes(300), "tar archive"),
        (gzip.compress(b"\x93NUMPY\1\0" + bytes(1000), mtime=0), "NumPy"),
    ],
)
def test_binary_files(tmp_path: Path, data: bytes, kind: str) -> None:
    check_error(written(tmp_path, data), "not text", kind)
    check_error(written(tmp_path, data), "not text", kind, encoding="latin-1")


def test_text_that_begins_like_a_program_is_text(tmp_path: Path) -> None:
    assert read_text(written(tmp_path, b"MZ and BZh and RIFF are words\n")).startswith("MZ and")


def test_wrong_encoding_names_the_place(tmp_path: Path) -> None:
    data = b"one\ntwo\nthr\xe9e\n"
    check_error(written(tmp_path, data), "utf-8", "0xe9", "offset 11", "line 3", "as told", encoding="utf-8")
    for before in (b"0123456789\r\n" * 200_000, "時間\n".encode() * 300_000):
        check_error(
            written(tmp_path, before + data),
            "0xe9",
            f"offset {len(before) + 11}",
            f"line {before.count(10) + 3}",
            encoding="utf8",
        )


def test_one_damaged_place_does_not_make_utf8_something_else(tmp_path: Path) -> None:
    data = SIMPLIFIED.encode()
    check_error(written(tmp_path, data[:296] + b"\xff" + data[296:]), "looks like it", "0xff", "offset 296")
    check_error(written(tmp_path, data + "月".encode()[:2]), f"offset {len(data)}", f"line {data.count(10) + 1}")


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-16-le", "shift_jis"])
def test_wrong_place_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    good = ("日月\n" * 400_000).encode(encoding)
    bad = {"utf-16-le": b"\x00\xdcA\0"}.get(encoding, b"\xff\xff\n")
    check_error(written(tmp_path, good + bad), f"offset {len(good)}", "line 400001", encoding=encoding)


def test_unknown_encodings(tmp_path: Path) -> None:
    path = written(tmp_path, b"text")
    with pytest.raises(UsageError, match="did you mean 'gb18030'"):
        read_text(path, encoding="gb18031")
    with pytest.raises(UsageError, match="no text encoding 'base64'"):
        read_text(path, encoding="base64")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    ("text", "looks"), [("plain words, evenly.\n" * 40, "ASCII"), ("zwölf Boxkämpfer\n" * 40, "UTF-8")]
)
def test_narrow_text_is_not_read_as_wide(tmp_path: Path, encoding: str, text: str, looks: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    with pytest.raises(DataError, match=f"as told: it looks like {looks} text"):
        read_text(path, encoding=encoding)
    path.write_bytes(text.encode("utf-16-le"))
    assert read_text(path, encoding="utf-16-le") == text
