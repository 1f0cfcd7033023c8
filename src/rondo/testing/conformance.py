"""What every backend must pass: inherit `BackendConformance`, name the backend, and run pytest.

    class TestMine(BackendConformance):
        backend = "mine"

The tests are generated from the registry: every cell that the backend does not refuse, each dtype,
each situation. Values and all gradients are compared with `oracle`, which runs each sequence alone
in float64. Weights, states and inputs are random and asymmetric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from rondo.backends import BACKENDS, Backend, Request
from rondo.cells import Cell, State, get_cell, registry
from rondo.ir.graph import size_of
from rondo.testing.oracle import oracle
from rondo.testing.tolerances import assert_close

SHAPES = ((5, 7, 3, 6), (3, 1, 2, 1), (1, 9, 5, 13), (4, 5, 17, 33))
"""(B, T, I, H): one step, one unit, one sequence and odd sizes among them."""

SITUATIONS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "reverse": ("reverse",),
    "lengths": ("lengths",),
    "lengths-reverse": ("lengths", "reverse"),
    "no-bias": ("no_bias", "beginning"),
    "reset": ("reset",),
    "reset-lengths-reverse": ("reset", "lengths", "reverse"),
    "reset-initial": ("reset", "lengths", "initial"),
    "recurrent-dropout": ("masks", "lengths"),
    "zoneout-training": ("zoneout", "lengths"),
    "zoneout-evaluation": ("zoneout_expected", "reset"),
    "everything": ("lengths", "reset", "initial", "masks", "zoneout", "reverse"),
    "recompute": ("recompute",),
    "recompute-reverse": ("recompute", "reverse", "no_bias"),
    "recompute-cut": ("recompute", "lengths", "reset", "initial"),
    "recompute-cut-reverse": ("recompute", "lengths", "reset", "initial", "zoneout", "reverse"),
}
"""What is asked of a backend together; see `Backend.unroll`."""


def all_cells() -> dict[str, Cell]:
    """The registry's cells, and the variants that their options make."""
    variants = {"rnn_relu": get_cell("rnn", nonlinearity="relu"), "slstm_heads": get_cell("slstm", heads=3)}
    return {**registry, **variants}


@dataclass
class Case:
    """One layer with everything it is given, in float64; `cast` gives it in another dtype."""

    cell: Cell
    sizes: dict[str, int]
    weights: dict[str, Tensor]
    x: Tensor
    state: State
    options: dict[str, Any] = field(default_factory=dict)
    made_of: tuple[Any, ...] = ()
    """The arguments of `make_case`, by which results of the oracle are found again."""

    def leaves(self) -> dict[str, Tensor]:
        """Everything that has a gradient, by name."""
        named = {**self.weights, "x": self.x, **self.state.parts()}
        initial = self.options.get("initial")
        more = {} if initial is None else {f"initial_{part}": v for part, v in initial.parts().items()}
        return {**named, **more}

    def cast(self, dtype: torch.dtype) -> Case:
        """A copy with leaves of its own."""

        def leaf(value: Tensor) -> Tensor:
            return value.detach().to(dtype, copy=True).requires_grad_()

        options = dict(self.options)
        if options.get("initial") is not None:
            options["initial"] = options["initial"].map(leaf)
        if options.get("masks") is not None:
            options["masks"] = {name: mask.to(dtype) for name, mask in options["masks"].items()}
        weights = {name: leaf(value) for name, value in self.weights.items()}
        return Case(self.cell, self.sizes, weights, leaf(self.x), self.state.map(leaf), options)

    def run(self, backend: Backend) -> tuple[Tensor, State]:
        """The backend's result."""
        return backend.unroll(self.cell, self.weights, self.x, self.state, **self.options)

    def expected(self) -> tuple[Tensor, State]:
        """The oracle's result, which is the same however it is computed."""
        options = {name: value for name, value in self.options.items() if name != "recompute_steps"}
        return oracle(self.cell, self.sizes, self.weights, self.x, self.state, **options)


def make_case(
    cell: Cell, shape: tuple[int, int, int, int] = SHAPES[0], asked: Sequence[str] = (), seed: int = 0
) -> Case:
    """A random case; ``asked`` are words of `SITUATIONS`."""
    made_of = (cell, shape, tuple(asked), seed)
    B, T, I, H = shape
    heads = max(p.heads for p in cell.parameters)
    sizes = {"input": I, "hidden": -(-H // heads) * heads}
    if cell.has_projection:
        sizes = {"input": I, "hidden": H + 1, "projection": (H + 1) // 2}
    random = torch.Generator().manual_seed(seed)

    def normal(*of: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*of, generator=random, dtype=torch.float64) * scale

    def state(scale: float) -> State:
        parts = {part: normal(B, size_of(width, sizes)) for part, width in cell.state_widths.items()}
        # A normaliser must not vanish: parts beyond h and c are positive.
        return State(**{p: v * scale if p in ("h", "c") else v.abs() + 0.5 for p, v in parts.items()})

    stored = [p for p in cell.parameters if not (p.kind == "bias" and "no_bias" in asked)]
    weights = {p.name: normal(*p.shape(sizes), scale=0.5 / max(1.0, (H / 8) ** 0.5)) for p in stored}
    weights = {n: w + 1 if n.startswith("gain") else w for n, w in weights.items()}
    case = Case(cell, sizes, weights, normal(B, T, I), state(0.5), made_of=made_of)
    if "beginning" in asked:
        # Nothing has been written into the first sequence's state, as where layers begin, and little into the last's.
        share = torch.ones(B, 1, dtype=torch.float64)
        share[-1], share[0] = 0.2, 0.0
        case.state = case.state.map(lambda part: part * share)
    if "lengths" in asked:
        case.options["lengths"] = _lengths(B, T, random)
    if "reset" in asked:
        case.options["reset"] = torch.rand(B, T, generator=random) < 0.35
    if "initial" in asked:
        case.options["initial"] = state(0.7)
    if "masks" in asked:
        width = size_of(cell.state_widths["h"], sizes)
        kept = torch.rand(B, width, generator=random) < 0.7
        case.options["masks"] = {"recurrent": kept.double() / 0.7}
    if "zoneout" in asked:
        case.options["zoneout"] = {
            part: torch.rand(B, T, size_of(width, sizes), generator=random) < 0.3
            for part, width in cell.state_widths.items()
        }
    if "zoneout_expected" in asked:
        case.options["zoneout"] = dict.fromkeys(cell.state_parts, 0.3)
    if "recompute" in asked:
        case.options["recompute_steps"] = 3
    case.options["reverse"] = "reverse" in asked
    return case


def _lengths(B: int, T: int, random: torch.Generator) -> Tensor:
    """In no order, with an empty sequence, a full one and equal ones where there is room."""
    lengths = torch.randint(0, T + 1, (B,), generator=random)
    lengths[0] = T - 1
    if B > 2:
        lengths[1], lengths[B - 1] = 0, T
    return lengths


def gradients(case: Case, sequence: Tensor, state: State, seed: int = 1) -> dict[str, Tensor]:
    """Gradients of a random weighting of all results, by name of the leaf; zeros where nothing depends."""
    random = torch.Generator().manual_seed(seed)
    total = sequence.new_zeros(())
    for result in (sequence, *state.parts().values()):
        weighting = torch.randn(result.shape, generator=random, dtype=torch.float64).to(result.dtype)
        total = total + (result * weighting).sum()
    leaves = case.leaves()
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
    }


def compare(case: Case, run: Callable[[Case], tuple[Tensor, State]], dtype: torch.dtype) -> None:
    """Hold values and all gradients of ``run`` in ``dtype`` against the oracle in float64."""
    tested = case.cast(dtype)
    values, true_gradients = _true_results(*case.made_of)
    sequence, state = run(tested)
    for name, value in {"sequence": sequence, **state.parts()}.items():
        assert_close(value, values[name], dtype, what=name)
    found = gradients(tested, sequence, state)
    for name, gradient in true_gradients.items():
        assert_close(found[name], gradient, dtype, what=f"gradient of {name}", gradients=True)


@cache
def _true_results(
    cell: Cell, shape: tuple[int, int, int, int], asked: tuple[str, ...], seed: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Values and gradients of the oracle, which is slow: once for all backends and dtypes."""
    case = make_case(cell, shape, asked, seed).cast(torch.float64)
    sequence, state = case.expected()
    values = {"sequence": sequence, **state.parts()}
    return {name: value.detach() for name, value in values.items()}, gradients(case, sequence, state)


class BackendConformance:
    """The properties. Subclasses name a ``backend`` and may narrow ``cells`` and ``dtypes``."""

    backend: str
    cells: Mapping[str, Cell] = all_cells()
    dtypes: Sequence[torch.dtype] = (torch.float32, torch.float64)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Each test for every cell, dtype and situation that the backend takes."""
        cells = {name: cell for name, cell in self.cells.items() if self.takes(cell, ())}
        wanted = set(metafunc.fixturenames)
        if {"cell", "asked"} <= wanted:
            pairs = [
                pytest.param(cell, asked, id=f"{name}-{situation}")
                for name, cell in cells.items()
                for situation, asked in SITUATIONS.items()
                if self.takes(cell, asked)
            ]
            metafunc.parametrize(("cell", "asked"), pairs)
        elif "cell" in wanted:
            metafunc.parametrize("cell", list(cells.values()), ids=list(cells))
        if "dtype" in wanted:
            metafunc.parametrize("dtype", list(self.dtypes), ids=[str(d)[6:] for d in self.dtypes])
        if "shape" in wanted:
            metafunc.parametrize("shape", SHAPES, ids=["x".join(map(str, shape)) for shape in SHAPES])

    @property
    def runs(self) -> Backend:
        """The backend that is tested."""
        return BACKENDS[self.backend]

    def takes(self, cell: Cell, asked: Sequence[str], dtype: torch.dtype = torch.float32) -> bool:
        """Whether the backend says that it can do this; and whether it makes sense for the cell at all."""
        if "masks" in asked and not cell.has_recurrent_product and asked != SITUATIONS["everything"]:
            return False
        sizes = {"input": 3, "hidden": 6, **({"projection": 3} if cell.has_projection else {})}
        request = Request(
            cell=cell,
            sizes=sizes,
            bias="no_bias" not in asked,
            dtype=dtype,
            device=torch.device("cpu"),
            lengths="lengths" in asked,
            reset="reset" in asked,
            recurrent_dropout="masks" in asked,
            zoneout="zoneout" in asked or "zoneout_expected" in asked,
            recompute="recompute" in asked,
        )
        return self.runs.refuses(request) is None

    def test_values_and_gradients(self, cell: Cell, asked: Sequence[str], dtype: torch.dtype) -> None:
        """Everything that can be asked for, against the oracle."""
        compare(make_case(cell, asked=asked, seed=3), lambda case: case.run(self.runs), dtype)

    def test_shapes(self, cell: Cell, shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
        """One step, one unit, one sequence, odd sizes."""
        compare(make_case(cell, shape, ("lengths",), seed=4), lambda case: case.run(self.runs), dtype)

    def test_chunks_equal_the_whole(self, cell: Cell, dtype: torch.dtype) -> None:
        """Cut anywhere, down to single steps, and carried on with the state: nothing changes."""

        def in_chunks(case: Case) -> tuple[Tensor, State]:
            pieces, state = [], case.state
            for piece in case.x.split([1, 3, 1, 2], 1):
                sequence, state = self.runs.unroll(cell, case.weights, piece, state)
                pieces.append(sequence)
            return torch.cat(pieces, 1), state

        compare(make_case(cell, seed=5), in_chunks, dtype)

    @pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
    def test_padding_does_not_matter(self, cell: Cell, dtype: torch.dtype, reverse: bool) -> None:
        """NaN beyond a sequence's length reaches no value and no gradient, and gets the gradient zero."""
        asked = ("lengths", "reverse") if reverse else ("lengths",)
        case = make_case(cell, asked=asked, seed=6)
        lengths = case.options["lengths"]
        beyond = torch.arange(case.x.shape[1])[None] >= lengths[:, None]
        spoilt = case.cast(dtype)
        with torch.no_grad():
            spoilt.x[beyond] = float("nan")
        clean = case.cast(dtype)
        with torch.no_grad():
            clean.x[beyond] = 0.0
        results, found = [], []
        for variant in (spoilt, clean):
            sequence, state = variant.run(self.runs)
            results.append([sequence, *state.parts().values()])
            found.append(gradients(variant, sequence, state))
        _require(all(torch.equal(a, b) for a, b in zip(*results, strict=True)), "padding reaches a value")
        for name, gradient in found[1].items():
            _require(torch.equal(found[0][name], gradient), f"padding reaches the gradient of {name}")
        _require(not results[0][0][beyond].any(), "outputs beyond the length are not zero")
        _require(not found[0]["x"][beyond].any(), "the padding has a gradient")

    def test_order_of_the_batch_does_not_matter(self, cell: Cell, dtype: torch.dtype) -> None:
        """Sequences do not see each other: a permutation in is the same permutation out."""
        case = make_case(cell, asked=("lengths",), seed=7).cast(dtype)
        order = torch.tensor([3, 0, 4, 2, 1])
        sequence, state = case.run(self.runs)
        permuted = Case(cell, case.sizes, case.weights, case.x[order], case.state.select(order))
        permuted.options = {"lengths": case.options["lengths"][order]}
        other, other_state = permuted.run(self.runs)
        assert_close(other, sequence[order], dtype)
        for part, value in state.parts().items():
            assert_close(other_state.parts()[part], value[order], dtype)

    def test_nothing_to_do(self, cell: Cell, dtype: torch.dtype) -> None:
        """No steps, no sequences, or only empty ones: the state is what was given."""
        case = make_case(cell, asked=("lengths",)).cast(dtype)
        B, T, _ = case.x.shape
        for x, lengths in ((case.x, torch.zeros(B, dtype=torch.int64)), (case.x[:, :0], None)):
            sequence, state = self.runs.unroll(cell, case.weights, x, case.state, lengths=lengths)
            _require(sequence.shape == (*x.shape[:2], case.state.h.shape[1]), "the output has another shape")
            _require(not sequence.any(), "outputs without a step are not zero")
            for part, value in case.state.parts().items():
                _require(torch.equal(state.parts()[part], value), f"state {part} changed without a step")
        nobody = case.state.select(slice(0))
        sequence, state = self.runs.unroll(cell, case.weights, case.x[:0], nobody)
        _require(sequence.shape == (0, T, case.state.h.shape[1]), "no sequences: the output has another shape")
        _require(state.h.shape == nobody.h.shape, "no sequences: the state has another shape")

    def test_every_output_is_written(self, cell: Cell, dtype: torch.dtype) -> None:
        """Fresh memory is filled with NaN beforehand, so that what was not written shows."""
        before = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True)  # torch then fills what `empty` returns with NaN
        try:
            compare(make_case(cell, asked=("lengths",), seed=8), lambda case: case.run(self.runs), dtype)
        finally:
            torch.use_deterministic_algorithms(before)

    def test_states_and_weights_that_were_computed(self, cell: Cell, dtype: torch.dtype) -> None:
        """A learned state that all sequences share, and weights that were dropped: gradients reach both."""
        results = []
        for backend, kind in ((self.runs, dtype), (BACKENDS["reference"], torch.float64)):
            case = make_case(cell, asked=("lengths",), seed=10).cast(kind)
            learned = case.state.map(lambda value: value[:1].detach().clone().requires_grad_())
            random = torch.Generator().manual_seed(0)
            kept = {name: torch.rand(w.shape, generator=random) < 0.7 for name, w in case.weights.items()}
            dropped = {name: w * kept[name].to(kind) / 0.7 for name, w in case.weights.items()}
            shared = State(**{part: value.expand(len(case.x), -1) for part, value in learned.parts().items()})
            sequence, state = backend.unroll(cell, dropped, case.x, shared, **case.options)
            case.state = learned
            results.append((sequence, state, gradients(case, sequence, state)))
        (sequence, state, found), (true_sequence, true_state, expected) = results
        assert_close(sequence, true_sequence, dtype)
        for part, value in true_state.parts().items():
            assert_close(state.parts()[part], value, dtype, what=part)
        for name, gradient in expected.items():
            assert_close(found[name], gradient, dtype, what=f"gradient of {name}", gradients=True)

    def test_what_needs_no_gradient_changes_nothing(self, cell: Cell, dtype: torch.dtype) -> None:
        """Values without any gradient, and gradients of the weights alone, are those of the full run."""
        case = make_case(cell, asked=("lengths",), seed=11).cast(dtype)
        sequence, state = case.run(self.runs)
        found = gradients(case, sequence, state)
        with torch.no_grad():
            quiet, quiet_state = case.run(self.runs)
        _require(not quiet.requires_grad, "outputs ask for gradients where there are none")
        assert_close(quiet, sequence, dtype)
        for part, value in state.parts().items():
            assert_close(quiet_state.parts()[part], value, dtype, what=part)
        only = Case(cell, case.sizes, case.weights, case.x.detach(), case.state.map(Tensor.detach), case.options)
        sequence, _ = only.run(self.runs)
        weights = list(case.weights.values())
        alone = torch.autograd.grad((sequence * sequence).sum(), weights, allow_unused=True)
        sequence, _ = case.run(self.runs)
        whole = torch.autograd.grad((sequence * sequence).sum(), weights, allow_unused=True)
        _require(any(gradient is not None and gradient.any() for gradient in whole), f"no gradients: {found.keys()}")
        for name, one, other in zip(case.weights, alone, whole, strict=True):
            if one is not None and other is not None:
                assert_close(one, other, dtype, what=f"gradient of {name}", gradients=True)

    def test_the_last_output_alone(self, cell: Cell, dtype: torch.dtype) -> None:
        """Without the outputs of single steps: the same state, and its gradients."""
        for asked in (("lengths", "reset"), ("reverse",)):
            if not self.takes(cell, asked):
                continue
            case = make_case(cell, asked=asked, seed=12).cast(dtype)
            results = []
            for outputs in (True, False):
                sequence, state = self.runs.unroll(
                    cell, case.weights, case.x, case.state, **case.options, outputs=outputs
                )
                # Of no outputs too, which somebody may add up without looking how many there are.
                results.append((state.parts(), gradients(case, sequence[:, :0], state)))
                _require(sequence.shape == (5, 7 if outputs else 0, state.h.shape[1]), "outputs that were not wanted")
            (expected, expected_gradients), (found, found_gradients) = results
            for part, value in expected.items():
                assert_close(found[part], value, dtype, what=part)
            for name, gradient in expected_gradients.items():
                assert_close(found_gradients[name], gradient, dtype, what=f"gradient of {name}", gradients=True)
            with torch.no_grad():
                _, state = self.runs.unroll(cell, case.weights, case.x, case.state, **case.options, outputs=False)
            for part, value in expected.items():
                assert_close(state.parts()[part], value, dtype, what=part)

    def test_strides_do_not_matter(self, cell: Cell, dtype: torch.dtype) -> None:
        """Inputs and states that are views of larger tensors."""

        def strided(case: Case) -> tuple[Tensor, State]:
            x = torch.stack([case.x, case.x], 3).transpose(0, 1).contiguous().transpose(0, 1)[..., 1]
            state = case.state.map(lambda value: torch.stack([value, value], 2)[..., 0])
            return self.runs.unroll(cell, case.weights, x, state, **case.options)

        compare(make_case(cell, asked=("lengths",), seed=9), strided, dtype)


def _require(holds: object, message: str) -> None:
    """An assert that ``python -O`` keeps."""
    if not holds:
        raise AssertionError(message)
