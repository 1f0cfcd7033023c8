"""Labelled signals and images: every format against arrays that are known, and its errors with their place."""

from __future__ import annotations

import gzip
import io
import itertools
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rondo.data.arrays import read_idx, read_npz
from rondo.data.images import ImageFormat, read_images
from rondo.data.labelled import Labelled
from rondo.data.series_files import class_name
from rondo.data.signals import SignalFormat, as_signals, fill_missing, iter_signals, read_signals
from rondo.errors import DataError

NAN = float("nan")

TS = """#A comment: with a colon
@problemName Toy
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true walk run sit

@data
# another
1,2,3:4,5,?:run
-1.5e1,2:0,NaN:walk
"""


def written(folder: Path, content: str | bytes, name: str) -> Path:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


def values(data: Labelled) -> list[Any]:
    return [item.tolist() for item in data.items]


@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode(), mtime=0)], ids=["plain", "gz"])
def test_ts(tmp_path: Path, pack: Any) -> None:
    data = read_signals(written(tmp_path, pack(TS), "a.ts"))
    np.testing.assert_array_equal(data.items[0], np.array([[1, 4], [2, 5], [3, NAN]], np.float32))
    np.testing.assert_array_equal(data.items[1], np.array([[-15, 0], [2, NAN]], np.float32))
    assert data.labels == ["run", "walk"]
    assert data.classes == ("run", "sit", "walk")
    assert data.where(1).endswith("a.ts, line 13")
    assert all(item.dtype == np.float32 for item in data.items)


def test_ts_without_classes_and_with_one_channel(tmp_path: Path) -> None:
    path = written(tmp_path, "@univariate true\n@classLabel false\n@data\n1,2\n3\n", "a.ts")
    assert values(read_signals(path, labelled=False)) == [[[1], [2]], [[3]]]
    with pytest.raises(DataError, match=r"a\.ts has no classes"):
        read_signals(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":run", ":runs", r"line 12: the class 'runs' is not in @classLabel; did you mean 'run'"),
        ("1,2,3:4", "1,x,3:4", r"line 12, channel 1, value 2: 'x' is no number"),
        ("0,NaN", "0,1e99", r"line 13, channel 2, value 2: '1e99' is too large"),
        ("1,2,3:", "", r"line 12: 1 channel; expected 2"),
        ("1,2,3:4", "1,2:4", r"line 12: its channels have different lengths, from 2 to 3"),
        (
            "equalLength false",
            "equalLength true\n@seriesLength 3",
            r"line 14: 2 values a channel; @seriesLength says 3",
        ),
        ("timeStamps false", "timeStamps true", r"line 3: series with time stamps are not read"),
        ("@missing", "@mising", r"line 4: there is no tag '@mising' in \.ts files; did you mean 'missing'"),
        ("@dimensions 2", "@dimensions two", r"'@dimensions two' in the header"),
        ("@classLabel true walk run sit", "@targetLabel true", r"line 8: the targets are numbers"),
        ("@data", "", r"line 12: this is no \.ts file"),
    ],
)
def test_ts_errors_name_the_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_signals(written(tmp_path, TS.replace(old, new, 1), "a.ts"))


def test_ts_cut_before_the_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no line '@data'"):
        read_signals(written(tmp_path, TS[: TS.index("@data")], "a.ts"))


def test_ucr_tables(tmp_path: Path) -> None:
    path = written(tmp_path, lzma.compress(b"2\t1.5\t-2\n1\t3\t4e-1\n"), "A_TRAIN.tsv.xz")
    data = read_signals(path)
    assert data.labels == ["2", "1"]
    assert data.classes == ("1", "2")
    np.testing.assert_array_equal(data.items, np.array([[[1.5], [-2]], [[3], [0.4]]], np.float32))
    assert data.where(1) == f"{path}, line 2"


@pytest.mark.parametrize("mark", ["\t", ",", ";", "  ", ", "])
def test_what_parts_numbers(tmp_path: Path, mark: str) -> None:
    data = read_signals(written(tmp_path, f"  1.0000e+00{mark}2{mark}3\n", "a.txt"))
    assert (data.labels, values(data)) == (["1"], [[[2], [3]]])


def test_series_of_unequal_length_and_with_holes(tmp_path: Path) -> None:
    path = written(tmp_path, "1,2,?,3,NaN,NaN\n2,5\n1,,1,2,3,4,5,6\n", "a.csv")
    data = read_signals(path)
    assert [len(item) for item in data.items] == [3, 1, 7]
    assert np.isnan(data.items[0]).ravel().tolist() == [False, True, False]
    assert np.isnan(data.items[2]).ravel().tolist() == [True, *[False] * 6]


def test_columns_of_number_tables(tmp_path: Path) -> None:
    plain = written(tmp_path, "1,2,7,a\n3,4,8,b\n", "a.csv")
    assert read_signals(plain, SignalFormat(label_column="-1")).labels == ["a", "b"]
    assert values(read_signals(plain, SignalFormat(label_column="-1", group_column="3"))) == [[[1], [2]], [[3], [4]]]
    assert read_signals(plain, SignalFormat(label_column="-1", group_column="3")).groups == ["7", "8"]
    bare = written(tmp_path, "1,2\n3,4\n", "b.csv")
    assert values(read_signals(bare, SignalFormat(label_column="none"), labelled=False)) == [[[1], [2]], [[3], [4]]]
    headed = written(tmp_path, "who,v1,v2,kind\nann,1,2,x\nbob,3,4,y\n", "c.csv")
    data = read_signals(headed, SignalFormat(label_column="kind", group_column="who"))
    assert (data.labels, data.groups, values(data)) == (["x", "y"], ["ann", "bob"], [[[1], [2]], [[3], [4]]])
    steps = written(tmp_path, "label,0,1\nx,1,2\n", "d.csv")
    assert read_signals(steps).labels == ["x"]
    with pytest.raises(DataError, match=r"c\.csv has no column 'kinds' \(--label-column\); did you mean 'kind'"):
        read_signals(headed, SignalFormat(label_column="kinds"))
    plain = written(tmp_path, b"1,0.5,2\n2,0.25,3\n", "d.csv")
    with pytest.raises(DataError, match=r"d\.csv has no header, and so no column 'kind' .*its number, from 1 to 3"):
        read_signals(plain, SignalFormat(label_column="kind"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n1,2,x\n", r"line 2, column 3: 'x' is no number"),
        ("1,?,nan\n", r"line 1: this series has no values"),
        ("1,2\n,3\n", r"line 2, column 1: there is no class"),
        ("label,a,b\n1,2\n", r"line 2: 2 cells, where the header has 3"),
        ("\n \n", r"has no series"),
        ("", r"is empty"),
    ],
)
def test_errors_in_number_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_signals(written(tmp_path, text, "a.csv"))


def test_class_names() -> None:
    written_as = ["1", "1.0", "1.0000e+00", "-1.0", "0010", "1.5", "nan", "walk", 3, 2.0, True]
    assert [class_name(text) for text in written_as] == [
        "1", "1", "1", "-1", "0010", "1.5", "nan", "walk", "3", "2", "True",
    ]  # fmt: skip


def test_folders_are_classes(tmp_path: Path) -> None:
    for name, text in [("run/1.csv", "ax,ay\n1,2\n3,4\n"), ("run/2.csv", "5 6\n"), ("sit/1.tsv", "7\t8\n9\t?\n")]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    data = read_signals(tmp_path)
    assert data.labels == ["run", "run", "sit"]
    assert values(data)[:2] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert read_signals(tmp_path / "sit", labelled=False).labels is None
    (tmp_path / "sit" / "2.csv").write_text("1,2\n3\n")
    with pytest.raises(DataError, match=r"2\.csv, line 2: 1 value, where the first step has 2"):
        read_signals(tmp_path)
    (tmp_path / "sit" / "2.csv").write_text("1,2,3\n")
    with pytest.raises(DataError, match=r"2\.csv: 3 channels, where the first signal has 2"):
        read_signals(tmp_path)


def test_one_by_one(tmp_path: Path) -> None:
    path = written(tmp_path, TS, "a.ts")
    rows = iter_signals(path)
    assert [(row.label, row.origin.number) for row in rows] == [("run", 12), ("walk", 13)]

    class Endless(io.StringIO):
        taken = 0

        def __next__(self) -> str:
            self.taken += 1
            return f"{self.taken},1,2\n"

    stream = Endless()
    assert [row.label for row in itertools.islice(iter_signals(stream), 3)] == ["1", "2", "3"]
    assert stream.taken < 6
    np.savez(tmp_path / "a.npz", x=np.ones((2, 3, 1)), y=np.array([4, 5]))
    assert [row.label for row in iter_signals(tmp_path / "a.npz")] == ["4", "5"]


def test_npz(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    series = rng.normal(size=(3, 5, 2)).astype(np.float32)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=series, y=np.array([1, 0, 1]), who=np.array(["a", "b", "a"]), other=np.array([7, 8, 9]))
    data = read_signals(path)
    np.testing.assert_array_equal(data.items, series)
    assert (data.labels, data.groups) == (["1", "0", "1"], None)
    data = read_signals(path, SignalFormat(label_column="other", group_column="who"))
    assert (data.labels, data.groups) == (["7", "8", "9"], ["a", "b", "a"])
    assert read_signals(path, SignalFormat(label_column="none"), labelled=False).labels is None
    packed = tmp_path / "b.npz"
    np.savez(packed, values=np.arange(12).reshape(6, 2), steps=np.array([1, 3, 2]), label=np.array([b"u", b"v", b"u"]))
    data = read_signals(packed, SignalFormat(lengths="steps"))
    assert [item[:, 0].tolist() for item in data.items] == [[0], [2, 4, 6], [8, 10]]
    assert data.labels == ["u", "v", "u"]
    with pytest.raises(DataError, match=r"signal 1 has no steps"):
        read_signals(packed, SignalFormat(values="steps"))
    (tmp_path / "c.npz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    assert len(read_signals(tmp_path / "c.npz")) == 3


def test_npz_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(
        path, data=np.arange(6.0), lengths=np.array([2, 3]), label=np.array([1, 2]), odd=np.array([{}], dtype=object)
    )
    with pytest.raises(DataError, match="the lengths add up to 5 steps; there are 6"):
        read_signals(path)
    with pytest.raises(DataError, match=r"a\.npz has no array 'lable'; did you mean 'label'"):
        read_signals(path, SignalFormat(label_column="lable"))
    with pytest.raises(DataError, match=r"'odd' cannot be read \(it needs pickle"):
        read_signals(path, SignalFormat(values="odd"))
    with pytest.raises(DataError, match="lengths are whole numbers"):
        read_signals(path, SignalFormat(lengths="data"))
    np.savez(path, data=np.ones((2, 3)), label=np.array([1, 2, 3]))
    with pytest.raises(DataError, match=r"2 signals and an array of \(3,\) labels"):
        read_signals(path)
    np.savez(path, a=np.ones(2), b=np.ones(2))
    with pytest.raises(DataError, match=r"has the arrays a, b; name the one .* \(--values\)"):
        read_signals(path)
    whole = path.read_bytes()
    method = bytearray(whole)
    method[whole.index(b"PK\1\2") + 10] = 99
    for name, content, message in [
        ("method.npz", bytes(method), "the array 'a' cannot be read"),
        ("cut.npz", whole[: len(whole) // 2], "is a damaged archive"),
        ("not.npz", b"1,2,3\n", "is no sound .npz file"),
        ("empty.npz", b"", "is empty"),
    ]:
        with pytest.raises(DataError, match=message):
            read_signals(written(tmp_path, content, name), SignalFormat(values="a"))
    with pytest.raises(DataError, match="does not exist"):
        read_npz(tmp_path / "none.npz")
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    with pytest.raises(DataError, match="one array without a name"):
        read_npz(written(tmp_path, buffer.getvalue(), "one.npz"))


def idx(array: np.ndarray, kind: int = 0x08, dtype: str = ">u1") -> bytes:
    shape = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, kind, array.ndim]) + shape + array.astype(dtype).tobytes()


@pytest.mark.parametrize(
    ("kind", "dtype"), [(8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_idx_of_every_type(tmp_path: Path, kind: int, dtype: str) -> None:
    array = np.random.default_rng(1).integers(0, 100, size=(3, 4, 5))
    read = read_idx(written(tmp_path, idx(array, kind, dtype), "a-idx3-ubyte"))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.dtype(dtype).newbyteorder("=")


def test_images_find_their_classes(tmp_path: Path) -> None:
    images, labels = np.arange(24).reshape(2, 3, 4), np.array([7, 3])
    path = written(tmp_path, gzip.compress(idx(images), mtime=0), "t10k-images-idx3-ubyte.gz")
    with pytest.raises(DataError, match="no file or array with the classes"):
        read_images(path)
    assert read_images(path, labelled=None).labels is None
    written(tmp_path, gzip.compress(idx(labels), mtime=0), "t10k-labels-idx1-ubyte.gz")
    data = read_images(path)
    np.testing.assert_array_equal(data.items, images)
    assert (data.labels, data.where(1)) == (["7", "3"], f"{path}, image 2")
    other = written(tmp_path, idx(np.array([1, 2])), "other")
    assert read_images(path, ImageFormat(labels=str(other))).labels == ["1", "2"]
    assert read_images(path, labelled=False).labels is None
    with pytest.raises(DataError, match=r"long has 3 labels, .*images-idx3-ubyte\.gz 2 images"):
        read_images(path, ImageFormat(labels=str(written(tmp_path, idx(np.array([1, 2, 3])), "long"))))
    with pytest.raises(DataError, match="1 axes; images are"):
        read_images(other, labelled=False)


def test_images_in_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_test=np.arange(8).reshape(2, 2, 2), y_test=np.array([4, 5]))
    data = read_images(tmp_path / "a.npz", ImageFormat(values="x_test", label_column="y_test"))
    assert (data.items.shape, data.labels) == ((2, 2, 2), ["4", "5"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "is cut short: 23 of the 24 bytes of 2 x 3 x 4"),
        (lambda data: data[:9], "is cut short"),
        (lambda data: data[:4] + b"\xff" * 12 + data[16:], "24 of the 79228162458924105385300197375 bytes"),
        (lambda data: data + b"\0", "has more than the 2 x 3 x 4 values"),
        (lambda data: b"\1" + data[1:], "is no idx file"),
        (lambda data: data[:2] + b"\7" + data[3:], "is no idx file"),
        (lambda data: b"\0\0", "is no idx file"),
    ],
)
def test_damaged_idx(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_idx(written(tmp_path, change(idx(np.zeros((2, 3, 4)))), "a-idx3-ubyte"))


def test_signals_in_memory() -> None:
    rng = np.random.default_rng(2)
    array = rng.normal(size=(4, 6))
    for given in (array, array[..., None], list(array), array.tolist()):
        data = as_signals(given, [1, 0, 1, 0])
        np.testing.assert_array_equal(np.stack(data.items), array[..., None].astype(np.float32))
    assert [item.shape for item in as_signals([np.ones((3, 2)), np.ones((5, 2))]).items] == [(3, 2), (5, 2)]
    for frames in ("pandas", "polars"):
        frame = pytest.importorskip(frames).DataFrame({f"t{i}": array[:, i] for i in range(6)})
        np.testing.assert_array_equal(np.stack(as_signals(frame).items), array[..., None].astype(np.float32))
    for wrong, message in [
        ([np.ones((3, 2)), np.ones((3, 1))], "item 2: 1 channels, where the first signal has 2"),
        ([[1.0], []], "item 2 has no steps"),
        ([[1.0], ["x"]], "item 2 is no signal"),
        ([[1.0], [float("inf")]], "item 2 has infinite values"),
        ([1.0, 2.0], "item 1 has no steps"),
    ]:
        with pytest.raises(DataError, match=message):
            as_signals(wrong)


def test_holes_are_filled_with_straight_lines() -> None:
    signal = np.array([[NAN, 1, NAN], [2, NAN, NAN], [NAN, NAN, NAN], [4, 4, NAN], [NAN, 5, NAN]], np.float32)
    filled = fill_missing(signal)
    np.testing.assert_array_equal(filled.T, [[2, 2, 3, 4, 4], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
    assert np.isnan(signal[0, 0])


def test_the_kind_of_file_can_be_told(tmp_path: Path) -> None:
    path = written(tmp_path, TS.replace("#A comment: with a colon\n", ""), "a.dat")
    assert read_signals(path, SignalFormat(format="ts")).labels == ["run", "walk"]
    with pytest.raises(DataError, match=r"is no number|cells"):
        read_signals(path, SignalFormat(format="table"))
    latin = written(tmp_path, "é,1,2\n".encode("cp1250"), "b.csv")
    assert read_signals(latin, SignalFormat(encoding="cp1250")).labels == ["é"]


@pytest.mark.parametrize(
    ("name", "items", "classes", "shape"),
    [
        ("japanese_vowels/JapaneseVowels_TRAIN.ts.gz", 270, 9, (20, 12)),
        ("ucr/FiftyWords_TRAIN.tsv.xz", 450, 50, (270, 1)),
    ],
)
def test_known_sets(data_folder: Path, name: str, items: int, classes: int, shape: tuple[int, int]) -> None:
    data = read_signals(data_folder / name)
    assert (len(data), len(data.classes), data.items[0].shape) == (items, classes, shape)
