"""The builder: equal values once, constants folded, widths joined, misuse refused."""

from __future__ import annotations

import numpy as np
import pytest

from rondo.errors import CellError
from rondo.ir.build import Builder, Value
from rondo.ir.graph import Parameter


@pytest.fixture
def builder() -> Builder:
    return Builder((Parameter("weight_ih", "matrix", ("r",), "hidden", "input"),))


@pytest.fixture
def h(builder: Builder) -> Value:
    return builder.leaf("state", "hidden", name="h")


def test_equal_values_are_made_once(builder: Builder, h: Value) -> None:
    first = builder.apply("tanh", h) + 2.0
    count = len(builder.nodes)
    second = builder.apply("tanh", h) + 2
    assert second.index == first.index
    assert len(builder.nodes) == count
    assert (builder.apply("tanh", h) + 3.0).index != first.index


def test_constants_are_folded(builder: Builder) -> None:
    value = builder.const(2.0) * 3.0 - builder.apply("exp", builder.const(0.0))
    assert value.node.op == "const"
    assert value.node["value"] == 5.0


@pytest.mark.parametrize(("op", "numbers"), [("sqrt", [-1.0]), ("log", [0.0]), ("exp", [1e4]), ("div", [1.0, 0.0])])
@pytest.mark.filterwarnings("error")
def test_constants_without_a_value_are_refused_in_one_voice(builder: Builder, op: str, numbers: list[float]) -> None:
    with pytest.raises(CellError, match="a constant is a finite number"):
        builder.apply(op, *map(builder.const, numbers))


@pytest.mark.parametrize(
    "make",
    [
        lambda h: h * 1.0, lambda h: 1.0 * h, lambda h: h + 0.0, lambda h: 0.0 + h, lambda h: h - 0.0,
        lambda h: h / 1.0, lambda h: h.where(h.builder.const(1.0) < 2.0, h, 5.0),
        lambda h: h.where(h.builder.const(1.0) > 2.0, 5.0, h),
    ],
)  # fmt: skip
def test_what_changes_nothing_makes_nothing(h: Value, make: object) -> None:
    assert make(h).index == h.index  # type: ignore[operator]


@pytest.mark.parametrize("make", [lambda h: 0.0 - h, lambda h: 1.0 / h, lambda h: h * 0.0, lambda h: h - 1.0])
def test_what_changes_something_stays(h: Value, make: object) -> None:
    assert make(h).index != h.index  # type: ignore[operator]


def test_signs_are_folded_into_sums(builder: Builder, h: Value) -> None:
    g = builder.leaf("state", "hidden", name="g")
    assert (h + -g).node.op == "sub"
    assert (h - -g).node.op == "add"


def test_widths_and_batch_axes_are_joined(builder: Builder, h: Value) -> None:
    p = builder.leaf("vector", "hidden", batched=False, parameter="p", block="p")
    assert (p * 2.0).node.batched is False
    assert (p * h).node.batched is True
    assert builder.apply("mean", h).node.width == "one"
    assert (builder.apply("mean", h) + p).node.width == "hidden"
    x = builder.leaf("input", "input", name="x")
    with pytest.raises(CellError, match="do not go together"):
        h + x


def test_a_mean_needs_an_axis(builder: Builder, h: Value) -> None:
    with pytest.raises(CellError, match="has none"):
        builder.apply("mean", builder.apply("mean", h))


@pytest.mark.parametrize("wrong", [[1.0], "a", None, True, np.ones(3)])
def test_only_values_and_numbers_are_taken(h: Value, wrong: object) -> None:
    with pytest.raises(CellError, match="with its values and with numbers"):
        h.apply("add", h, wrong)


def test_a_vector_is_not_a_matrix(builder: Builder, h: Value) -> None:
    builder.parameters["p"] = Parameter("p", "vector", ("p",), "hidden", init=0.0)
    with pytest.raises(CellError, match="not a matrix"):
        builder.product(h, "p", "p", transposed=True)
