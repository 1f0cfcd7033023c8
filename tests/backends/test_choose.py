"""Which backend runs, why, and what is said about the others."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import import_module

import pytest
import torch

from rondo.backends import BACKENDS, Request, choose
from rondo.cells import State, get_cell
from rondo.errors import UsageError

GRU = Request(
    cell=get_cell("gru"),
    sizes={"input": 3, "hidden": 4},
    bias=True,
    dtype=torch.float32,
    device=torch.device("cpu"),
)
INSIDE = {
    "reset": "reset marks",
    "recurrent_dropout": "recurrent dropout",
    "zoneout": "zoneout",
}

MISSING = "the native module is not there: no compiler was found when Rondo was installed"


def engine(monkeypatch: pytest.MonkeyPatch, why_not: str | None) -> None:
    """As if the engine could run on this machine, or could not."""
    for module in ("rondo.backends.choose", "rondo.backends.cpu.backend"):
        monkeypatch.setattr(import_module(module), "why_not", lambda: why_not)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, None)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, MISSING)


@pytest.mark.usefixtures("there")
def test_auto_takes_the_fastest_that_can() -> None:
    choice = choose(GRU)
    assert choice.backend.name == "cpu"
    assert choice.reasons == dict.fromkeys(("vendor", "reference"), "could run too; 'cpu' is faster")


@pytest.mark.usefixtures("missing")
def test_without_the_engine_torch_runs() -> None:
    choice = choose(GRU)
    assert choice.backend.name == "vendor"
    assert choice.reasons == {"cpu": MISSING, "reference": "could run too; 'vendor' is faster"}


def test_without_the_engine_a_notice_comes_once_and_only_where_it_matters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine(monkeypatch, "it is missing in this test")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        choose(GRU, "vendor")
        choose(replace(GRU, device=torch.device("meta")))
        assert not caught
        for _ in range(3):
            choose(GRU)
    (only,) = caught
    assert "engine does not run, slower torch code does: it is missing in this test" in str(only.message)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(GRU, dtype=torch.float16), "the layer is in float16"),
        (replace(GRU, device=torch.device("meta")), "is on meta"),
    ],
    ids=["dtype", "device"],
)
@pytest.mark.usefixtures("there")
def test_the_engine_says_what_it_does_not_do(request_: Request, reason: str) -> None:
    choice = choose(request_)
    assert choice.backend.name == "vendor"
    assert reason in choice.reasons["cpu"]
    with pytest.raises(UsageError, match=reason):
        choose(request_, "cpu")


def test_an_instruction_set_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RONDO_ISA", "sse9")
    reason = BACKENDS["cpu"].refuses(GRU)
    assert reason is not None
    assert "sse9" in reason or reason == MISSING


@pytest.mark.usefixtures("missing")
def test_lengths_are_no_reason_to_refuse() -> None:
    assert choose(replace(GRU, lengths=True)).backend.name == "vendor"


@pytest.mark.parametrize("what", INSIDE)
@pytest.mark.usefixtures("there")
def test_the_engine_does_everything_inside(what: str) -> None:
    assert choose(replace(GRU, **{what: True})).backend.name == "cpu"


@pytest.mark.parametrize("what", INSIDE)
@pytest.mark.usefixtures("missing")
def test_what_torch_cannot_do_goes_to_the_reference_and_is_named(what: str) -> None:
    request = replace(GRU, **{what: True})
    choice = choose(request)
    assert choice.backend.name == "reference"
    assert choice.reasons["vendor"] == f"torch's layers cannot do {INSIDE[what]}"
    with pytest.raises(UsageError, match=INSIDE[what]):
        choose(request, "vendor")


def test_several_reasons_are_all_named() -> None:
    reason = choose(replace(GRU, reset=True, zoneout=True)).reasons["vendor"]
    assert "reset marks and zoneout" in reason


def test_a_cell_that_torch_lacks() -> None:
    request = replace(GRU, cell=get_cell("mgu"))
    assert "equations of 'mgu'" in choose(request).explain()
    with pytest.raises(UsageError, match="equations of 'mgu'"):
        choose(request, "vendor")


@pytest.mark.usefixtures("missing")
def test_a_projection_that_is_not_narrower() -> None:
    sizes = {"input": 3, "hidden": 4, "projection": 4}
    request = replace(GRU, cell=get_cell("lstm_projected"), sizes=sizes)
    assert "narrower" in choose(request).reasons["vendor"]
    assert choose(replace(request, sizes={**sizes, "projection": 3})).backend.name == "vendor"


@pytest.mark.usefixtures("there")
def test_a_named_backend_is_taken() -> None:
    choice = choose(GRU, "reference")
    assert choice.backend is BACKENDS["reference"]
    assert choice.reasons == dict.fromkeys(("cpu", "vendor"), "could run too; 'reference' was asked for")


def test_an_unknown_backend_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'reference'"):
        choose(GRU, "referense")


@pytest.mark.parametrize("asked", ["auto", "reference", "vendor", "cpu"])
@pytest.mark.usefixtures("there")
def test_every_backend_is_explained(asked: str) -> None:
    text = choose(GRU, asked).explain()
    assert len(text.splitlines()) == len(BACKENDS)
    assert all(line.split()[0] in BACKENDS for line in text.splitlines())
    assert text.splitlines()[0].split()[0] == ("cpu" if asked == "auto" else asked)


def test_the_vendor_backend_does_not_run_what_it_refuses() -> None:
    cell = get_cell("gru")
    weights = {p.name: torch.randn(p.shape({"input": 3, "hidden": 4})) for p in cell.parameters}
    x, state = torch.randn(2, 5, 3), State(h=torch.zeros(2, 4))
    marks = torch.ones(2, 5, dtype=torch.bool)
    with pytest.raises(ValueError, match="refuses"):
        BACKENDS["vendor"].unroll(cell, weights, x, state, reset=marks)
    with pytest.raises(ValueError, match="refuses"):
        BACKENDS["vendor"].unroll(get_cell("mgu"), weights, x, state)
