"""Tagging from the command line: a file in, the same file with its tags out."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

import rondo as package
from tests.cli.small import Run
from tests.tasks.tag.people import QUICK, column, people, write_columns


@pytest.fixture(scope="module")
def tag_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-tag")
    file = write_columns(folder / "people.conll", people(60))
    package.train("tag", file, out=folder / "m", **QUICK, baselines=False)
    return folder / "m"


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    return write_columns(tmp_path / "asked.conll", people(12, seed=5), documents=4)


def test_training_says_who_is_ahead(rondo: Run, tmp_path: Path) -> None:
    file = write_columns(tmp_path / "people.conll", people(60))
    ended = rondo("train", "tag", file, "--out", tmp_path / "m", "--steps", "2", "--hidden", "4", "--quiet")
    assert ended.code == 0
    for said in ("span F1", "most frequent tag of each word", "this model", f"rondo predict {tmp_path / 'm'}"):
        assert said in ended.out


def test_the_same_file_comes_back_with_its_tags(rondo: Run, tag_model: Path, asked: Path) -> None:
    ended = rondo("predict", tag_model, asked)
    assert (ended.code, ended.err) == (0, "")
    given, written = asked.read_text().splitlines(), ended.out.splitlines()
    assert [line.split()[:2] for line in written] == [line.split()[:2] for line in given]
    tags = [tag for own in package.load(tag_model).predict(people(12, seed=5)[0]) for tag in own]
    tokens = [line for line in written if not line.startswith("-DOCSTART-")]
    assert column(tokens, 2) == tags
    beside = rondo("predict", tag_model, asked, "--append").out.splitlines()
    assert column([line for line in beside if not line.startswith("-DOCSTART-")], 3) == tags
    assert rondo("predict", tag_model, asked, "--at-once", "1").out == ended.out


def test_json_has_spans_with_places_and_readings(rondo: Run, tag_model: Path, asked: Path) -> None:
    lines = rondo("predict", tag_model, asked, "--json", "--n-best", "3").out.splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["tokens"] for one in found] == people(12, seed=5)[0]
    for one in found:
        text = " ".join(one["tokens"])
        assert all(text[span["start"] : span["end"]] == span["text"] for span in one["spans"])
        assert one["n_best"][0]["tags"] == one["tags"]
        sure = [reading["probability"] for reading in one["n_best"]]
        assert sure == sorted(sure, reverse=True)


def test_what_is_piped_is_tagged(rondo: Run, tag_model: Path, asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rondo("predict", tag_model, asked).out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(asked.read_bytes()), encoding="utf-8"))
    assert rondo("predict", tag_model, "-").out == expected


def test_a_sentence_that_is_piped_in_is_not_taken_for_columns(
    rondo: Run, tag_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Ada saw Oslo .\n"), encoding="utf-8"))
    tags = package.load(tag_model).predict([["Ada", "saw", "Oslo", "."]])[0]
    assert rondo("predict", tag_model, "-").out == " ".join(tags) + "\n"


def test_evaluation_has_strict_scores_beside_the_usual(rondo: Run, tag_model: Path, asked: Path) -> None:
    result = json.loads(rondo("evaluate", tag_model, asked, "--json", "--quiet").out)
    assert (result["metric"], result["items"]) == ("span F1", 12)
    assert result["strict_score"] == result["scores"]["strict_f1"]
    shown = rondo("evaluate", tag_model, asked, "--quiet").out
    assert "span F1" in shown
    assert "strict F1" in shown


def test_lines_with_a_file_of_tags_are_evaluated(rondo: Run, tag_model: Path, asked: Path, tmp_path: Path) -> None:
    sentences, tags = people(12, seed=5)
    (tmp_path / "s.txt").write_text("".join(" ".join(own) + "\n" for own in sentences))
    (tmp_path / "t.txt").write_text("".join(" ".join(own) + "\n" for own in tags))
    ended = rondo("evaluate", tag_model, tmp_path / "s.txt", "--labels", tmp_path / "t.txt", "--json", "--quiet")
    score = json.loads(ended.out)["score"]
    assert score == json.loads(rondo("evaluate", tag_model, asked, "--json", "--quiet").out)["score"]
    refused = rondo("evaluate", tag_model, asked, "--scheme", "none")
    assert (refused.code, "does not go with this tagger" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("predict", "MODEL", "ASKED", "--n-best", "0"), 2, "--n-best is at least 1"),
        (("predict", "MODEL", "ASKED", "--tag-column", "9"), 1, "column|tag-column"),
        (("evaluate", "MODEL", "ASKED", "--append"), 2, "append"),
        (("predict", "MODEL", "ASKED", "--n-best", "2"), 2, "--n-best needs --json"),
        (("predict", "MODEL", "ASKED", "--append", "--json"), 2, "it does not go with --json"),
        (("predict", "MODEL", "JSON", "--append"), 2, "sentences.jsonl has JSON lines, no columns"),
        (("predict", "MODEL", "TEXT", "--append"), 2, "sentences.txt has lines of text, no columns"),
        (("train", "tag", "ASKED", "--out", "OUT", "--scheme", "BIOOES"), 2, "did you mean|cannot be"),
        (("train", "tag", "ASKED", "--out", "OUT", "--scheme", "BMES"), 1, ".conll, line "),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_one_message(
    words: tuple[str, ...], code: int, said: str, rondo: Run, tag_model: Path, asked: Path, tmp_path: Path
) -> None:
    places = {"MODEL": tag_model, "ASKED": asked, "OUT": tmp_path / "new"}
    places |= {"JSON": tmp_path / "sentences.jsonl", "TEXT": tmp_path / "sentences.txt"}
    places["JSON"].write_text('{"tokens": ["Ada", "came"]}\n')
    places["TEXT"].write_text("Ada saw Oslo yesterday.\n")
    ended = rondo(*(places.get(word, word) for word in words))
    assert ended.code == code
    assert any(part in ended.err for part in said.split("|"))
    assert "Traceback" not in ended.err
