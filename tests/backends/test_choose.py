"""Which backend runs, why, and what is said about the others."""

from __future__ import annotations

from dataclasses import replace

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


def test_auto_takes_the_fastest_that_can() -> None:
    choice = choose(GRU)
    assert choice.backend.name == "vendor"
    assert choice.reasons == {"reference": "could run too; 'vendor' is faster"}


def test_lengths_are_no_reason_to_refuse() -> None:
    assert choose(replace(GRU, lengths=True)).backend.name == "vendor"


@pytest.mark.parametrize("what", INSIDE)
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


def test_a_projection_that_is_not_narrower() -> None:
    sizes = {"input": 3, "hidden": 4, "projection": 4}
    request = replace(GRU, cell=get_cell("lstm_projected"), sizes=sizes)
    assert "narrower" in choose(request).reasons["vendor"]
    assert choose(replace(request, sizes={**sizes, "projection": 3})).backend.name == "vendor"


def test_a_named_backend_is_taken() -> None:
    choice = choose(GRU, "reference")
    assert choice.backend is BACKENDS["reference"]
    assert choice.reasons == {"vendor": "could run too; 'reference' was asked for"}


def test_an_unknown_backend_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'reference'"):
        choose(GRU, "referense")


@pytest.mark.parametrize("asked", ["auto", "reference", "vendor"])
def test_every_backend_is_explained(asked: str) -> None:
    text = choose(GRU, asked).explain()
    assert len(text.splitlines()) == len(BACKENDS)
    assert all(line.split()[0] in BACKENDS for line in text.splitlines())
    assert text.splitlines()[0].split()[0] == ("vendor" if asked == "auto" else asked)


def test_the_vendor_backend_does_not_run_what_it_refuses() -> None:
    cell = get_cell("gru")
    weights = {p.name: torch.randn(p.shape({"input": 3, "hidden": 4})) for p in cell.parameters}
    x, state = torch.randn(2, 5, 3), State(h=torch.zeros(2, 4))
    marks = torch.ones(2, 5, dtype=torch.bool)
    with pytest.raises(ValueError, match="refuses"):
        BACKENDS["vendor"].unroll(cell, weights, x, state, reset=marks)
    with pytest.raises(ValueError, match="refuses"):
        BACKENDS["vendor"].unroll(get_cell("mgu"), weights, x, state)
