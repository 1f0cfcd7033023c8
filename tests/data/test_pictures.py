"""Picture files as grey images: folders of classes, tables that name them, and what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rondo.data import pictures
from rondo.data.images import ImageFormat, iter_images, read_images
from rondo.errors import DataError, UsageError

GREY = np.random.default_rng(3).integers(0, 256, (4, 6, 5)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of two pictures each."""
    for name, pixels in zip(("cat/b.png", "cat/a.png", "dog/c.PNG", "dog/d.bmp"), GREY, strict=True):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "all" / name)
    return tmp_path / "all"


def table(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_folder_of_classes(folder: Path) -> None:
    data = read_images(folder)
    np.testing.assert_array_equal(data.items, GREY[[1, 0, 2, 3]])
    assert data.labels == ["cat", "cat", "dog", "dog"]
    assert data.where(0) == str(folder / "cat" / "a.png")
    assert [row.label for row in iter_images(folder)] == data.labels
    assert read_images(folder, labelled=False).labels is None


def test_pictures_without_classes_are_asked_about(folder: Path) -> None:
    rows = list(iter_images(folder / "dog"))
    assert [row.label for row in rows] == [None, None]
    np.testing.assert_array_equal(rows[1].item, GREY[3])
    (single,) = iter_images(folder / "cat" / "b.png")
    np.testing.assert_array_equal(single.item, GREY[0])
    with pytest.raises(DataError, match="has no folders in it"):
        read_images(folder / "dog")
    with pytest.raises(DataError, match=r"b\.png is one picture without a class"):
        read_images(folder / "cat" / "b.png")
    with pytest.raises(DataError, match=r"none\.png does not exist"):
        read_images(folder / "none.png")


@pytest.mark.parametrize(
    ("name", "text", "asked"),
    [
        ("a.csv", "file,label\ncat/b.png,1\ndog/c.PNG,2\n", {}),
        ("a.csv", "cat/b.png,1\ndog/c.PNG,2\n", {}),
        ("a.tsv", "1\tcat/b.png\tx\n2\tdog/c.PNG\ty\n", {"label_column": "1"}),
        ("a.jsonl", '{"image": "cat/b.png", "class": 1}\n{"image": "dog/c.PNG", "class": 2}\n', {}),
        ("a.csv", "which,label,animal\ncat/b.png,8,1\ndog/c.PNG,9,2\n", {"values": "which", "label_column": "animal"}),
    ],
    ids=["header", "no header", "numbers", "json", "asked"],
)
def test_a_table_that_names_pictures(folder: Path, name: str, text: str, asked: dict[str, str]) -> None:
    path = table(folder, name, text)
    data = read_images(path, ImageFormat(**asked))  # type: ignore[arg-type]
    np.testing.assert_array_equal(data.items, GREY[[0, 2]])
    assert data.labels == ["1", "2"]
    assert data.where(1).startswith(f"{path}, line ")


def test_groups_and_absolute_names(folder: Path, tmp_path: Path) -> None:
    path = table(tmp_path, "b.csv", f"path,class,by\n{folder / 'cat' / 'a.png'},x,Ada\nall/dog/d.bmp,y,Kurt\n")
    data = read_images(path, ImageFormat(group_column="by"))
    assert (data.labels, data.groups) == (["x", "y"], ["Ada", "Kurt"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\ncat/z.png,1\n", r"t\.csv, line 2: .*z\.png does not exist"),
        ("file,label\ncat/b.png,\n", "line 2: there is no label in column 'label'"),
        ("file,label\n,1\n", "line 2: there is no name of a file in column 'file'"),
        ("photo,label\ncat/b.png,1\n", "which column names the files.*--values NAME"),
        ("file,a,b\ncat/b.png,1,2\n", "which column is the class.*--label-column NAME; known: file, a, b"),
        ("cat/b.png,1,2\n", "which column is the class.*--label-column N;"),
    ],
    ids=["missing", "no label", "no name", "no files", "no class", "no class, no header"],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_said_line_by_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_images(table(folder, "t.csv", text))


def test_sizes_that_differ_are_refused_or_made_alike(folder: Path) -> None:
    Image.fromarray(np.full((9, 12), 200, np.uint8)).save(folder / "dog" / "e.png")
    with pytest.raises(DataError, match=r"e\.png: a picture of 9 x 12 pixels, where .*a\.png has 6 x 5; --resize"):
        read_images(folder)
    data = read_images(folder, ImageFormat(resize=(6, 5)))
    assert np.shape(data.items) == (5, 6, 5)
    np.testing.assert_array_equal(data.items[0], GREY[1])
    assert (data.items[4] == 200).all()
    wide = np.asarray(read_images(folder, ImageFormat(resize=(3, 10))).items)
    assert wide.shape == (5, 3, 10)
    assert wide[0].mean() == pytest.approx(GREY[1].mean(), rel=0.15)


@pytest.mark.parametrize("size", [(0, 5), (5, 1 << 20)])
def test_sizes_that_cannot_be(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="--resize is a height and a width"):
        ImageFormat(resize=size)


def test_colours_become_grey_and_nothing_becomes_white(tmp_path: Path) -> None:
    def grey(picture: Any, name: str = "p.png") -> Any:
        picture.save(tmp_path / name)
        return next(iter_images(tmp_path / name)).item

    red = np.zeros((2, 3, 3), np.uint8)
    red[..., 0] = 255
    assert (grey(Image.fromarray(red)) == 76).all()
    ink = np.zeros((2, 3, 4), np.uint8)
    ink[0, 0, 3] = 255
    np.testing.assert_array_equal(grey(Image.fromarray(ink)), [[0, 255, 255], [255, 255, 255]])
    assert (grey(Image.fromarray(np.array([[True, False]]))) == [[255, 0]]).all()
    fine = grey(Image.fromarray(np.array([[0, 65535, 257]], np.uint16)))
    np.testing.assert_allclose(fine, [[0, 255, 1]])


def test_what_is_no_picture_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "dog" / "notes.txt").write_text("These are dogs.")
    with pytest.raises(DataError, match=r"notes\.txt cannot be read as a picture \(of no kind that is known\)"):
        read_images(folder)
    cut = (folder / "cat" / "a.png").read_bytes()[:50]
    (folder / "dog" / "notes.txt").rename(tmp_path / "x")
    (folder / "dog" / "f.png").write_bytes(cut)
    with pytest.raises(DataError, match=r"f\.png cannot be read as a picture"):
        read_images(folder)
    frames = [Image.fromarray(pixels) for pixels in GREY[:2]]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="has 2 pictures in it"):
        list(iter_images(tmp_path / "two.gif"))


def test_options_of_other_files_are_refused(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=GREY, y=np.arange(4))
    with pytest.raises(UsageError, match="--resize is for pictures"):
        read_images(tmp_path / "a.npz", ImageFormat(resize=(2, 2)))
    for path in (folder, tmp_path / "a.npz"):
        with pytest.raises(UsageError, match="--labels names an idx file"):
            read_images(path, ImageFormat(labels="some-idx1-ubyte"))


def test_without_pillow_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "Image", None)
    with pytest.raises(UsageError, match=r"pip install 'rondo\[images\]'"):
        read_images(folder)


def test_only_some_pictures_are_in_memory(folder: Path) -> None:
    path = table(folder, "many.jsonl", "".join(json.dumps({"file": "cat/a.png"}) + "\n" for _ in range(3)) + "{}\n")
    rows = iter_images(path)
    assert [next(rows).item.shape for _ in range(3)] == [(6, 5)] * 3
    with pytest.raises(DataError, match="line 4"):
        next(rows)
