"""Labelled texts: the same from every format, row by row or at once, and one clear message where there are none."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import lzma
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.data.columns import TextFormat
from rondo.data.labelled import Labelled
from rondo.data.texts import as_texts, iter_texts, read_texts, texts_from_frame
from rondo.errors import DataError, UsageError

ROWS = [("good, very good", "pos", "ann"), ('he said "no"\nand left', "neg", "bob"), ("", "neg", "ann")]


def written(folder: Path, text: str | bytes, name: str) -> Path:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / name


def csv_of(rows: list[tuple[str, ...]], header: str | None = "text,label,writer", mark: str = ",") -> str:
    cells = [mark.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    return "\r\n".join(([header.replace(",", mark)] if header else []) + cells) + "\r\n"


def jsonl_of(rows: list[tuple[str, ...]]) -> str:
    return "".join(json.dumps(dict(zip(("text", "label", "writer"), row, strict=True))) + "\n" for row in rows)


def check(data: Labelled) -> None:
    assert list(zip(data.items, data.labels or [], data.groups or [], strict=True)) == ROWS
    assert data.classes == ("neg", "pos")


BY_WRITER = TextFormat(group_column="writer")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", csv_of(ROWS)),
        ("a.csv", csv_of(ROWS, mark=";")),
        ("a.csv", csv_of(ROWS, mark="\t")),
        ("a.tsv", csv_of(ROWS, mark="\t")),
        ("a.csv", "\ufeff" + csv_of(ROWS)),
        ("a.csv.gz", gzip.compress(csv_of(ROWS).encode(), mtime=0)),
        ("a.csv.xz", lzma.compress(csv_of(ROWS).encode("utf-16"))),
        ("a.jsonl", jsonl_of(ROWS)),
        ("a", jsonl_of(ROWS)),
        ("a.json", json.dumps([dict(zip(("text", "label", "writer"), row, strict=True)) for row in ROWS], indent=1)),
    ],
    ids=["csv", "semicolons", "tabs", "tsv", "mark", "gz", "utf16-xz", "jsonl", "unnamed", "json-list"],
)
def test_the_same_from_every_format(tmp_path: Path, name: str, content: str | bytes) -> None:
    check(read_texts(written(tmp_path, content, name), BY_WRITER))


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"))),
    st.sampled_from(",;\t|"),
)
def test_what_a_spreadsheet_writes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], mark: str
) -> None:
    rows = [(text, f"c{number % 2}", "w") for number, text in enumerate([*texts, "end"])]
    path = written(tmp_path_factory.mktemp("table"), csv_of(rows, mark=mark), "a.csv")
    data = read_texts(path, TextFormat(encoding="utf-8"))
    assert data.items == [row[0] for row in rows]
    lines = path.read_text(encoding="utf-8").split("\n")
    for index, (_, number, noun) in enumerate(data.origins):
        assert (noun, lines[number - 1][:1]) == ("line", '"')
        assert data.where(index) == f"{path}, line {number}"


def test_columns_by_name_by_number_and_by_what_is_usual(tmp_path: Path) -> None:
    path = written(tmp_path, "id,Review,Category,label\n1,one,a,x\n2,two,b,y\n", "a.csv")
    assert read_texts(path).labels == ["x", "y"]
    assert read_texts(path).items == ["one", "two"]
    assert read_texts(path, TextFormat(label_column="Category")).labels == ["a", "b"]
    assert read_texts(path, TextFormat(text_column="3", label_column="-1")).items == ["a", "b"]
    assert read_texts(path, TextFormat(text_column="id")).items == ["1", "2"]


def test_a_file_without_header(tmp_path: Path) -> None:
    path = written(tmp_path, "a fine day\t1\nrain\t0\n", "a.tsv")
    by_number = TextFormat(text_column="1", label_column="2")
    assert read_texts(path, by_number).labels == ["1", "0"]
    assert read_texts(path, TextFormat(text_column="1", label_column="2", header="yes")).labels == ["0"]
    with pytest.raises(DataError, match=r"a\.tsv has no header .* --text-column N; .* 1 'a fine day', 2 '1'"):
        read_texts(path)
    headed = written(tmp_path, "text\tlabel\nrain\t0\n", "b.tsv")
    assert read_texts(headed, by_number).labels == ["0"]
    unheaded = TextFormat(text_column="1", label_column="2", header="no")
    assert read_texts(headed, unheaded).labels == ["label", "0"]


def test_quotation_marks_in_tab_separated_files(tmp_path: Path) -> None:
    corpus = written(tmp_path, 'text\tlabel\nplain\t0\n"so" he said\t1\n" and then\t0\n', "corpus.tsv")
    assert read_texts(corpus).items == ["plain", '"so" he said', '" and then']
    sheet = written(tmp_path, 'text\tlabel\n"a ""b""\nc"\t0\nplain\t1\n', "sheet.tsv")
    assert read_texts(sheet).items == ['a "b"\nc', "plain"]
    whole = written(tmp_path, 'text\tlabel\n"whole"\t0\n', "whole.tsv")
    assert read_texts(whole).items == ["whole"]
    assert read_texts(whole, TextFormat(quotes="no")).items == ['"whole"']
    comma = written(tmp_path, 'text,label\n"a,0\n', "a.csv")
    assert read_texts(comma, TextFormat(quotes="no")).items == ['"a']


def test_the_delimiter_can_be_told(tmp_path: Path) -> None:
    path = written(tmp_path, "text;label\na, b;1\n", "a.csv")
    assert read_texts(path).items == ["a, b"]
    path = written(tmp_path, "text,a,b~label,c\nu~v\n", "b.csv")
    assert read_texts(path, TextFormat(delimiter="~", text_column="1", label_column="2", header="yes")).items == ["u"]
    with pytest.raises(UsageError, match="one character"):
        TextFormat(delimiter="::")


def test_the_kind_of_file_can_be_told(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,1\n", "a.dat")
    assert read_texts(path, TextFormat(format="csv")).labels == ["1"]
    with pytest.raises(DataError, match="a text a line and no classes"):
        read_texts(path)


def test_the_encoding_can_be_told(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\né,1\n".encode("cp1250"), "a.csv")
    assert read_texts(path, TextFormat(encoding="cp1250")).items == ["é"]
    assert read_texts(path, TextFormat(encoding="cp1251")).items != ["é"]


def test_several_labels_by_a_separator_or_a_list(tmp_path: Path) -> None:
    parted = written(tmp_path, "text,labels\na,x; y\nb,\nc,y;y\n", "a.csv")
    data = read_texts(parted, TextFormat(label_separator=";"))
    assert data.labels == [("x", "y"), (), ("y",)]
    assert data.several
    assert data.codes().tolist() == [[True, True], [False, False], [False, True]]
    assert read_texts(written(tmp_path, "text,labels\na,x;y\n", "b.csv")).labels == ["x;y"]
    listed = written(tmp_path, '{"text": "a", "label": ["x", "y"]}\n{"text": "b", "label": []}\n', "a.jsonl")
    assert read_texts(listed).labels == [("x", "y"), ()]
    cells = written(tmp_path, 'text,label\na,"[""x"", ""y""]"\nb,[]\n', "c.csv")
    assert read_texts(cells).labels == [("x", "y"), ()]
    mixed = written(tmp_path, 'text,label\na,"[""x""]"\nb,y\n', "d.csv")
    with pytest.raises(DataError, match=r"d\.csv, line 3: expected a list of labels, as before, not 'y'"):
        read_texts(mixed)
    with pytest.raises(UsageError, match="label-separator is empty"):
        TextFormat(label_separator="")


def test_folders_are_classes(tmp_path: Path) -> None:
    for name, text in [("pos/1.txt", "good"), ("pos/sub/2.txt", "fine"), ("neg/1.txt", "bad"), ("neg/.hidden", "x")]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    data = read_texts(tmp_path)
    assert (data.items, data.labels) == (["bad", "good", "fine"], ["neg", "pos", "pos"])
    assert data.where(2) == str(tmp_path / "pos" / "sub" / "2.txt")
    assert read_texts(tmp_path, labelled=False).labels is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="folder of the class 'empty', has no files"):
        read_texts(tmp_path)
    with pytest.raises(DataError, match="no folders in it"):
        read_texts(tmp_path / "pos" / "sub")


def test_a_file_of_lines_with_a_file_of_classes(tmp_path: Path) -> None:
    texts = written(tmp_path, "one\n\nthree", "a.txt")
    labels = written(tmp_path, "x\ny\nx\n", "labels.txt")
    data = read_texts(texts, label_file=labels)
    assert (data.items, data.labels) == (["one", "", "three"], ["x", "y", "x"])
    several = written(tmp_path, "x y\n\ny\n", "several.txt")
    assert read_texts(texts, TextFormat(label_separator=" "), label_file=several).labels == [("x", "y"), (), ("y",)]
    with pytest.raises(DataError, match=r"labels\.txt has 3 labels, .*b\.txt 2 texts"):
        read_texts(written(tmp_path, "one\ntwo\n", "b.txt"), label_file=labels)
    with pytest.raises(DataError, match=r"several\.txt, line 2: there is no label"):
        read_texts(texts, label_file=several)


def test_a_file_of_classes_does_not_stand_beside_other_classes(tmp_path: Path) -> None:
    labels = written(tmp_path, "x\ny\n", "labels.txt")
    table = written(tmp_path, "text,label,author\na b,p,me\nc d,q,you\n", "a.csv")
    with pytest.raises(UsageError, match=r"a\.csv has classes of its own"):
        read_texts(table, label_file=labels)
    with pytest.raises(UsageError, match="--labels and --label-column"):
        read_texts(table, TextFormat(label_column="label"), label_file=labels)
    with pytest.raises(UsageError, match="--group-column names a column"):
        read_texts(written(tmp_path, "one\ntwo\n", "a.txt"), TextFormat(group_column="author"), label_file=labels)
    alone = written(tmp_path, "text,author\na b,me\nc d,you\n", "b.csv")
    data = read_texts(alone, TextFormat(group_column="author"), label_file=labels)
    assert (data.labels, data.groups) == (["x", "y"], ["me", "you"])


def test_prediction_needs_no_classes(tmp_path: Path) -> None:
    lines = written(tmp_path, "one\ttab\n\nthree\n", "a.txt")
    assert [row.item for row in iter_texts(lines, labelled=False)] == ["one\ttab", "", "three"]
    table = written(tmp_path, "id,text\n1,one\n2,two\n", "a.csv")
    assert read_texts(table, labelled=None).labels is None
    with pytest.raises(DataError, match=r"which column is the label.*known: id"):
        read_texts(table)
    labelled = written(tmp_path, "text,label\none,x\ntwo,\n", "b.csv")
    assert [row.label for row in iter_texts(labelled, labelled=None)] == ["x", None]
    assert [row.label for row in iter_texts(labelled, labelled=False)] == [None, None]
    assert read_texts(labelled, TextFormat(label_column="class"), labelled=None).labels is None
    only = written(tmp_path, "said,label\none,x\n", "c.csv")
    assert read_texts(only).items == ["one"]


def test_an_open_text_is_read_as_it_comes() -> None:
    class Endless(io.StringIO):
        name = "<stdin>"
        taken = 0

        def __next__(self) -> str:
            self.taken += 1
            return f"line {self.taken}\n"

    stream = Endless()
    rows = list(itertools.islice(iter_texts(stream, labelled=False), 3))
    assert [row.item for row in rows] == ["line 1", "line 2", "line 3"]
    assert str(rows[2].origin) == "<stdin>, line 3"
    assert stream.taken < 6


def test_long_tables_are_gone_through_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv.xz"
    with lzma.open(path, "wt", preset=0) as file:
        file.write("text,label\n" + "a fine day,1\n" * 2_000_000)
    tracemalloc.start()
    count = sum(1 for _ in itertools.islice(iter_texts(path), 20_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 8 << 20


def test_a_document_may_be_longer_than_the_csv_module_allows(tmp_path: Path) -> None:
    long = "word " * 60_000
    assert read_texts(written(tmp_path, f"text,label\n{long},1\n", "a.csv")).items == [long]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        (
            "a.csv",
            "text,label\na,1\n",
            {"label_column": "lable"},
            r"a\.csv has no column 'lable'.*did you mean 'label'",
        ),
        ("a.csv", "text,label\na,1\n", {"text_column": "7"}, r"has 2 columns; --text-column 7"),
        ("a.csv", "text,label\na,1\n", {"group_column": "who"}, r"no column 'who' \(--group-column\)"),
        ("a.csv", "text,label\n", {}, r"a\.csv has a header and no rows"),
        ("a.csv", "\n\n", {}, r"a\.csv has no rows"),
        ("a.csv", "", {}, r"a\.csv is empty"),
        ("a.csv", "text,label\na,b,1\n", {}, r"line 2: 3 cells, where the first line has 2\. A ',' within"),
        ("a.csv", 'text,label\nx,1\n"a,1\nb,0\n', {}, r"line 3: a quotation mark opens"),
        ("a.csv", 'text,label\nx,1\n"a" b,1\n', {}, r"line 3: a quotation mark inside .* --quotes no"),
        ("a.csv", "text,label\n\na,\n", {}, r"line 3: there is no label in column 'label'"),
        ("a.csv", "text,label,w\na,1,\n", {"group_column": "w"}, r"line 2: there is no group in column 'w'"),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": "b", "lable": 1}\n',
            {},
            r"line 2: there is no 'label'.*'lable'",
        ),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": 3, "label": 1}\n', {}, r"line 2: the text .*'text'\) is 3"),
        ("a.jsonl", '{"text": "a", "label": null}\n', {}, r"line 1: there is no label"),
        ("a.jsonl", '{"text": "a", "label": {"b": 1}}\n', {}, r"line 1: the label .* is \{\"b\": 1\}"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": \n', {}, r"line 2: this is not JSON"),
        ("a.jsonl", "[1]\n", {}, r"record 1: expected an object"),
        ("a.jsonl", "\n", {}, r"has no records"),
        ("a.csv", "said,by,at\na,b,c\n", {}, r"which column is the label\? .* --label-column NAME"),
    ],
)
def test_one_clear_message(tmp_path: Path, name: str, content: str, options: dict[str, Any], message: str) -> None:
    path = written(tmp_path, content, name)
    text_first = {"text_column": "said"} if content.startswith("said") else {}
    with pytest.raises(DataError, match=message):
        read_texts(path, TextFormat(**options, **text_first))


def test_several_files_are_one_set(tmp_path: Path) -> None:
    first = written(tmp_path, "text,label\na,1\n", "1.csv")
    second = written(tmp_path, '{"label": 0, "text": "b"}\n', "2.jsonl")
    data = read_texts([first, second])
    assert (data.items, data.labels, data.classes) == (["a", "b"], ["1", "0"], ("0", "1"))
    assert data.where(1) == f"{second}, line 1"
    with pytest.raises(UsageError):
        read_texts([])


class TestFrames:
    @pytest.fixture(params=["pandas", "polars"])
    def frames(self, request: pytest.FixtureRequest) -> Any:
        return pytest.importorskip(request.param)

    def test_columns(self, frames: Any) -> None:
        frame = frames.DataFrame(
            {"text": [r[0] for r in ROWS], "label": [r[1] for r in ROWS], "w": [r[2] for r in ROWS]}
        )
        check(texts_from_frame(frame, TextFormat(group_column="w")))
        assert texts_from_frame(frame, TextFormat(label_column="w")).labels == ["ann", "bob", "ann"]
        assert texts_from_frame(frame, labelled=False).labels is None
        with pytest.raises(DataError, match=r"the data frame has no column 'lable'.*'label'"):
            texts_from_frame(frame, TextFormat(label_column="lable"))
        assert as_texts(frame["text"], frame["label"]).labels == ["pos", "neg", "neg"]

    def test_empty_cells(self, frames: Any) -> None:
        frame = frames.DataFrame({"text": ["a", None], "label": ["x", None]})
        with pytest.raises(DataError, match=r"row 2: the text .* is nothing"):
            texts_from_frame(frame)
        with pytest.raises(DataError, match=r"row 2: there is no label"):
            texts_from_frame(frames.DataFrame({"text": ["a", "b"], "label": ["x", None]}))
        with pytest.raises(DataError, match="item 2 is missing"):
            as_texts(frame["text"])
        with pytest.raises(DataError, match="item 2 has no label"):
            as_texts(["a", "b"], frame["label"])


def test_texts_in_memory() -> None:
    assert as_texts(["a", "b"], [1, 0], ["x", "y"]).codes().tolist() == [1, 0]
    with pytest.raises(UsageError, match="list of them"):
        as_texts("a text")
    with pytest.raises(DataError, match="item 2 is no text but of type int"):
        as_texts(["a", 3])
    with pytest.raises(DataError, match="2 items have 3 labels"):
        as_texts(["a", "b"], [1, 2, 3])
