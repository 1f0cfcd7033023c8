"""`rondo.nn` against `torch.nn`: all options, values and gradients, every backend."""

from __future__ import annotations

import copy
import inspect
import io
import itertools
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import rondo.nn
from rondo.backends import Request, choose
from rondo.backends.cpu.native import why_not
from rondo.cells import get_cell
from rondo.errors import UsageError
from rondo.testing.tolerances import assert_close

BACKENDS = [*([] if why_not() else ["cpu"]), "vendor", "reference"]
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_tanh": ("RNN", {}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "lstm_projected": ("LSTM", {"proj_size": 3}),
    "gru": ("GRU", {}),
}
FORMS = ["batched", "unbatched", "packed", "packed_sorted"]
LENGTHS = {"packed": [2, 6, 1, 4], "packed_sorted": [6, 4, 4, 1]}


def pair(kind: str, backend: str, seed: int = 0, dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    """torch's module and Rondo's with the same weights, by torch's state dict."""
    name, more = KINDS[kind]
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, name)(4, 5, dtype=dtype, **more, **options)
    ours = getattr(rondo.nn, name)(4, 5, dtype=dtype, **more, **options)
    ours.load_state_dict(theirs.state_dict())
    ours.backend = backend
    return theirs, ours


def make_input(form: str, batch_first: bool, dtype: torch.dtype = torch.float64) -> Tensor:
    shape = {"unbatched": (6, 4), "batched": (3, 6, 4) if batch_first else (6, 3, 4)}.get(form, (4, 6, 4))
    return torch.randn(*shape, dtype=dtype)


def wrapped(x: Tensor, form: str) -> Any:
    if form not in LENGTHS:
        return x
    return pack_padded_sequence(x, LENGTHS[form], batch_first=True, enforce_sorted=form == "packed_sorted")


def make_state(module: Any, form: str, dtype: torch.dtype = torch.float64) -> Any:
    places = module.num_layers * (2 if module.bidirectional else 1)
    batch = {"unbatched": (), "batched": (3,)}.get(form, (4,))
    h = torch.randn(places, *batch, module.proj_size or 5, dtype=dtype)
    return (h, torch.randn(places, *batch, 5, dtype=dtype)) if module.mode == "LSTM" else h


def tensors(result: Any) -> list[Tensor]:
    """All tensors of what a module returned, in order."""
    if isinstance(result, PackedSequence):
        return [value for value in result if value is not None]
    if isinstance(result, Tensor):
        return [result]
    return [value for part in result for value in tensors(part)]


def run(module: Any, x: Tensor, form: str, hx: Any, seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """All values, and all gradients of a random weighting of them."""
    x = x.clone().requires_grad_()
    leaves = [x]
    if hx is not None:
        hx = (
            tuple(part.clone().requires_grad_() for part in hx)
            if isinstance(hx, tuple)
            else hx.clone().requires_grad_()
        )
        leaves += tensors(hx)
    torch.manual_seed(seed)
    found = tensors(module(wrapped(x, form), hx))
    torch.manual_seed(seed)
    total = sum((value * torch.randn_like(value)).sum() for value in found if value.is_floating_point())
    return found, list(torch.autograd.grad(total, [*leaves, *module.parameters()]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_equal_torch(kind: str, form: str, backend: str) -> None:
    switches = itertools.product([1, 2], [False, True], [False, True], [False, True], [False, True])
    for seed, (layers, bidirectional, bias, batch_first, given) in enumerate(switches):
        options = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
        theirs, ours = pair(kind, backend, seed, **options)
        x = make_input(form, batch_first)
        hx = make_state(theirs, form) if given else None
        expected, expected_gradients = run(theirs, x, form, hx, seed)
        found, gradients = run(ours, x, form, hx, seed)
        assert len(found) == len(expected)
        for ours_value, theirs_value in zip(found, expected, strict=True):
            assert ours_value.dtype == theirs_value.dtype
            assert_close(ours_value, theirs_value, torch.float64, what=f"values with {options}, hx {given}")
        for mine, other in zip(gradients, expected_gradients, strict=True):
            assert_close(mine, other, torch.float64, what=f"gradients with {options}", gradients=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_single_precision(kind: str, backend: str) -> None:
    theirs, ours = pair(kind, backend, dtype=torch.float32, num_layers=2, bidirectional=True)
    x = make_input("batched", False, torch.float32)
    expected, expected_gradients = run(theirs, x, "batched", None, 1)
    found, gradients = run(ours, x, "batched", None, 1)
    for mine, other in zip([*found, *gradients], [*expected, *expected_gradients], strict=True):
        assert_close(mine, other, torch.float32, gradients=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_dropout_draws_as_torch_does(kind: str, bidirectional: bool, batch_first: bool, backend: str) -> None:
    options = {"num_layers": 3, "dropout": 0.4, "bidirectional": bidirectional, "batch_first": batch_first}
    theirs, ours = pair(kind, backend, **options)
    x = make_input("batched", batch_first)
    for training in (True, False):
        theirs.train(training)
        ours.train(training)
        expected, expected_gradients = run(theirs, x, "batched", None, 5)
        found, gradients = run(ours, x, "batched", None, 5)
        for mine, other in zip([*found, *gradients], [*expected, *expected_gradients], strict=True):
            assert_close(mine, other, torch.float64, gradients=True)
        again = run(ours, x, "batched", None, 6)[0][0]
        assert torch.equal(again, found[0]) is not training


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_on_packed_sequences_acts_in_training_only(kind: str) -> None:
    _, ours = pair(kind, "reference", num_layers=2, dropout=0.5)
    x = make_input("packed", True)
    assert not torch.equal(run(ours, x, "packed", None, 1)[0][0], run(ours, x, "packed", None, 2)[0][0])
    ours.eval()
    assert torch.equal(run(ours, x, "packed", None, 1)[0][0], run(ours, x, "packed", None, 2)[0][0])


@pytest.mark.parametrize("kind", KINDS)
def test_state_dict_goes_both_ways(kind: str) -> None:
    options = {"num_layers": 2, "bidirectional": True}
    theirs, ours = pair(kind, "auto", **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    torch.nn.init.normal_(ours.weight_hh_l1_reverse)
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(theirs.weight_hh_l1_reverse, ours.weight_hh_l1_reverse)
    file = io.BytesIO()
    torch.save(theirs.state_dict(), file)
    file.seek(0)
    ours.load_state_dict(torch.load(file, weights_only=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_weights(kind: str) -> None:
    name, more = KINDS[kind]
    torch.manual_seed(3)
    theirs = getattr(torch.nn, name)(4, 5, 2, **more)
    torch.manual_seed(3)
    ours = getattr(rondo.nn, name)(4, 5, 2, **more)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_signature_and_repr_are_torchs(name: str) -> None:
    ours, theirs = getattr(rondo.nn, name), getattr(torch.nn, name)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert repr(ours(3, 4, 2, bidirectional=True)) == repr(theirs(3, 4, 2, bidirectional=True))
    positional = (3, 4, 2, "relu", False, True) if name == "RNN" else (3, 4, 2, False, True)
    ours, theirs = ours(*positional), theirs(*positional)
    assert (ours.bias, ours.batch_first, ours.mode) == (theirs.bias, theirs.batch_first, theirs.mode)
    assert isinstance(ours, type(theirs))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "spoil",
    ["input width", "input rank", "state width", "state rank", "state batch", "dtype", "no steps"],
)
def test_bad_input_is_refused_with_torchs_kind_of_error(kind: str, spoil: str, backend: str) -> None:
    theirs, ours = pair(kind, backend)
    x, hx = make_input("batched", False), make_state(ours, "batched")

    def changed(state: Any, change: Any) -> Any:
        return tuple(map(change, state)) if isinstance(state, tuple) else change(state)

    bad_x, bad_hx = {
        "input width": (x[..., :3], hx),
        "input rank": (x[None], hx),
        "state width": (x, changed(hx, lambda part: part[..., 1:])),
        "state rank": (x, changed(hx, lambda part: part[:, 0])),
        "state batch": (x, changed(hx, lambda part: part[:, :2])),
        "dtype": (x.float(), changed(hx, Tensor.float)),
        "no steps": (x[:0], hx),
    }[spoil]
    with pytest.raises((RuntimeError, ValueError)) as expected:
        theirs(bad_x, bad_hx)
    with pytest.raises(expected.type):
        ours(bad_x, bad_hx)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_by_hand(kind: str) -> None:
    theirs, ours = pair(kind, "reference", bidirectional=True)
    sequences = [torch.randn(n, 4, dtype=torch.float64) for n in (1, 5, 3)]
    packed = pack_sequence(sequences, enforce_sorted=False)
    expected, found = theirs(packed), ours(packed)
    assert type(found[0]) is PackedSequence
    for mine, other in zip(tensors(found), tensors(expected), strict=True):
        assert_close(mine, other, torch.float64)


def test_second_derivatives_through_the_reference() -> None:
    _, ours = pair("lstm", "reference", bidirectional=True)
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda value: ours(value)[0], (x,))


@pytest.mark.parametrize("backend", BACKENDS)
def test_copies_and_pickles(backend: str) -> None:
    _, ours = pair("gru", backend)
    x = make_input("batched", False)
    expected = ours(x)[0]
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert other.backend == backend
        assert torch.equal(other(x)[0], expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_put_in_from_outside(backend: str) -> None:
    _, ours = pair("lstm", backend)
    x = make_input("batched", False)
    other = {name: torch.randn_like(value) for name, value in ours.state_dict().items()}
    result = torch.func.functional_call(ours, other, (x,))[0]
    assert not torch.equal(result, ours(x)[0])
    ours.load_state_dict(other)
    assert_close(result, ours(x)[0], torch.float64)


def test_the_backend_is_chosen_and_explained() -> None:
    ours = rondo.nn.GRU(3, 4)
    fastest = choose(Request(get_cell("gru"), {"input": 3, "hidden": 4}, True, torch.float32, torch.device("cpu")))
    assert f"{fastest.backend.name:9}  runs, the fastest that can" in ours.explain()
    ours.backend = "reference"
    assert "reference  runs, asked for" in ours.explain()
    ours.backend = "vendro"
    with pytest.raises(UsageError, match="did you mean 'vendor'"):
        ours(torch.zeros(2, 1, 3))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_state_of_another_form_is_refused(name: str, packed: bool, backend: str) -> None:
    """By torch's own checks, before any function that trusts its arguments."""
    layer = getattr(rondo.nn, name)(3, 4, batch_first=True)
    layer.backend = backend
    x = torch.randn(3, 5, 3)
    given = pack_padded_sequence(x, [5, 4, 2], batch_first=True) if packed else x
    states: list[Any] = [torch.ones(1, 3, 40), torch.ones(2, 3, 4), torch.ones(1, 2, 4), torch.ones(1, 3, 4).double()]
    if name == "LSTM":
        states = [(state, state) for state in states] + [(torch.ones(1, 3, 4), torch.ones(1, 3, 40))]
    for state in states:
        with pytest.raises((RuntimeError, ValueError)):
            layer(given, state)


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "vendor"])
@pytest.mark.parametrize("form", ["batched", "packed"])
def test_gradients_are_those_of_torch_where_steps_are_computed_again(backend: str, form: str) -> None:
    theirs, ours = pair("lstm", backend, num_layers=2)
    ours.recompute_steps = 2
    x = make_input(form, batch_first=False)
    grads = []
    for module in (theirs, ours):
        output, _ = module(wrapped(x, form))
        (output.data if form == "packed" else output).square().sum().backward()
        grads.append([parameter.grad for parameter in module.parameters()])
    for one, other in zip(*grads, strict=True):
        assert_close(one, other, torch.float64, gradients=True)
    assert ours.explain() != pair("lstm", backend, num_layers=2)[1].explain()


def test_steps_to_compute_again_are_checked() -> None:
    _, ours = pair("gru", "auto")
    ours.recompute_steps = "often"
    with pytest.raises(UsageError, match="recompute_steps is a whole number of at least 1, or 'auto', not 'often'"):
        ours(make_input("batched", batch_first=False))
