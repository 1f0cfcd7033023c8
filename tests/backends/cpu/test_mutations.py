"""Every plan with a mistake is caught: by the verifier where it is malformed, else by the conformance comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from rondo.backends.cpu import backend, native, spec
from rondo.backends.cpu.backend import CpuBackend
from rondo.backends.cpu.lower import Plans
from rondo.backends.cpu.native import why_not
from rondo.backends.cpu.plan import Plan
from rondo.backends.cpu.spec import Spec
from rondo.backends.cpu.verify import verify
from rondo.cells import Cell, State, affine, cell, get_cell, mean, sqrt, tanh, vector
from rondo.errors import CellError
from rondo.testing.conformance import compare, make_case
from tests.backends.cpu.mutations import mutants

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

KINDS = {
    "dropped", "confused", "exchanged", "misread", "elsewhere", "shifted", "ahead", "another", "begun", "turned",
    "without", "scaled",
}  # fmt: skip


@cell
def normalised(x, h):
    """A mean of a mean: reductions, and numbers a row."""
    a = affine("a", x, h)
    centred = a - mean(a)
    return State(h=tanh(vector("gain", init=1.0) * centred / sqrt(mean(centred * centred) + 0.1)) + 0.5 * h)


ASKED: dict[str, tuple[Cell, tuple[str, ...]]] = {
    "gru": (get_cell("gru"), ()),
    "gru, a mask, lengths": (get_cell("gru"), ("masks", "lengths")),
    "lstm_peephole": (get_cell("lstm_peephole"), ()),
    "lstm_coupled, resets": (get_cell("lstm_coupled"), ("reset", "lengths", "initial")),
    "lstm_projected": (get_cell("lstm_projected"), ()),
    "gru_reset_before, resets": (get_cell("gru_reset_before"), ("reset",)),
    "min_lstm": (get_cell("min_lstm"), ()),
    "indrnn": (get_cell("indrnn"), ()),
    "normalised": (normalised, ()),
    "lstm_layer_norm": (get_cell("lstm_layer_norm"), ()),
    "slstm, resets": (get_cell("slstm"), ("reset", "beginning")),
}
ALIKE = {
    # A mean is taken before a multiple of values is added whose own mean is zero.
    "lstm_layer_norm": {"backward misread: code 1.6 REDUCE.0", "backward misread: code 1.9 REDUCE.0"},
    # The gradient of a maximum, halved between equal arguments. Where they are equal, what is read holds the other
    # one's half, which is the same; where they are not, what was read is replaced by the next instruction, or was not.
    "slstm, resets": {"backward misread: code 0.19 SELECT_LT.3"},
}
"""Mistakes that are none."""


@dataclass(frozen=True, eq=False)
class Mistaken(Spec):
    """A spec whose plans are the ones that are set."""

    made: Plans | None = None

    def plans(self, **_: Any) -> Plans:  # type: ignore[override]
        assert self.made is not None
        return self.made


@pytest.fixture
def nothing_stays() -> Iterator[None]:
    """What is kept of plans for the life of a process is thrown away."""
    before = dict(native._plans)
    yield
    native._plans.clear()
    native._plans.update(before)
    for kept in (spec.forward_step, spec.backward_step, native._engine):
        kept.cache_clear()


class Bench:
    """A cell and what is asked of it: compares runs of plans with the oracle."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        made, asked = ASKED[name]
        self.case = make_case(made, (3, 4, 5, 19), asked, seed=3)
        self.monkeypatch = monkeypatch
        used: list[Spec] = []
        sound = backend.spec_for

        def recorded(*arguments: Any) -> Spec:
            used.append(sound(*arguments))
            return used[-1]

        monkeypatch.setattr(backend, "spec_for", recorded)
        self.compare()
        (self.spec,) = set(used)
        self.plans = self.spec.plans(training=True, restarts=bool({"lengths", "reset"}.intersection(asked)))

    def compare(self) -> None:
        compare(self.case, lambda case: case.run(CpuBackend()), torch.float64)

    def caught_by(self, plans: Plans, changed: Plan) -> str:
        """Who notices the mistake, or nobody."""
        try:
            verify(changed)
        except CellError:
            return "the verifier"
        s = self.spec
        wrong = Mistaken(s.cell, s.bias, s.dropout, s.zoneout, made=plans)
        self.monkeypatch.setattr(backend, "spec_for", lambda *_: wrong)
        try:
            self.compare()
        except AssertionError:
            return "the comparison"
        return "nobody"


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.usefixtures("nothing_stays")
def test_every_mistake_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(name, monkeypatch)
    assert bench.plans.backward is not None
    tried = [
        *(("forward", what, replace(bench.plans, forward=plan), plan) for what, plan in mutants(bench.plans.forward)),
        *(
            ("backward", what, replace(bench.plans, backward=plan), plan)
            for what, plan in mutants(bench.plans.backward)
        ),
    ]
    caught = {f"{which} {what}": bench.caught_by(plans, plan) for which, what, plans, plan in tried}
    assert len(caught) == len(tried)
    assert {what for what, by in caught.items() if by == "nobody"} == ALIKE.get(name, set())
    counts = Counter(caught.values())
    assert counts["the verifier"] > 10
    assert counts["the comparison"] > 20


def test_mistakes_of_every_kind_are_tried() -> None:
    kinds = set()
    for made, asked in ASKED.values():
        sound = spec.spec_for(made.key(), True, "masks" in asked, (spec.ABSENT,) * len(made.state_parts))
        plans = sound.plans(training=True, restarts=bool({"lengths", "reset"}.intersection(asked)))
        assert plans.backward is not None
        for plan in (plans.forward, plans.backward):
            kinds |= {what.partition(":")[0] for what, _ in mutants(plan)}
    assert kinds == KINDS


@pytest.mark.usefixtures("nothing_stays")
def test_sound_plans_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """As mutants are run: what is caught is the mistake, not the way it is run."""
    bench = Bench("gru", monkeypatch)
    assert bench.caught_by(bench.plans, bench.plans.forward) == "nobody"
