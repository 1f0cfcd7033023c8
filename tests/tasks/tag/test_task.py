"""Tagging from files: one command's way to a model folder, its page, and what is done with it."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rondo
from rondo.data.labelled import Labelled, Origin
from rondo.data.tagging import TokenFormat, convert_tags, get_scheme, read_sentences
from rondo.errors import DataError, UsageError
from rondo.evaluation.tagging import TagPredictions
from rondo.tasks.options import from_flat
from rondo.tasks.tag.objective import balanced_weights
from rondo.tasks.tag.options import TagAnswering, TagData, TagOptions, TagScoring
from rondo.tasks.tag.plain_tags import tag_confusion
from rondo.tasks.tag.tags import TagNames
from rondo.tasks.tag.task import read_parts
from tests.tasks.helpers import Crash, CrashAt, changed, same, shown, weights
from tests.tasks.tag.people import QUICK, SMALL, by_characters, people, write_columns


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_columns(tmp_path_factory.mktemp("tag") / "people.conll", people(), documents=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, file: Path) -> tuple[Path, dict[str, Any]]:
    pytest.importorskip("pycrfsuite")
    folder = tmp_path_factory.mktemp("tag") / "m"
    return folder, rondo.train("tag", file, out=folder, **SMALL)


def train(file: Path, out: Path, **options: Any) -> dict[str, Any]:
    return rondo.train("tag", file, out=out, **changed({**QUICK, "baselines": False}, **options))


def test_the_result_says_what_was_learned_and_how_well(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    assert {"seconds", "epochs", "parameters", "steps", "stopped", "seed"} <= set(result)
    assert (result["task"], result["model"], result["metric"]) == ("tag", str(folder), "span F1")
    assert (result["scored_on"], result["items"]) == ("test", 12)
    assert result["score_interval"][0] <= result["score"] <= result["score_interval"][1]
    assert set(result["baselines"]) == {"most frequent tag of each word", "CRF on hand-made features"}
    assert result["baseline_score"] == result["baselines"][result["baseline"]] == max(result["baselines"].values())
    assert set(result["strict_baselines"]) == set(result["baselines"])
    assert result["strict_score"] == result["scores"]["strict_f1"]
    assert result["score"] == pytest.approx(result["scores"]["f1"])
    assert result["valid_f1"] > 0.5
    assert 0 <= result["scores"]["calibration_error"] < 0.5
    assert 0 <= result["scores"]["span_calibration_error"] < 1
    assert result["temperature"] == 1
    assert json.loads(json.dumps(result)) == result == rondo.load(folder).model_.config["result"]


def test_the_page_says_all_that_it_should(trained: tuple[Path, dict[str, Any]]) -> None:
    page = shown(trained[0] / "report.html")
    for said in (
        "A tagger", "Span F1 beside the baselines", "most frequent tag of each word", "CRF on hand-made features",
        "Kind by kind", "PER", "LOC", "The worst mistakes", "Learning curves", "whole groups",
        "Whole groups are drawn", "Do the probabilities mean what they say?",
        "Spans are written in IOB2; the network learns BIOES", "strict F1", "What to type next", "Seed", "Processor",
        "not in the vocabulary",
    ):  # fmt: skip
        assert said in page, said
    card = (trained[0] / "README.md").read_text()
    for said in ("LOC, PER", "rondo.load", "What it cannot do", "rondo predict"):
        assert said in card


def test_where_a_baseline_wins_the_first_line_says_so(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycrfsuite")
    train(file, tmp_path / "m", baselines=True, steps=1, test_fraction=0.4)
    page = shown(tmp_path / "m" / "report.html")
    assert "A baseline wins" in page
    assert "Here are those of which the model was most sure" in page
    assert "people.conll, line" in page
    assert "“" in page


def test_the_page_of_tags_that_are_no_spans_has_scores_and_mistakes_of_each(tmp_path: Path) -> None:
    sentences, tags = people(60)
    plain = [["NAME" if "PER" in tag else "PLACE" if "LOC" in tag else "WORD" for tag in own] for own in tags]
    result = train(write_columns(tmp_path / "p.conll", (sentences, plain)), tmp_path / "m", test_fraction=0.4,
                   max_tokens=6)  # fmt: skip
    assert result["metric"] == "accuracy"
    page = shown(tmp_path / "m" / "report.html")
    for said in ("Tag by tag", "PLACE", "Confusion matrix", "tags are wrong. Here are those", "The most frequent conf",
                 "p.conll, line", "sentences are longer than 6 tokens"):  # fmt: skip
        assert said in page, said
    predictions = TagPredictions([["A", "B", "A"], ["C"]], [["A", "A", "B"], ["C"]], None)
    names, counts = tag_confusion(predictions)
    assert names == ["A", "B", "C"]
    assert counts.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_documents_are_drawn_for_the_interval(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    sentences, tags = people(30, seed=3)
    tags = [[tag.replace("LOC", "PER") if number % 3 == 0 else tag for tag in own] for number, own in enumerate(tags)]
    tagger, found = rondo.load(trained[0]), {}
    for size in (0, 3, 10):
        file = write_columns(tmp_path / f"{size}.conll", (sentences, tags), documents=size)
        found[size] = tagger.evaluate(file)
    assert len({result["score"] for result in found.values()}) == 1
    assert found[0]["score_interval"] != found[3]["score_interval"]
    assert found[10]["score_interval"] is None
    assert "3 groups" in found[10]["no_interval"]
    pairs = enumerate(zip(sentences, tags, strict=True))
    lines = [json.dumps({"tokens": s, "tags": own, "doc": n // 3}) for n, (s, own) in pairs]
    (tmp_path / "g.jsonl").write_text("\n".join(lines))
    grouped = tagger.evaluate(tmp_path / "g.jsonl", scoring=TagScoring(group_column="doc"))
    assert grouped["score_interval"] == found[3]["score_interval"]


def test_calibration_and_what_could_not_be_measured_are_on_the_page(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rondo.evaluation.feature_crf.pycrfsuite", None)
    result = train(file, tmp_path / "m", baselines=True, calibrate=True)
    assert result["temperature"] == rondo.load(tmp_path / "m").model_.temperature != 1
    assert set(result["baselines"]) == {"most frequent tag of each word"}
    (missing,) = result["missing_baselines"]
    page, card = shown(tmp_path / "m" / "report.html"), " ".join((tmp_path / "m" / "README.md").read_text().split())
    for said in ("divided by the temperature", "without calibration", missing[4:]):
        assert said in page, said
    assert "a CRF on hand-made features, was not measured" in card


def test_evaluation_has_the_same_figures(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    tagged = people(30, seed=3)
    other = write_columns(tmp_path / "other.conll", tagged)
    tagger = rondo.load(trained[0])
    result = tagger.evaluate(other)
    assert result["score"] == pytest.approx(tagger.score(*tagged))
    assert {"task", "seconds", "epochs", "parameters", "metric", "score", "score_interval", "baselines", "baseline",
            "baseline_score", "strict_score"} <= set(result)  # fmt: skip
    assert result["baselines"].keys() == trained[1]["baselines"].keys()
    (tmp_path / "new.conll").write_text("Ada B-NEW\nsaw O\n\nOslo I-LOC\n")
    strange = tagger.evaluate(tmp_path / "new.conll")
    assert strange["unseen_labels"] == {"NEW": 1}
    assert strange["scores"]["recall"] <= 0.5


def test_balanced_sentences_with_rare_kinds_count_more(file: Path, tmp_path: Path) -> None:
    sentences, tags = people()
    names = TagNames.of(
        Labelled(sentences, [tuple(own) for own in tags], None, [Origin("", 1)] * len(tags)),
        TagData(),
        get_scheme("IOB2"),
    )
    targets = [names.codes(own) for own in tags]
    of_tags = balanced_weights(targets, names)
    kind = np.array([names.kinds.index(n.split("-")[1]) if n != "O" else len(names.kinds) for n in names.names])
    every = np.concatenate(targets)
    sums = [of_tags[every[kind[every] == number]].sum() for number in range(len(names.kinds) + 1)]
    np.testing.assert_allclose(sums, len(every) / len(sums))  # each kind, and what is outside, counts alike
    plain, balanced = train(file, tmp_path / "a"), train(file, tmp_path / "b", class_weight="balanced")
    assert plain["steps"] == balanced["steps"]
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))


@pytest.mark.parametrize(("keep", "step"), [("best", 2), ("last", 4)])
def test_the_page_names_the_step_that_was_kept(file: Path, tmp_path: Path, keep: str, step: int) -> None:
    train(file, tmp_path / "m", keep=keep, evaluations=2, learning_rate=1e-9)  # the first score is as good as any
    assert f"those of step {step}." in shown(tmp_path / "m" / "report.html")


@pytest.mark.parametrize("scheme", ["IOB1", "BIOES", "BMES"])
def test_what_is_evaluated_may_be_written_in_another_scheme(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path, scheme: str
) -> None:
    sentences, tags = people(30, seed=3)
    other = [convert_tags(own, get_scheme(scheme)) for own in tags]
    tagger = rondo.load(trained[0])
    found = [
        tagger.evaluate(write_columns(tmp_path / f"{number}.conll", (sentences, own)))
        for number, own in enumerate((tags, other))
    ]
    for result in found:
        del result["seconds"]
    assert found[0] == found[1]
    assert found[0]["strict_score"] > 0.5
    assert tagger.score(sentences, other) == tagger.score(sentences, tags)
    with pytest.raises(UsageError, match=r"--scheme none does not go with this tagger, whose tags are spans in IOB2"):
        tagger.evaluate(tmp_path / "1.conll", scoring=TagScoring(scheme="none"))


def test_parts_may_be_written_in_another_scheme(file: Path, tmp_path: Path, no_report: None) -> None:
    sentences, tags = people(20, seed=9)
    same = write_columns(tmp_path / "a.conll", (sentences, tags))
    other = write_columns(tmp_path / "b.conll", (sentences, [convert_tags(own, get_scheme("BMES")) for own in tags]))
    found = [train(file, tmp_path / f"m{one.stem}", valid=str(one), test=str(one)) for one in (same, other)]
    assert found[0]["scores"] == found[1]["scores"]
    assert found[0]["valid_loss"] == found[1]["valid_loss"]


def test_a_typo_among_tags_is_an_error_with_its_line(
    file: Path, trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    lines = file.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.endswith("B-PER"))
    lines[place] = lines[place].replace("B-PER", "X-PER")
    (tmp_path / "typo.conll").write_text("\n".join(lines))
    said = rf"typo\.conll, line {place + 1}: 'X-PER' is no tag of a span"
    with pytest.raises(DataError, match=said + r".*--broken mend.*--scheme none"):
        train(tmp_path / "typo.conll", tmp_path / "m")
    with pytest.raises(DataError, match=said):
        rondo.load(trained[0]).evaluate(tmp_path / "typo.conll")
    assert train(tmp_path / "typo.conll", tmp_path / "m", broken="mend")["metric"] == "span F1"
    assert train(tmp_path / "typo.conll", tmp_path / "n", scheme="none")["metric"] == "accuracy"


def test_what_is_read_is_written_back_with_other_tags(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    sentences, tags = people(25, seed=4)
    path = write_columns(tmp_path / "ask.conll", (sentences, [["O"] * len(own) for own in tags]), documents=4)
    tagger = rondo.load(trained[0])
    written = "".join(answer.line + "\n" for answer in tagger.answers(path))
    expected = write_columns(tmp_path / "expected.conll", (sentences, tagger.predict(sentences)), documents=4)
    assert written == expected.read_text()
    one_by_one = "".join(answer.line + "\n" for answer in tagger.answers(path, at_once=1))
    assert one_by_one == written
    beside = [answer.line for answer in tagger.answers(path, answering=TagAnswering(append=True))]
    assert all(len(line.split()) == 4 for block in beside for line in block.splitlines())


def test_lines_of_text_are_tagged_line_by_line(trained: tuple[Path, dict[str, Any]]) -> None:
    tagger = rondo.load(trained[0])
    text = "Ada Noether saw Oslo.\n\nthe a went\n"
    said = tagger.predict([["Ada", "Noether", "saw", "Oslo", "."], [], ["the", "a", "went"]])
    for given in ({}, {"format": "lines"}):
        answered = tagger.answers(io.StringIO(text), tagger.reading(**given))
        assert [answer.line for answer in answered] == [" ".join(tags) for tags in said]
    with pytest.raises(DataError, match="--format lines"):
        list(tagger.answers(io.StringIO("Ada came\nthen went\n")))


def test_empty_lines_alone_are_answered_by_empty_lines(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    tagger = rondo.load(trained[0])
    (tmp_path / "blank.txt").write_text("\n \n\n")
    assert [answer.line for answer in tagger.answers(tmp_path / "blank.txt")] == ["", "", ""]
    details = [answer.values for answer in tagger.answers(io.StringIO("\n"), details=True)]
    assert details == [{"text": "", "tokens": [], "tags": [], "spans": []}]


def test_columns_that_commas_part_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sentence_id,token,tag\n1,Ada,B-PER\n1,came,O\n2,Kurt,B-PER\n")
    with pytest.raises(DataError, match=r"a\.csv: .*not commas.*rondo\.Tagger as a data frame"):
        rondo.read_sentences(path)
    path.write_text("Ada\tB-PER\n")
    assert [own.tokens for own in rondo.read_sentences(path)] == [("Ada",)]
    path.write_text("Ada B-PER\n")
    assert [own.tokens for own in rondo.read_sentences(path, rondo.TokenFormat(format="columns"))] == [("Ada",)]


def test_lines_without_blanks_are_read_by_a_tagger_of_characters() -> None:
    sentences, tags = by_characters(people(30))
    tagger = rondo.Tagger(**QUICK).fit(sentences, tags)
    text = "".join("".join(own) + "\n" for own in sentences[:5])
    answered = [answer.values for answer in tagger.answers(io.StringIO(text), details=True)]
    assert [values["tokens"] for values in answered] == sentences[:5]
    assert [values["tags"] for values in answered] == tagger.predict(sentences[:5])


def test_json_lines_come_back_as_json_lines(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    tagger = rondo.load(trained[0])
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 7, "text": "Ada Noether saw Oslo."}\n{"id": 8, "text": ""}\n')
    lines = [json.loads(answer.line) for answer in tagger.answers(path)]
    (tags, _) = tagger.predict([["Ada", "Noether", "saw", "Oslo", "."], []])
    assert [line["id"] for line in lines] == [7, 8]
    assert all(lines[0]["text"][s["start"] : s["end"]] == s["text"] for s in lines[0]["spans"])
    assert len(lines[0]["spans"]) == sum(tag.startswith("B") for tag in tags)
    details = [answer.values for answer in tagger.answers(path, details=True, answering=TagAnswering(n_best=2))]
    assert details[0]["tags"] == tags
    assert [s["text"] for s in details[0]["spans"]] == [s["text"] for s in lines[0]["spans"]]
    assert all(0 < s["probability"] <= 1 for s in details[0]["spans"])
    assert len(details[0]["n_best"]) == 2
    assert details[1]["tokens"] == []


def test_a_stream_of_any_length_needs_constant_memory(
    trained: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rondo.data.pools.POOL_ITEMS", 50)
    monkeypatch.setattr("rondo.tasks.tag.encoder.REMEMBERED", 100)
    tagger = rondo.load(trained[0])

    def lines(count: int) -> Iterator[str]:
        for number in range(count):
            yield from ("Ada x O\n", f"w{number} x O\n", "\n")

    def peak(count: int) -> int:
        tracemalloc.start()
        found = sum(1 for _ in tagger.answers(lines(count)))  # type: ignore[arg-type]
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == 2 * count
        return most

    peak(60)
    assert peak(1200) < 1.3 * peak(200) + 200_000


def test_training_goes_on_where_it_was_killed(file: Path, tmp_path: Path, no_report: None) -> None:
    train(file, tmp_path / "whole", steps=6, evaluations=3)
    more = {"checkpoint_steps": 1, "steps": 6, "evaluations": 3}
    with pytest.raises(Crash):
        rondo.train("tag", file, out=tmp_path / "killed", progress=CrashAt(4),
                    **{**QUICK, "baselines": False, **more})  # fmt: skip
    train(file, tmp_path / "killed", **more, resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))


def test_parts_and_columns_are_named(file: Path, tmp_path: Path, no_report: None) -> None:
    sentences, tags = people(20, seed=9)
    rows = zip(sentences, tags, strict=True)
    text = "tag\tword\n" + "\n".join("".join(f"{g}\t{t}\n" for t, g in zip(s, own, strict=True)) for s, own in rows)
    with gzip.open(tmp_path / "o.tsv.gz", "wt") as packed:
        packed.write(text)
    result = train(tmp_path / "o.tsv.gz", tmp_path / "m", valid=str(tmp_path / "o.tsv.gz"), format="columns",
                   test=str(tmp_path / "o.tsv.gz"), token_column="word", tag_column="tag")  # fmt: skip
    assert result["items"] == 20
    tagger = rondo.load(tmp_path / "m")
    assert tagger.reading() == TokenFormat(token_column="word", tag_column="tag", separator="auto", comments="auto")
    said = "".join(answer.line + "\n" for answer in tagger.answers(io.StringIO(text)))
    assert said.splitlines()[0] == "tag\tword"
    assert [line.split("\t")[1] for line in said.splitlines() if line] == [
        line.split("\t")[1] for line in text.splitlines() if line
    ]


def test_tags_in_a_file_of_their_own(tmp_path: Path, no_report: None) -> None:
    sentences, tags = people(30)
    (tmp_path / "s.txt").write_text("".join(" ".join(own) + "\n" for own in sentences))
    (tmp_path / "t.txt").write_text("".join(" ".join(own) + "\n" for own in tags))
    assert train(tmp_path / "s.txt", tmp_path / "m", labels=str(tmp_path / "t.txt"))["items"] == 3
    tagger = rondo.load(tmp_path / "m")
    result = tagger.evaluate(tmp_path / "s.txt", scoring=TagScoring(labels=str(tmp_path / "t.txt")))
    assert (result["items"], result["score"]) == (30, tagger.score(sentences, tags))
    parts = {name: str(tmp_path / file) for name, file in
             (("valid", "s.txt"), ("valid_labels", "t.txt"), ("test", "s.txt"), ("test_labels", "t.txt"))}  # fmt: skip
    assert train(tmp_path / "s.txt", tmp_path / "p", labels=str(tmp_path / "t.txt"), **parts)["items"] == 30
    with pytest.raises(UsageError, match="--test-labels goes with --test"):
        train(tmp_path / "s.txt", tmp_path / "q", test_labels="t.txt")
    (tmp_path / "t.txt").write_text("".join(" ".join(own) + "\n" for own in tags[:-1]))
    with pytest.raises(DataError, match=r"t\.txt ends after 29 lines.*do not match"):
        train(tmp_path / "s.txt", tmp_path / "n", labels=str(tmp_path / "t.txt"))
    (tmp_path / "t.txt").write_text("O\n" * 30)
    with pytest.raises(DataError, match=r"s\.txt, line \d+ and .*tokens have 1 tags"):
        train(tmp_path / "s.txt", tmp_path / "n", labels=str(tmp_path / "t.txt"))


def test_a_column_keeps_together_what_belongs_together(tmp_path: Path) -> None:
    sentences, tags = people(60)
    path = tmp_path / "d.jsonl"
    lines = [{"tokens": s, "tags": t, "doc": n // 6} for n, (s, t) in enumerate(zip(sentences, tags, strict=True))]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    parts, _ = read_parts([path], from_flat(TagOptions, {"group_column": "doc", "test_fraction": 0.3}))
    assert parts.test is not None
    groups = [set(part.groups or []) for part in (parts.train, parts.valid, parts.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10
    plain, _ = read_parts([path], from_flat(TagOptions, {"test_fraction": 0.3}))
    assert plain.train.groups is None
    assert plain.test is not None
    assert plain.test.items != parts.test.items


def test_a_scheme_that_is_broken_is_said_with_its_line(tmp_path: Path, no_report: None) -> None:
    path = tmp_path / "b.conll"
    path.write_text("Ada B-PER\nsaw E-PER\n\nthe S-PER\nBohr M-PER\nOslo E-PER\n\n" * 3)
    with pytest.raises(DataError, match=r"b\.conll, line 5: tag 'M-PER' after 'S-PER', but in BMES"):
        train(path, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    assert train(path, tmp_path / "m", broken="mend")["items"] == 1


def test_vectors_are_used_and_their_coverage_reported(file: Path, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("ada 1 2 3\noslo -1 0 2\nnowhere 0 0 1\n")
    train(file, tmp_path / "m", vectors=str(tmp_path / "v.txt"), embedding=3, freeze_vectors=True)
    tagger = rondo.load(tmp_path / "m")
    number = tagger.model_.encoder.words.index("ada") + 1
    assert tagger.model_.network.input.words.weight[number].tolist() == [1, 2, 3]
    assert "they cover" in shown(tmp_path / "m" / "report.html")
    assert tagger.model_.config["vectors"]["width"] == 3
    with pytest.raises(UsageError, match="--freeze-vectors is about pretrained vectors"):
        train(file, tmp_path / "n", freeze_vectors=True)
    with pytest.raises(UsageError, match="--embedding 12 does not fit pretrained vectors, which are 3 wide"):
        train(file, tmp_path / "n", vectors=str(tmp_path / "v.txt"))


def test_an_ensemble_answers_together_and_says_so(file: Path, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("ada 1 2 3\noslo -1 0 2\n")
    result = train(file, tmp_path / "m", ensemble=2, test_fraction=0.4, vectors=str(tmp_path / "v.txt"), embedding=3)
    tagger = rondo.load(tmp_path / "m")
    number = tagger.model_.encoder.words.index("ada") + 1
    members = tagger.model_.network.members
    known = [member.input.words.weight[number] for member in members]
    assert len(known) == 2
    assert all((vector - torch.tensor([1.0, 2, 3])).abs().max() < 0.5 for vector in known)
    assert result["parameters"] > 2 * sum(weight.numel() for weight in members[0].parameters())
    page = shown(tmp_path / "m" / "report.html")
    assert "2 networks of 1 x" in page
    assert "Here are those of which the model was most sure" in page
    (reading,) = tagger.predict_n_best([["Ada", "saw", "Oslo"]], 1)
    assert reading[0].tags == tagger.predict([["Ada", "saw", "Oslo"]])[0]


def test_without_a_test_part_the_page_says_what_that_means(file: Path, tmp_path: Path) -> None:
    result = train(file, tmp_path / "m", test_fraction=0.0)
    assert result["scored_on"] == "validation"
    assert "That flatters the model a little" in shown(tmp_path / "m" / "report.html")
    assert len(read_sentences(file)) == 120
