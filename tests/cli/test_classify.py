"""Classifying texts from the command line: one line in, one line out."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rondo as package
from tests.cli.small import Run, write_reviews

LINES = "the film was good\n\nbad music\ta tab\nGood, good!\n"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    (tmp_path / "lines.txt").write_text(LINES)
    return tmp_path / "lines.txt"


class Typed(io.TextIOWrapper):
    """Standard input with a person or a pipe at its other end."""

    def __init__(self, data: bytes, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_training_says_who_is_ahead_and_what_comes_next(rondo: Run, tmp_path: Path) -> None:
    write_reviews(tmp_path / "r.csv")
    ended = rondo("train", "classify", tmp_path / "r.csv", "--out", tmp_path / "m", "--steps", "3", "--hidden", "5",
                  "--quiet")  # fmt: skip
    assert ended.code == 0
    for said in ("TF-IDF and logistic regression", "majority class", "this model", f"rondo predict {tmp_path / 'm'}"):
        assert said in ended.out
    assert ended.err == ""


def test_one_line_in_one_line_out(rondo: Run, class_model: Path, lines: Path) -> None:
    ended = rondo("predict", class_model, lines)
    expected = package.load(class_model).predict(LINES.splitlines()).tolist()
    assert ended.out.splitlines() == expected
    assert len(expected) == 4
    assert (ended.code, ended.err) == (0, "")


def test_json_is_an_object_a_line_with_all_probabilities(rondo: Run, class_model: Path, lines: Path) -> None:
    found = [json.loads(line) for line in rondo("predict", class_model, lines, "--json").out.splitlines()]
    assert [one["class"] for one in found] == rondo("predict", class_model, lines).out.splitlines()
    for one in found:
        assert set(one["probabilities"]) == {"good", "bad"}
        assert sum(one["probabilities"].values()) == pytest.approx(1)
        assert one["probability"] == one["probabilities"][one["class"]]


def test_tables_are_read_by_their_columns(rondo: Run, class_model: Path, tmp_path: Path, lines: Path) -> None:
    texts = LINES.splitlines()
    (tmp_path / "t.csv").write_text("n,comment\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(texts)))
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"id": 1, "said": text}) + "\n" for text in texts))
    expected = rondo("predict", class_model, lines).out
    assert rondo("predict", class_model, tmp_path / "t.csv").out == expected
    assert rondo("predict", class_model, tmp_path / "t.jsonl", "--text-column", "said").out == expected
    assert rondo("predict", class_model, tmp_path / "t.csv", "--format", "lines").out.count("\n") == 5


@pytest.mark.parametrize("named", [True, False], ids=["-", "nothing"])
@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_typed_or_piped_is_answered(
    named: bool, terminal: bool, rondo: Run, class_model: Path, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rondo("predict", class_model, lines).out
    monkeypatch.setattr(sys, "stdin", Typed(b"\xef\xbb\xbf" + LINES.encode(), terminal=terminal))
    assert rondo("predict", class_model, *(["-"] if named else [])).out == expected


def test_what_is_piped_in_another_encoding(rondo: Run, class_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped = "the film\nschön gut\n".encode("latin-1")
    monkeypatch.setattr(sys, "stdin", Typed(piped))
    ended = rondo("predict", class_model)
    assert (ended.code, ended.out.count("\n")) == (1, 0)
    assert ended.err.startswith("rondo: standard input is not utf-8: byte 0xf6 in line ")
    monkeypatch.setattr(sys, "stdin", Typed(piped))
    assert rondo("predict", class_model, "--encoding", "latin-1").out.count("\n") == 2


def test_each_line_is_answered_at_once_if_that_is_asked_for(class_model: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "rondo", "predict", str(class_model), "-", "--at-once", "1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(3):
        process.stdin.write("a good film\n")
        process.stdin.flush()
        assert process.stdout.readline() in ("good\n", "bad\n")  # before the next line is there
    process.stdin.close()
    assert process.wait(60) == 0


def test_a_file_of_any_size_needs_constant_memory(class_model: Path, tmp_path: Path) -> None:
    program = (
        "import resource, sys\nfrom rondo.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))\nsys.exit(code)\n"
    )
    peaks = []
    for count in (10_000, 90_000):
        with (tmp_path / "many.txt").open("w") as file:
            file.writelines(f"film {number} was good and {number * 7} was not\n" for number in range(count))
        done = subprocess.run(
            [sys.executable, "-c", program, "predict", str(class_model), str(tmp_path / "many.txt"), "--threads", "1"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.count("\n") == count
        peaks.append(int(done.stderr.splitlines()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 20, peaks  # MiB


def test_a_reader_that_stops_is_noticed(class_model: Path, tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("a film\n" * 50_000)
    command = f"{sys.executable} -m rondo predict {class_model} {tmp_path / 'many.txt'} | head -n 2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 2
    assert "Traceback" not in done.stderr


def test_other_models_do_not_answer_line_by_line(rondo: Run, text_model: Path, lines: Path) -> None:
    ended = rondo("predict", text_model, lines)
    assert (ended.code, ended.out) == (2, "")
    assert "is a model of text, which does not answer item by item" in ended.err


def test_a_classifier_does_not_write(rondo: Run, class_model: Path) -> None:
    ended = rondo("generate", class_model)
    assert (ended.code, ended.out) == (2, "")
    assert f"which reads and does not write; see rondo predict {class_model}" in ended.err


def test_what_cannot_be_asked_is_said(rondo: Run, class_model: Path, lines: Path) -> None:
    for arguments, said in (
        ((lines, lines), "predict takes one FILE, not 2"),
        ((lines, "--at-once", "0"), "--at-once is at least 1"),
        ((lines, "--fromat", "csv"), "did you mean '--format'?"),
        ((lines, "--samples", "5"), "unknown option '--samples'"),
    ):
        ended = rondo("predict", class_model, *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
    ended = rondo("predict", class_model, "nothing.txt")
    assert (ended.code, ended.err) == (1, "rondo: nothing.txt does not exist.\n")


def test_the_help_lists_how_the_named_model_reads(rondo: Run, class_model: Path, text_model: Path) -> None:
    assert "--text-column COLUMN" in rondo("predict", class_model, "--help").out
    assert "--text-column" not in rondo("predict", "--help").out
    assert "--text-column COLUMN" in rondo("evaluate", class_model, "--help").out
    assert "--text-column" not in rondo("evaluate", text_model, "--help").out


def test_scores_on_other_texts_stand_beside_baselines(rondo: Run, class_model: Path, tmp_path: Path) -> None:
    write_reviews(tmp_path / "others.csv", count=70)
    found = rondo("evaluate", class_model, tmp_path / "others.csv", "--json", "--quiet").json
    assert {"task", "model", "seconds", "epochs", "parameters", "metric", "score", "score_interval", "baselines",
            "baseline", "baseline_score"} <= set(found)  # fmt: skip
    assert (found["task"], found["items"], found["metric"]) == ("classify", 70, "accuracy")
    assert set(found["baselines"]) == {"majority class", "TF-IDF and logistic regression"}
    said = rondo("evaluate", class_model, tmp_path / "others.csv", "--quiet").out
    for words in ("accuracy", "on 70 items", "95 % interval", "macro F1", "majority class"):
        assert words in said


def test_texts_that_were_learned_from_and_unknown_labels_are_told(
    rondo: Run, class_model: Path, tmp_path: Path
) -> None:
    found = rondo("evaluate", class_model, class_model.parent / "reviews.csv", "--json")
    assert "was learned from" in found.json["notes"][0]
    (tmp_path / "odd.csv").write_text('label,review\ngood,"a good film"\nodd,"an odd one"\n')
    said = rondo("evaluate", class_model, tmp_path / "odd.csv", "--quiet").out
    assert "training has not seen" in said
    assert "odd (1)" in said


def test_the_file_of_options_can_say_how_texts_are_read(rondo: Run, tmp_path: Path) -> None:
    write_reviews(tmp_path / "r.csv")
    (tmp_path / "o.toml").write_text('[reading]\ntext-column = "label"\nlabel-column = "review"\ntest-fraction = 0.2\n')
    arguments = ("train", "classify", tmp_path / "r.csv", "--out", tmp_path / "m", "--config", tmp_path / "o.toml")
    ended = rondo(*arguments, "--text-column", "review", "--label-column", "label", "--steps", "2", "--json", "--quiet")
    assert ended.json["items"] == 12


def test_predicting_starts_without_what_training_needs(class_model: Path, lines: Path) -> None:
    program = "import sys\nfrom rondo.cli.main import main\nmain(sys.argv[1:])\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program, "predict", str(class_model), str(lines)], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    loaded = done.stderr.split()
    assert "torch" in loaded
    assert not {"lightning_fabric", "plotly"} & set(loaded)


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_figures_of_one_group_have_no_interval_and_say_why(verb: str, rondo: Run, tmp_path: Path) -> None:
    rows = [f"{'good' if i % 2 else 'bad'},it was {'good' if i % 2 else 'bad'} {i},w{i % 3}" for i in range(30)]
    (tmp_path / "g.csv").write_text("\n".join(["label,text,writer", *rows]) + "\n")
    by = ("--group-column", "writer")
    train = ("train", "classify", tmp_path / "g.csv", "--out", tmp_path / "m", "--steps", "1", "--hidden", "3", *by)
    ended = rondo(*train)
    if verb == "evaluate":
        ended = rondo("evaluate", tmp_path / "m", tmp_path / "g.csv", *by)
    assert "no interval" in " ".join(ended.out.split())
    assert "it takes 5 at least." in " ".join(ended.out.split())
    found = json.loads(rondo(*train, "--overwrite", "--json").out)
    assert (found["score_interval"], found["lead_interval"]) == (None, None)
    assert "in one group" in found["no_interval"]
    assert "There is no interval: all items are in one group" in (tmp_path / "m" / "report.html").read_text()
    said = (tmp_path / "m" / "README.md").read_text()
    assert ", without an interval" in said or "is level with" in said


def test_the_first_line_says_that_a_baseline_wins(rondo: Run, tmp_path: Path) -> None:
    write_reviews(tmp_path / "r.csv")
    ended = rondo("train", "classify", tmp_path / "r.csv", "--out", tmp_path / "m", "--steps", "1", "--hidden", "3",
                  "--learning-rate", "1e-9", "--quiet")  # fmt: skip
    first = next(line for line in ended.out.splitlines() if line)
    assert first.startswith(("A baseline wins: ", "A baseline is ahead: "))
    assert rondo("evaluate", tmp_path / "m", tmp_path / "r.csv").out.startswith("A baseline")
    page = (tmp_path / "m" / "report.html").read_text()
    assert 'class="verdict bad">A baseline' in page
    assert "**A baseline" in (tmp_path / "m" / "README.md").read_text()


def test_what_a_test_part_has_that_training_has_not_and_what_it_shares_are_said(rondo: Run, tmp_path: Path) -> None:
    write_reviews(tmp_path / "r.csv")
    head, *rows = (tmp_path / "r.csv").read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([head, *rows[:4], 'strange,"a film of another kind"']) + "\n")
    (tmp_path / "s.csv").write_text("\n".join([head, *rows[2:]]) + "\n")
    train = ("train", "classify", tmp_path / "s.csv", "--test", tmp_path / "t.csv", "--out", tmp_path / "m", "--steps",
             "1", "--hidden", "3", "--no-baselines")  # fmt: skip
    ended = rondo(*train)
    assert "Labels that training has not seen, about which the model can only be wrong: strange (1)." in " ".join(
        ended.out.split()
    )
    assert "of 5 test items are in the" in " ".join(ended.err.split())
    found = json.loads(rondo(*train, "--overwrite", "--json", "--quiet").out)
    assert found["unseen_labels"] == {"strange": 1}
    assert any("of 5 test items" in one for one in found["overlaps"])
    page = (tmp_path / "m" / "report.html").read_text()
    assert "That cannot be said here: training has not seen the labels strange" in page
