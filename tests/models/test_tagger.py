"""The tagger's network: padding changes nothing, spellings are read once, rare words are taken for unknown."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rondo.cells.registry import registry
from rondo.data.tagging.schemes import BIOES, allowed_transitions, tag_set
from rondo.errors import ModelError, UsageError
from rondo.models.spelling import PADDING, Spelling
from rondo.models.tagger import SequenceTagger, TaggerEnsemble, TaggerOptions, describe, rebuild, tagger
from rondo.models.token_features import CHARACTERS, KEY, UNKNOWN, WORD, Frequencies, Sizes
from rondo.testing.tolerances import assert_close

SIZES = Sizes(words=9, shapes=4, pairs=6, characters=7)
SMALL: dict[str, Any] = {
    "hidden": 5, "layers": 1, "embedding": 4, "character_embedding": 3, "character_hidden": 2, "shape_embedding": 2,
}  # fmt: skip
LENGTHS = torch.tensor([3, 6, 0, 1])


def made(tags: int = 4, **options: Any) -> SequenceTagger:
    torch.manual_seed(0)
    return SequenceTagger(SIZES, tags, TaggerOptions(**{**SMALL, **options})).eval()


def rows(T: int = 6, longest: int = 5) -> torch.Tensor:
    """Random tokens; those of one word have one spelling."""
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(1, SIZES.words, (4, T), generator=generator)
    spelled = torch.randint(1, SIZES.characters, (SIZES.words, longest), generator=generator)
    lengths = torch.randint(1, longest + 1, (SIZES.words, 1), generator=generator)
    spelled = spelled.masked_fill(torch.arange(longest) >= lengths, PADDING)
    others = torch.stack([words % SIZES.shapes, words % SIZES.pairs, (words + 1) % SIZES.pairs, words * 7], -1)
    return torch.cat([words[..., None], others, spelled[words]], -1)


@pytest.mark.parametrize("spelling", ["recurrent", "convolution", None])
@pytest.mark.parametrize("crf", [True, False])
def test_padding_changes_nothing(spelling: Any, crf: bool) -> None:
    network = made(spelling=spelling, crf=crf, pair_embedding=2)
    x = rows()
    padded = torch.full((4, 9, x.shape[2] + 3), 0)
    padded[:, :6, : x.shape[2]] = x
    padded[0, 3:] = 1  # what stands beyond the length of a sentence
    emission, again = network(x, lengths=LENGTHS), network(padded, lengths=LENGTHS)
    tags = torch.arange(24).reshape(4, 6) % 4
    more = torch.nn.functional.pad(tags, (0, 3), value=2)
    for row, length in enumerate(LENGTHS.tolist()):
        assert_close(again[row, :length], emission[row, :length], torch.float32, what="emissions")
    loss = network.loss(emission, tags, lengths=LENGTHS)
    assert_close(network.loss(again, more, lengths=LENGTHS), loss, torch.float32, what="loss")
    assert loss[2] == 0
    assert (loss[:2] > 0).all()


@pytest.mark.parametrize("spelling", ["recurrent", "convolution"])
def test_a_spelling_is_that_of_its_word_alone(spelling: Any) -> None:
    torch.manual_seed(0)
    encoder = Spelling(spelling, 7, embedding=3, units=2, cell="lstm", backend="auto")
    x = rows()
    characters = x[0, :, CHARACTERS:]
    each = torch.cat([encoder(word[word != PADDING][None]) for word in characters])
    assert_close(encoder(characters), each, torch.float32, what="alone")
    assert encoder(torch.zeros(2, 5, dtype=torch.long)).abs().sum() == 0
    assert encoder(characters[:, :0]).shape == (6, 4)
    network = made(spelling=spelling)
    network.input.spelling = encoder
    assert_close(network.input(x)[0, :, -4:], each, torch.float32, what="within the features")


def test_spellings_are_told_apart_by_their_key_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network, seen = made(), list[int]()
    inner = network.input.spelling
    assert inner is not None
    forward = inner.forward
    monkeypatch.setattr(inner, "forward", lambda x: (seen.append(len(x)), forward(x))[1])
    x = rows()
    network(x)
    assert seen == [len(x[..., KEY].unique())]
    assert seen[0] < x[..., KEY].numel()


@pytest.mark.parametrize("option", [
    {"spelling": None}, {"spelling": "convolution"}, {"character_hidden": 3}, {"character_embedding": 2},
    {"shape_embedding": 0}, {"pair_embedding": 3}, {"embedding": 5}, {"cell": "gru"}, {"bidirectional": False},
    {"layers": 2}, {"crf": False},
], ids=str)  # fmt: skip
def test_every_option_makes_another_network(option: dict[str, Any]) -> None:
    def shapes(network: SequenceTagger) -> dict[str, Any]:
        return {name: tuple(value.shape) for name, value in network.state_dict().items()}

    assert shapes(made(**option)) != shapes(made())


@pytest.mark.parametrize("option", ["word_dropout", "output_dropout", "input_dropout"])
def test_every_dropout_acts_in_training_alone(option: str) -> None:
    off = {"word_dropout": 0.0, "output_dropout": 0.0, "input_dropout": 0.0}
    plain, dropping = made(**off), made(**{**off, option: 0.5})
    for network in (plain, dropping):
        network.input.replace_rare(Frequencies(torch.ones(SIZES.words), torch.ones(SIZES.pairs)))
    assert torch.equal(plain(rows()), dropping(rows()))
    assert torch.equal(plain.train()(rows()), plain(rows()))
    assert not torch.equal(dropping.train()(rows()), dropping(rows()))


def test_rare_words_are_taken_for_unknown_as_often_as_they_are_rare() -> None:
    network = made(spelling=None, shape_embedding=0, word_dropout=0.5).train()
    counts = torch.tensor([0.0, 1, 2, 1000, 1, 1, 1, 1, 1])
    network.input.replace_rare(Frequencies(counts, torch.ones(SIZES.pairs)))
    x = torch.zeros(1, 4000, 4, dtype=torch.long)
    x[0, :, WORD] = torch.arange(4000) % 4
    torch.manual_seed(0)
    unknown = (network.input(x)[0] == network.input.words.weight[UNKNOWN]).all(1).view(1000, 4).float().mean(0)
    expected = 0.5 / (0.5 + counts[:4])
    assert (unknown - expected).abs().max() < 0.05


def test_the_chain_keeps_to_the_scheme() -> None:
    names = tag_set(["A", "B"], BIOES)
    allowed = allowed_transitions(names, BIOES)
    torch.manual_seed(0)
    network = SequenceTagger(SIZES, len(names), TaggerOptions(**SMALL), allowed=allowed)
    transitions = network.transitions()
    assert torch.equal(transitions.between.isfinite(), allowed.between)
    assert torch.equal(transitions.start.isfinite(), allowed.start)
    assert all((part == 0).all() for part in made(crf=False).transitions())


def ensemble(members: int = 3, tags: int = 4, **options: Any) -> TaggerEnsemble:
    torch.manual_seed(0)
    made = tagger(SIZES, tags, TaggerOptions(**{**SMALL, **options}, ensemble=members))
    assert isinstance(made, TaggerEnsemble)
    return made.eval()


def test_members_of_an_ensemble_differ_and_answer_with_the_mean_of_their_scores() -> None:
    network, x = ensemble(), rows()
    each = [member(x, lengths=LENGTHS) for member in network.members]
    assert not torch.equal(each[0], each[1])
    assert_close(network(x, lengths=LENGTHS), (each[0] + each[1] + each[2]) / 3, torch.float32, what="emissions")
    off = {"word_dropout": 0.0, "output_dropout": 0.0, "input_dropout": 0.0}
    assert ensemble(**off).train()(x).shape == (3, *each[0].shape)


@pytest.mark.parametrize("crf", [True, False])
def test_each_member_learns_from_its_own_mistakes_and_the_chain_from_those_of_all(crf: bool) -> None:
    network, x = ensemble(2, crf=crf, output_dropout=0.0, input_dropout=0.0, word_dropout=0.0).train(), rows()
    tags = torch.arange(24).reshape(4, 6) % 4
    said = network(x, lengths=LENGTHS)
    alone = [network.loss(own, tags, lengths=LENGTHS) for own in said]
    both = network.loss(said, tags, lengths=LENGTHS)
    assert_close(both, (alone[0] + alone[1]) / 2, torch.float32, what="loss")
    for member, own in zip(network.members, alone, strict=True):
        expected, found = (
            torch.autograd.grad(loss.sum(), [member.head.weight], retain_graph=True)[0] for loss in (own / 2, both)
        )
        assert_close(found, expected, torch.float32, what="gradient of a member")
        assert member.crf is None
    assert (network.crf is not None) == crf
    if network.crf is not None:
        assert all(gradient.any() for gradient in torch.autograd.grad(both.sum(), [network.crf.transition]))


@pytest.mark.parametrize("cell", sorted(registry))
def test_any_cell_reads_words_and_their_characters(cell: str) -> None:
    more = {"projection": 3} if cell == "lstm_projected" else {}
    network = made(cell=cell, **more)
    emission = network(rows(), lengths=LENGTHS)
    assert emission.shape == (4, 6, 4)
    assert network.input.spelling is not None
    assert network.input.spelling.recurrent is not None
    assert network.input.spelling.recurrent.cell.name == network.recurrent.cell.name


@pytest.mark.parametrize("members", [1, 2])
def test_what_is_described_is_rebuilt(members: int) -> None:
    options = TaggerOptions(**SMALL, pair_embedding=2, ensemble=members)
    torch.manual_seed(0)
    network = tagger(SIZES, 4, options).eval()
    again = rebuild({"network": describe(network, options)}, SIZES, 4, None).eval()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(rows()), network(rows()))
    with pytest.raises(ModelError, match="does not describe a tagger"):
        rebuild({"network": {"options": {"colour": 1}}}, SIZES, 4, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"embedding": 0}, "--embedding is at least 1"),
        ({"word_dropout": -1}, "--word-dropout is at least 0"),
        ({"character_hidden": 0}, "--character-hidden is at least 1"),
        ({"spelling": "convolutions"}, "did you mean 'convolution'"),
        ({"ensemble": 0}, "--ensemble is at least 1, not 0"),
        ({"output_dropout": 1.5}, "output_dropout is a probability"),
    ],
    ids=str,
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made(**options)
