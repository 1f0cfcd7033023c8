"""From files of poems to a model that writes them: split, trained, saved, judged."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rondo
from rondo.errors import DataError, ModelError, UsageError
from rondo.evaluation.ngram import KneserNey
from rondo.tasks.poetry.corpus import Poem, read_corpus
from rondo.tasks.poetry.evaluate import PoemSet, evaluate_poems, has_format
from rondo.tasks.poetry.forms import FIXED_FORMS, OTHER, get_form, split_lines
from rondo.tasks.poetry.memory import LineMemory
from rondo.tasks.poetry.model import FREE, HELD, HUMAN, PoetryModel
from rondo.tasks.poetry.options import PoetryData
from rondo.tasks.poetry.parts import pieces_of, read_parts
from rondo.tasks.poetry.scoring import baseline_nats, network_nats
from rondo.tasks.poetry.vocabulary import PoemVocabulary
from rondo.tasks.text.model import TextModel
from tests.tasks.helpers import Crash, CrashAt, changed, same, shown, weights
from tests.tasks.poetry.verse import characters, poems, write

SMALL: dict[str, Any] = {
    "hidden": 16, "layers": 1, "batch_tokens": 400, "steps": 4, "warmup_steps": 0, "min_count": 1,
}  # fmt: skip


def train(path: Path, out: Path, **options: Any) -> dict[str, Any]:
    return rondo.train("poetry", path, out=out, **changed(SMALL, **options))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    long = "，".join(line for poem in poems(20, seed=9) for line in split_lines(poem)) + "。"
    return write(tmp_path_factory.mktemp("verse") / "poems.jsonl", [*poems(160), long])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, file: Path) -> tuple[Path, dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rondo.tasks.poetry.report.REPORT_SAMPLES", 8)
        folder = tmp_path_factory.mktemp("poet") / "m"
        return folder, train(file, folder, steps=60, learning_rate=2e-2)


@pytest.fixture(scope="module")
def poet(trained: tuple[Path, dict[str, Any]]) -> PoetryModel:
    return rondo.load(trained[0])


# ------------------------------------------------------------------------------- training and loading


def naive_nats(model: PoetryModel, encoded: list[np.ndarray]) -> float:
    """Each poem for itself, one token after the other."""
    total = 0.0
    with torch.no_grad():
        for ids in encoded:
            state = None
            for token, following in itertools.pairwise(ids.tolist()):
                logits, state = model.network.step(torch.tensor([token]), state)
                total -= torch.log_softmax(logits[0].double(), 0)[following].item()
    return total


def test_the_folder_is_the_model_and_the_result_its_score(
    trained: tuple[Path, dict[str, Any]], poet: PoetryModel, file: Path
) -> None:
    folder, result = trained
    _, parts = read_parts([file], PoetryData(min_count=1), seed=0)
    encoded = [poet.vocabulary.encode_poem(poem) for poem in parts.valid]
    tokens = sum(len(ids) - 1 for ids in encoded)

    scores = poet.score(parts.valid)
    assert scores.to_dict() == result["valid"]  # the same bits as when it was trained
    assert (scores.nats, scores.baseline_nats) == (result["valid_loss"], result["baseline_loss"])
    assert result["valid_loss"] == pytest.approx(naive_nats(poet, encoded) / tokens, rel=1e-5)
    assert result["perplexity"] == pytest.approx(math.exp(result["valid_loss"]))
    assert scores.tokens == tokens
    assert json.loads(json.dumps(result)) == result == poet.config["result"]
    assert {"task", "model", "seconds", "epochs", "parameters", "valid_loss", "baseline_loss"} <= set(result)
    assert (result["task"], result["unit"]) == ("poetry", "token")
    assert result["poems"] == {"training": len(parts.train), "validation": len(parts.valid), "test": 0}
    assert result["corpus"]["poems"] == 161
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "baseline.npz", "README.md", "report.html", "log.jsonl",
        "checkpoint.safetensors", "training.json", "vocabulary.json", "training-lines.safetensors",
    }  # fmt: skip


def test_page_and_card_stand_beside_human_poems(trained: tuple[Path, dict[str, Any]]) -> None:
    page, card = shown(trained[0] / "report.html"), (trained[0] / "README.md").read_text()
    for said in ("Poems", "Beside human poems", FREE, HELD, HUMAN, "Loss beside the baseline", "Learning curves",
                 "lines copied from the training part", "rondo generate", "五言絕句", "Kneser-Ney, order"):  # fmt: skip
        assert said in page
    for said in ("poems.jsonl", "--acrostic", "rondo.load(", "validation loss"):
        assert said in card


def test_the_same_seed_gives_the_same_model(tmp_path: Path, file: Path, no_report: None) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(file, tmp_path / name, seed=seed)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize(
    "options",
    [
        {"min_count": 40}, {"max_tokens": 40}, {"batch_tokens": 700}, {"valid_fraction": 0.3}, {"embedding": 12},
        {"tied": True}, {"output_dropout": 0.0}, {"layers": 2}, {"hidden": 12}, {"cell": "min_gru"},
        {"learning_rate": 1e-3}, {"warmup_steps": 3}, {"weight_decay": 0.5}, {"recurrent_dropout": 0.3},
        {"activation_reg": 2.0}, {"place": False},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_changes_what_is_learned(
    tmp_path: Path, file: Path, no_report: None, options: dict[str, Any]
) -> None:
    base = {"baseline_order": 0, "embedding": 16, "tied": False}
    train(file, tmp_path / "a", **base)
    train(file, tmp_path / "b", **{**base, **options})
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_network_that_is_told_its_place_holds_the_format_by_itself(
    tmp_path: Path, file: Path, no_report: None
) -> None:
    right = {}
    for place in (True, False):
        folder = tmp_path / str(place)
        train(file, folder, place=place, steps=200, learning_rate=1e-2, hidden=64, layers=2, baseline_order=0)
        samples = rondo.load(folder).sample_set(samples=100, held=False, temperature=1.0, seed=0)
        right[place] = evaluate_poems(samples).format_right.count
    assert right[True] > right[False] + 25


def test_layer_dropout_counts_with_layers(tmp_path: Path, file: Path, no_report: None) -> None:
    for name, p in (("a", 0.0), ("b", 0.5)):
        train(file, tmp_path / name, baseline_order=0, layers=2, layer_dropout=p)
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_the_baseline_is_as_asked(tmp_path: Path, file: Path, no_report: None) -> None:
    one = train(file, tmp_path / "a", baseline_order=1)
    none = train(file, tmp_path / "b", baseline_order=0)
    assert one["baseline"] == "Kneser-Ney, order 1"
    assert (none["baseline"], none["baseline_loss"]) == (None, None)


def test_a_training_that_broke_off_ends_with_the_same_weights(tmp_path: Path, file: Path, no_report: None) -> None:
    options = {"steps": 27, "eval_every": 5, "checkpoint_steps": 11, "layers": 2, "baseline_order": 0}
    train(file, tmp_path / "whole", **options)
    with pytest.raises(Crash):
        rondo.train("poetry", file, out=tmp_path / "m", progress=CrashAt(20), **changed(SMALL, **options))

    train(file, tmp_path / "m", resume=True, **options)

    assert same(weights(tmp_path / "m"), weights(tmp_path / "whole"))


def test_a_cell_of_ones_own_is_in_the_model(tmp_path: Path, file: Path, no_report: None) -> None:
    from tests.tasks.test_text_task import OWN_CELL

    (tmp_path / "my_cells.py").write_text(OWN_CELL)
    train(file, tmp_path / "m", cell=f"{tmp_path}/my_cells.py:leaky")
    (tmp_path / "my_cells.py").unlink()
    assert rondo.load(tmp_path / "m").network.recurrent.cell.name == "leaky"


def test_a_few_poems_are_enough_to_train_on(tmp_path: Path) -> None:
    """Their vocabulary has not the rhymes to hold a poem to; the page says so in place of failing."""
    rng, oblique = np.random.default_rng(0), list(characters()[60:])
    lines = ["".join(rng.choice(oblique, 5)) for _ in range(24)]
    few = write(tmp_path / "few.jsonl", [get_form("5x4").punctuate(lines[i : i + 4]) for i in range(0, 24, 4)])
    result = train(few, tmp_path / "m", batch_tokens=200)
    model = rondo.load(tmp_path / "m")

    assert not model.can_hold()
    assert "its vocabulary is too small to hold them" in shown(tmp_path / "m" / "report.html")
    assert result["poems"]["training"] == 5
    evaluated = model.evaluate(few, samples=4)
    assert set(evaluated["verse"]) == {FREE, HUMAN}
    with pytest.raises(UsageError, match="cannot be held"):
        model.generate("七言律詩")


def test_options_out_of_range_are_refused(tmp_path: Path, file: Path) -> None:
    for options, said in (
        ({"max_tokens": 3}, "--max-tokens is at least 16"),
        ({"batch_tokens": 50}, "no room for the longest"),
        ({"valid_fraction": 0.0}, "--valid-fraction leaves no poem"),
        ({"valid_fraction": 1.0}, "less than 1"),
    ):
        with pytest.raises(UsageError, match=said):
            train(file, tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()


def test_a_model_without_the_place_is_read_and_resumed_as_one(tmp_path: Path, file: Path, no_report: None) -> None:
    train(file, tmp_path / "m", place=False)
    model = rondo.load(tmp_path / "m")
    assert model.network.place is None
    assert "place" not in model.config["network"]
    assert len(model.generate("5x4", samples=2, seed=0)) == 2
    with pytest.raises(UsageError, match="--place was off, is now on"):
        train(file, tmp_path / "m", resume=True)


# ------------------------------------------------------------------------------------ what is held out


def joined(a: str, b: str) -> str:
    """A poem with half the lines of each."""
    first, second = split_lines(a), split_lines(b)
    return get_form("5x4").punctuate([*first[:2], *second[2:4]])


def test_parts_share_no_half_poem_whatever_the_files(tmp_path: Path) -> None:
    quatrains = [poem for poem in poems(160) if len(poem) == 24]
    test = write(tmp_path / "test.jsonl", quatrains[:3])
    valid = write(tmp_path / "valid.jsonl", [quatrains[0], joined(quatrains[1], quatrains[10]), *quatrains[4:7]])
    train = write(
        tmp_path / "train.jsonl",
        [quatrains[2], joined(quatrains[0], quatrains[20]), joined(quatrains[5], quatrains[21]), *quatrains[22:30]],
    )
    options = PoetryData(valid=str(valid), test=str(test))

    corpus, split = read_parts([train], options, seed=0)

    assert {poem.text for poem in split.test} == set(quatrains[:3])
    assert {poem.text for poem in split.valid} == set(quatrains[4:7])
    assert {poem.text for poem in split.train} == set(quatrains[22:30])
    assert corpus.counts.poems == 11
    only_test = read_parts([train], PoetryData(test=str(test)), seed=0)[1]
    kept = {poem.text for poem in (*only_test.train, *only_test.valid)}
    assert kept == {joined(quatrains[5], quatrains[21]), *quatrains[22:30]}
    assert only_test.valid
    with pytest.raises(UsageError, match=r"--valid: .* none is left"):
        read_parts([train], PoetryData(valid=str(test), test=str(test)), seed=0)


def test_a_test_file_is_scored_once(tmp_path: Path, file: Path, no_report: None) -> None:
    test = write(tmp_path / "test.jsonl", poems(12, seed=5))
    result = train(file, tmp_path / "m", test=test)
    model = rondo.load(tmp_path / "m")
    assert result["test_loss"] == model.score(read_corpus([test]).poems).nats
    assert result["poems"]["test"] == 12
    assert "test_baseline_loss" in result


@pytest.mark.parametrize("max_tokens", [16, 24, 40, 129, 130, 131])
def test_pieces_of_a_long_poem_hold_each_token_once_and_end_with_a_line(max_tokens: int) -> None:
    poem = next(poem for poem in poems(160) if len(poem) == 64)
    long = Poem(title="", author="", text=poem * 2)
    vocabulary = PoemVocabulary.build([long], min_count=1)
    ids = vocabulary.encode_poem(long)
    assert len(ids) == 130

    pieces = list(pieces_of(ids, vocabulary, max_tokens))

    assert all(len(piece) <= max_tokens for piece in pieces)
    assert all(piece[0] == vocabulary.form_token(OTHER) for piece in pieces)
    assert np.concatenate([piece[1:] for piece in pieces]).tolist() == ids[1:].tolist()
    assert all(piece[-1] in (vocabulary.comma, vocabulary.stop) for piece in pieces[:-1])
    assert len(pieces[-1]) > 2
    assert (len(pieces) == 1) == (max_tokens >= 130)


def test_a_poem_without_marks_is_cut_all_the_same() -> None:
    vocabulary = PoemVocabulary.build([Poem(title="", author="", text="春" * 60 + "。")], min_count=1)
    ids = vocabulary.encode_poem(Poem(title="", author="", text="春" * 60 + "。"))
    pieces = list(pieces_of(ids, vocabulary, 16))
    assert sum(len(piece) - 1 for piece in pieces) == len(ids) - 1


# ---------------------------------------------------------------------------------------------- scoring


def test_nats_are_those_of_a_loop_over_poems(poet: PoetryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    encoded = [poet.vocabulary.encode_poem(poem) for poem in read_poems(poems(24, seed=3))]
    encoded = [encoded[i] for i in rng.permutation(24)]
    wanted = naive_nats(poet, encoded)
    poet.network.train()

    for tokens in (1, 130, 16_384):
        monkeypatch.setattr("rondo.tasks.poetry.scoring.SCORED_TOKENS", tokens)
        assert network_nats(poet.network, encoded) == pytest.approx(wanted, rel=1e-5)

    assert poet.network.training
    poet.network.eval()


def test_the_baseline_predicts_the_same_tokens(poet: PoetryModel) -> None:
    encoded = [poet.vocabulary.encode_poem(poem) for poem in read_poems(poems(9, seed=3))]
    baseline = KneserNey.fit(np.concatenate(encoded), order=1, vocabulary_size=poet.vocabulary.size)
    alone = sum(float(baseline.nats(ids)[1:].sum()) for ids in encoded)  # of order 1, nothing before counts
    assert baseline_nats(baseline, encoded) == pytest.approx(alone)
    assert poet.baseline is not None
    context = np.concatenate(encoded)
    costs = poet.baseline.nats(context)
    forms = np.isin(context, [poet.vocabulary.form_token(form) for form in FIXED_FORMS])
    assert baseline_nats(poet.baseline, encoded) == pytest.approx(float(costs[~forms].sum()))


def test_scores_count_unknown_characters(poet: PoetryModel) -> None:
    strange = Poem(title="", author="", text="鼠鼠鼠鼠鼠，" + characters()[:5] + "。")
    assert poet.score([strange]).unknown == 5
    with pytest.raises(DataError, match="no poems to score"):
        poet.score([])


def read_poems(texts: tuple[str, ...]) -> list[Poem]:
    return [Poem(title="", author="", text=text) for text in texts]


# ---------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("form", [form.name for form in FIXED_FORMS])
def test_what_is_held_keeps_every_rule(poet: PoetryModel, form: str) -> None:
    texts = poet.generate(form, samples=60, temperature=1.3, seed=0)
    scores = evaluate_poems(PoemSet(texts, [get_form(form)] * 60))

    assert len(set(texts)) > 50
    for name in ("format_right", "rhyme_right", "tone_right", "all_right"):
        assert getattr(scores, name).rate == 1.0
    assert (scores.rhyme_right.of, scores.tone_right.of) == (60, 60)
    assert scores.three_level_endings.count == scores.lone_levels.count == scores.repeated_rhymes.count == 0
    assert poet.notes == []


def test_what_is_free_ends_and_need_not_keep_the_rules(poet: PoetryModel) -> None:
    texts = poet.generate("七言絕句", samples=40, hold_form=False, temperature=1.5, seed=0)
    assert all(0 < len(text) <= 200 for text in texts)
    assert evaluate_poems(PoemSet(texts, [get_form("7x4")] * 40)).format_right.rate != 1.0
    other = poet.generate("other", samples=5, seed=1)
    assert not any("<" in text or "□" in text for text in [*texts, *other])


def test_seeds_temperature_and_limits_act(poet: PoetryModel) -> None:
    plain = poet.generate(samples=3, seed=1)
    assert poet.generate(samples=3, seed=1) == plain
    assert len(set(plain)) == 3
    for options in ({"seed": 2}, {"temperature": 0.2}, {"top_k": 2}, {"top_p": 0.2}):
        assert poet.generate(**{"samples": 3, "seed": 1, **options}) != plain
    free = {"form": "other", "samples": 3, "seed": 1, "temperature": 1.0}
    assert poet.generate(**free, repetition_penalty=3.0) != poet.generate(**free)
    greedy = poet.generate(samples=2, temperature=0.0)
    assert greedy[0] == greedy[1] == poet.generate(top_k=1, seed=9)[0]
    assert len(poet.generate(samples=251, form="5x4", seed=0)) == 251  # more than are written side by side
    for wrong in ({"samples": 0}, {"temperature": -1.0}, {"seed": -1}, {"form": "sonnet"}, {"script": "latin"}):
        with pytest.raises(UsageError):
            poet.generate(**wrong)


def test_what_was_asked_for_is_in_the_poem(poet: PoetryModel) -> None:
    heads = characters()[0] + characters()[40] + characters()[80] + characters()[90]
    poem = poet.generate("7x4", acrostic=heads, seed=0)[0]
    assert "".join(line[0] for line in split_lines(poem)) == heads
    first = split_lines(poet.generate("7x4", seed=3)[0])[0]
    assert split_lines(poet.generate("7x4", first_line=first, seed=4)[0])[0] == first
    prompted = poet.generate("7x4", prompt=first[:3], seed=5)[0]
    assert prompted.startswith(first[:3])
    assert prompted != poet.generate("7x4", prompt=first[:2], seed=5)[0]
    free = poet.generate("other", prompt=first[:3], acrostic=first[0] + heads[1], seed=6)[0]
    assert free.startswith(first[:3])


@pytest.mark.parametrize("form", ["7x4", "other"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_characters_that_the_model_does_not_know_are_kept_and_noted(
    poet: PoetryModel, form: str, temperature: float
) -> None:
    assert "鼠" not in poet.vocabulary
    poems = poet.generate(form, prompt="鼠", temperature=temperature, samples=2, seed=0)
    assert all(poem.startswith("鼠") and poem.count("鼠") == 1 for poem in poems)
    assert any("鼠" in note and "not among the characters" in note for note in poet.notes)
    heads = poet.generate(form, acrostic="鼠" + characters()[:3], temperature=temperature, seed=0)[0]
    assert heads.startswith("鼠")
    poet.generate("7x4", seed=0)
    assert poet.notes == []


def test_what_contradicts_the_rules_is_kept_and_noted(poet: PoetryModel) -> None:
    level = "".join(characters()[:60])
    line = level[0] + level[1] + level[2] + level[3] + level[4]
    poem = poet.generate("5x4", first_line=line, seed=0)[0]
    assert poem.startswith(line)
    assert any("does not fit the tone pattern" in note or "three level" in note for note in poet.notes)
    with pytest.raises(UsageError, match="has 8 characters, a line of 五言絕句 has 5"):
        poet.generate("5x4", first_line=level[:8])
    with pytest.raises(UsageError, match="the prompt has 5 lines"):
        poet.generate("5x4", prompt=level[:21])
    with pytest.raises(UsageError, match=r"the acrostic .* has 5 characters"):
        poet.generate("5x4", acrostic=level[:5])


def test_who_asks_in_simplified_characters_is_answered_in_them(poet: PoetryModel) -> None:
    def asked(**request: Any) -> str:
        return "".join(poet.generate(samples=3, seed=0, **request))

    traditional = asked(form="7x4")
    assert asked(form="七言绝句") == asked(form="7x4", script="simplified") != traditional
    assert asked(form="七言絕句") == traditional == asked(form="七言绝句", script="traditional")
    assert asked(prompt="鸟").startswith("鸟")  # though the form's name, left as it is, is traditional
    either = asked(acrostic="春山")  # characters of both scripts, and no form: simplified
    assert either == asked(acrostic="春山", form="7x4") == asked(acrostic="春山", script="simplified")
    assert asked(acrostic="春山", form="七言絕句") == asked(acrostic="春山", script="traditional") != either
    assert asked(prompt="鳥", form="七言绝句").startswith("鳥")
    assert asked(prompt="鸟", script="traditional").startswith("鳥")


# --------------------------------------------------------------------------------------------- judging


def test_evaluation_leaves_out_the_poems_it_knows(
    poet: PoetryModel, trained: tuple[Path, dict[str, Any]], file: Path, tmp_path: Path
) -> None:
    _, parts = read_parts([file], PoetryData(min_count=1), seed=0)
    said: list[str] = []
    found = poet.evaluate(file, samples=8, seed=0, say=said.append)

    assert said[0] == f"poems {FREE}: 0 of 8, next 2 五言絕句"
    assert (len(said), said[-1]) == (8, f"poems {HELD}: 6 of 8, next 2 七言律詩")
    assert found["known_poems_left_out"] == len(parts.train)
    assert found["poems"] == len(parts.valid)
    assert found["nats"] == pytest.approx(trained[1]["valid_loss"])
    assert found["baseline_nats"] == pytest.approx(trained[1]["baseline_loss"])
    assert list(found["verse"]) == [FREE, HELD, HUMAN]
    assert found["verse"][HELD]["all_right"] == found["verse"][HUMAN]["all_right"] == 1.0
    assert found["verse"][HUMAN]["copied_lines"] == 0.0
    assert found["verse"][FREE]["poems"] == found["verse"][HELD]["poems"] == 8
    assert found["columns"] == ["", FREE, HELD, HUMAN]
    assert json.loads(json.dumps(found)) == found
    again = poet.evaluate(file, samples=8, seed=0)
    assert again["verse"] == found["verse"]
    assert poet.evaluate(file, samples=8, seed=1)["verse"] != found["verse"]
    assert poet.evaluate(file, samples=8, seed=0, temperature=0.1)["verse"] != found["verse"]
    one = poet.evaluate(file, samples=8, form="wulv")["verse"]
    assert one[HUMAN]["poems"] == sum(poem.form.short == "wulv" for poem in parts.valid)

    known = write(tmp_path / "known.jsonl", [poem.text for poem in parts.train[:5]])
    with pytest.raises(DataError, match="all 5 poems stand in the model's training part"):
        poet.evaluate(known)


def test_samples_are_shared_out_over_the_forms(poet: PoetryModel) -> None:
    found = poet.sample_set(samples=10, held=True, temperature=1.0, seed=0)
    assert [form.short for form in found.forms if form] == ["wujue"] * 3 + ["qijue"] * 3 + ["wulv"] * 2 + ["qilv"] * 2
    assert all(form and has_format(text, form) for text, form in zip(found.texts, found.forms, strict=True))
    assert poet.sample_set(samples=2, held=False, temperature=1.0, seed=0).texts[0]


def test_the_memory_knows_lines_in_any_variant(tmp_path: Path) -> None:
    memory = LineMemory.of(["白雲依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"])
    for line in ("白雲依山盡", "白云依山尽", "更上一層樓", "更上一层楼"):
        assert line in memory
    for line in ("白雲依山", "白雲依山盡，", "", 5):
        assert line not in memory
    assert memory.share_of("白云依山尽，長河落日圓。") == 0.5
    assert memory.share_of("") == 0.0

    memory.save(tmp_path)
    again = LineMemory.load(tmp_path)
    assert np.array_equal(again.hashes, memory.hashes)
    assert len(again.hashes) == 4
    assert "黃河入海流" in again
    assert len(LineMemory.of([]).hashes) == 0
    from rondo.storage import write_tensors

    write_tensors(tmp_path / "training-lines.safetensors", {"other": torch.zeros(1)})
    with pytest.raises(ModelError, match="does not hold 'hashes'"):
        LineMemory.load(tmp_path)


def test_a_folder_of_text_is_no_poet(trained: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(ModelError):
        TextModel.load(trained[0])
