"""A model that writes: as it should, the same again, and without end."""

from __future__ import annotations

import gc
import itertools
import math
from pathlib import Path

import pytest
import torch

import rondo
from rondo.decoding import Sampling
from rondo.errors import DataError, UsageError
from rondo.models.stepper import TokenStepper
from rondo.tasks.text.model import TextModel

LEVELS = ("characters", "words", "pieces")


def greedy(model: TextModel, prompt: str, length: int) -> str:
    """The likeliest token each time, <unk> left out, by the plainest loop."""
    ids = model.tokenizer.encode(prompt).tolist() or [model.config["start_token"]]
    state, made = None, []
    with torch.no_grad():
        for token in ids:
            logits, state = model.network.step(torch.tensor([token]), state)
        for _ in range(length):
            order = logits[0].argsort(descending=True).tolist()
            made.append(next(token for token in order if token != model.tokenizer.unknown))
            logits, state = model.network.step(torch.tensor(made[-1:]), state)
    return model.tokenizer.decode(made)


@pytest.mark.parametrize("prompt", ["", "then rondo ", "time\n"])
@pytest.mark.parametrize("level", LEVELS)
def test_temperature_zero_is_greedy_after_the_prompt(models: dict[str, Path], level: str, prompt: str) -> None:
    model = rondo.load(models[level])
    wanted = prompt + greedy(model, prompt, 40)

    assert model.generate(prompt, length=40, temperature=0.0) == [wanted]
    assert model.generate(prompt, length=40, top_k=1, seed=3) == [wanted]
    assert model.generate(prompt, length=40, top_p=1e-9, seed=4) == [wanted]


def test_the_prompt_decides_how_it_goes_on(writer: TextModel) -> None:
    texts = [writer.generate(prompt, length=30, seed=1)[0][len(prompt) :] for prompt in ("", "ab", "the")]
    assert len(set(texts)) == 3


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_seed_writes_the_same(models: dict[str, Path], level: str) -> None:
    model = rondo.load(models[level])
    first = model.generate("so ", length=30, samples=3, seed=5)
    assert model.generate("so ", length=30, samples=3, seed=5) == first
    assert model.generate("so ", length=30, samples=3, seed=6) != first
    assert len(set(first)) == 3
    assert all(sample.startswith("so ") for sample in first)
    assert model.generate(length=30) != model.generate(length=30)


def test_options_of_sampling_change_what_is_written(writer: TextModel) -> None:
    plain = writer.generate("time ", length=80, seed=2)
    for options in ({"temperature": 0.3}, {"top_k": 2}, {"top_p": 0.4}, {"repetition_penalty": 3.0}):
        assert writer.generate("time ", length=80, seed=2, **options) != plain


def test_the_penalty_breaks_a_repetition(models: dict[str, Path]) -> None:
    model = rondo.load(models["characters"])
    with torch.no_grad():
        model.network.readout.weight.zero_()
        model.network.readout.bias.fill_(4.0)
        model.network.readout.bias[3] = 5.0  # it has one thing to say
    stuck = model.generate(length=20, temperature=0.0)[0]
    freed = model.generate(length=20, temperature=0.0, repetition_penalty=1.5)[0]
    assert len(set(stuck)) == 1
    assert len(set(freed)) == 20


@pytest.mark.parametrize("level", ["characters", "words"])
def test_the_unknown_token_is_never_written(models: dict[str, Path], level: str) -> None:
    model = rondo.load(models[level])
    with torch.no_grad():
        model.network.readout.bias[model.tokenizer.unknown] = 1e4
    for options in ({"seed": 0}, {"temperature": 0.0}, {"top_k": 1}):
        text = model.generate(length=50, **options)[0]
        assert "\ufffd" not in text
        assert "<unk>" not in text


@pytest.mark.parametrize(("level", "count"), [("characters", 4), ("words", 1)])
def test_what_the_vocabulary_lacks_stays_in_the_prompt_and_is_noted(
    models: dict[str, Path], level: str, count: int
) -> None:
    model = rondo.load(models[level])
    assert model.generate("春眠不覺", length=6, seed=0)[0].startswith("春眠不覺")
    assert model.notes == [
        f"{count} of the prompt's {count} {level} are not in the model's vocabulary: it reads <unk> for them"
    ]
    text = model.generate("春眠不覺", length=8, temperature=0.0)[0]
    assert text.removeprefix("春眠不覺").lstrip(" ") == greedy(model, "春眠不覺", 8).lstrip(" ")
    model.generate("then ", length=6, seed=0)
    assert model.notes == []


def test_pieces_know_every_character(models: dict[str, Path]) -> None:
    model = rondo.load(models["pieces"])
    assert model.generate("春🎵", length=6, seed=0)[0].startswith("春🎵")
    assert model.notes == []


def test_words_are_parted_by_one_blank(models: dict[str, Path]) -> None:
    model = rondo.load(models["words"])
    made = greedy(model, "then rondo", 6)
    assert made.split()[0] in made[:9]  # a word, not the end of the line
    assert model.generate("then rondo", length=6, temperature=0.0) == ["then rondo " + made]
    assert model.generate("then rondo ", length=6, temperature=0.0) == ["then rondo " + made]
    assert "".join(model.stream("then rondo", length=6, sampling=Sampling(temperature=0.0))) == " " + made
    line = model.generate("then rondo\n", length=6, temperature=0.0)[0]
    assert line.startswith("then rondo\n")
    assert not line.startswith("then rondo\n ")
    text = model.generate(length=200, seed=1)[0]
    assert "  " not in text
    assert " \n" not in text
    assert "<eos>" not in text
    assert len(text.replace("\n", " \n ").split(" ")) >= 200


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("prompt", ["", "then rondo", "keeps "])
def test_a_stream_is_what_is_generated(models: dict[str, Path], level: str, prompt: str) -> None:
    model = rondo.load(models[level])
    options = {"temperature": 0.9, "top_k": 8, "repetition_penalty": 1.2}

    pieces = list(model.stream(prompt, length=60, sampling=Sampling(**options), seed=8))

    assert [prompt + "".join(pieces)] == model.generate(prompt, length=60, seed=8, **options)
    assert len(pieces) > 20


def test_a_stream_has_no_end_and_does_not_grow(writer: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    step = TokenStepper.__call__

    def watched(stepper: TokenStepper, tokens: torch.Tensor) -> torch.Tensor:
        logits = step(stepper, tokens)
        sizes.append(sum(part.untyped_storage().nbytes() for part in stepper.state.parts().values()))
        return logits

    def tensors() -> int:
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    monkeypatch.setattr(TokenStepper, "__call__", watched)
    made = writer.stream(sampling=Sampling(repetition_penalty=1.1), seed=0)
    list(itertools.islice(made, 200))
    gc.collect()
    before = tensors()
    list(itertools.islice(made, 600))
    gc.collect()
    after = tensors()

    assert len(sizes) == 799
    assert set(sizes) == {sizes[0]}
    assert after <= before


def test_streams_do_not_touch_what_happens_between_their_pieces(writer: TextModel) -> None:
    first, second = writer.stream("a", seed=1), writer.stream("b", seed=2)
    alone = "".join(itertools.islice(writer.stream("a", seed=1), 10))

    together = ""
    for piece in itertools.islice(first, 10):
        together += piece
        next(second)
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
    first.close()
    second.close()

    assert together == alone
    assert not torch.is_inference_mode_enabled()


def test_lengths_and_samples_are_counted_in_tokens(models: dict[str, Path]) -> None:
    for level in LEVELS:
        model = rondo.load(models[level])
        assert model.generate("so ", length=0, samples=2) == ["so ", "so "]
        text = model.generate(length=25, seed=0)[0]
        if level == "characters":
            assert len(text) == 25
        if level == "words":
            assert len(model.tokenizer.encode(text)) == 25
    with pytest.raises(UsageError, match="samples is at least 1, not 0"):
        model.generate(samples=0)
    with pytest.raises(UsageError, match="length is a number of tokens, not -1"):
        model.generate(length=-1)
    with pytest.raises(UsageError, match="seed is from 0 to"):
        model.generate(seed=-1)


def test_several_files_are_scored_as_one_text(writer: TextModel, tmp_path: Path) -> None:
    (tmp_path / "1").write_text("then rondo keeps\n")
    (tmp_path / "2").write_text("coming Back")
    (tmp_path / "both").write_text("then rondo keeps\ncoming Back")
    both = writer.evaluate(tmp_path / "both")
    parts = writer.evaluate([tmp_path / "1", tmp_path / "2"])

    assert {**parts, "seconds": 0} == {**both, "seconds": 0}
    assert (both["tokens"], both["characters"], both["unknown"]) == (27, 27, 1)
    assert both["perplexity"] == pytest.approx(math.exp(both["nats"]))
    assert both["nats_per_character"] == both["nats"]
    (tmp_path / "short").write_text("t")
    with pytest.raises(DataError, match="at least two tokens"):
        writer.evaluate(tmp_path / "short")


def test_figures_per_character_compare_across_levels(models: dict[str, Path], text_file: Path) -> None:
    whole = text_file.read_text()
    for level in LEVELS:
        model = rondo.load(models[level])
        scores = model.evaluate(text_file)
        assert scores["nats_per_character"] * scores["characters"] == pytest.approx(scores["nats"] * scores["tokens"])
        assert scores["bits_per_character"] == pytest.approx(scores["nats_per_character"] / math.log(2))
        if level != "words":  # an unknown word has no characters of its own
            first = model.tokenizer.decode(model.tokenizer.encode(whole)[:1])
            assert scores["characters"] == len(whole) - len(first)
