"""Scales of series and windows: known values, exact inverses, and nothing of later rows in them."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rondo.data.series import SeriesSet
from rondo.data.series.scaling import Scaler, Scaling, WindowScale, WindowScaling, last_values
from rondo.errors import DataError, UsageError

NAN = float("nan")
SCALINGS = pytest.mark.parametrize("kind", get_args(Scaling))
WINDOWS = pytest.mark.parametrize("kind", get_args(WindowScaling))
numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
positive = st.floats(1e-3, 1e6)


@SCALINGS
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_series_scales_are_inverted(kind: Any, data: st.DataObject) -> None:
    elements = positive if kind.startswith("log") else numbers
    series = [data.draw(arrays.arrays(np.float64, st.integers(1, 9), elements=elements)) for _ in range(3)]
    scaler = Scaler.fit(SeriesSet.from_arrays(series), kind)
    for which, values in enumerate(series):
        back = scaler.invert(scaler.apply(values, which), which)
        # Relative to the largest value the scale was made of: that is what rounding is relative to.
        np.testing.assert_allclose(back, values, rtol=1e-11, atol=1e-13 * np.abs(values).max())
    rows = np.stack([np.resize(values, 4) for values in series])
    together = scaler.apply(rows, np.arange(3))
    np.testing.assert_array_equal(together[1], scaler.apply(rows[1], 1))
    cube = scaler.invert(np.repeat(together[..., None], 2, axis=2), np.arange(3))
    np.testing.assert_array_equal(cube[..., 1], scaler.invert(together, np.arange(3)))


@WINDOWS
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_window_scales_are_inverted(kind: Any, data: st.DataObject) -> None:
    context = data.draw(arrays.arrays(np.float64, (3, 5), elements=st.one_of(numbers, st.just(NAN))))
    target = data.draw(arrays.arrays(np.float64, (3, 4), elements=numbers))
    scale = WindowScale.of(context, kind, data.draw(st.integers(1, 7)))
    largest = max(np.abs(target).max(), np.nanmax(np.abs(np.append(context, 0))))
    np.testing.assert_allclose(scale.invert(scale.target(target)), target, rtol=1e-11, atol=1e-14 * largest + 1e-13)


def test_known_scales() -> None:
    made = SeriesSet.from_arrays([[1, 2, 3, 4, NAN]])
    values = [1.0, 2, 3, 4]
    expected = {
        "none": values, "standard": (np.array(values) - 2.5) / np.sqrt(1.25), "robust": (np.array(values) - 2.5) / 1.5,
        "minmax": [0, 1 / 3, 2 / 3, 1], "mean": np.array(values) / 2.5,
        "log": (np.log(values) - np.log(values).mean()) / np.log(values).std(),
        "log1p": (np.log1p(values) - np.log1p(values).mean()) / np.log1p(values).std(),
    }  # fmt: skip
    for kind in get_args(Scaling):
        np.testing.assert_allclose(Scaler.fit(made, kind).apply(values, 0), expected[kind], rtol=1e-12)


def test_known_windows() -> None:
    context, target = np.array([[1.0, NAN, 3.0, NAN]]), np.array([[5.0, 4.0]])
    known = {
        "none": ([1, NAN, 3, NAN], [5, 4]), "last": ([-2, NAN, 0, NAN], [2, 1]), "difference": ([0, 0, 2, 0], [2, -1]),
        "instance": (np.array([-1, NAN, 1, NAN]) / np.sqrt(1 + 1e-5), np.array([3, 2]) / np.sqrt(1 + 1e-5)),
        "seasonal": ([0, NAN, 2, NAN], [2, 1]),
    }  # fmt: skip
    for kind in get_args(WindowScaling):
        scale = WindowScale.of(context, kind, season=2)
        np.testing.assert_allclose(scale.context(context)[0], known[kind][0], rtol=1e-12)
        np.testing.assert_allclose(scale.target(target)[0], known[kind][1], rtol=1e-12)
    assert last_values(np.array([[NAN, NAN], [2, NAN]])).tolist() == [0, 2]


def test_seasons_of_windows() -> None:
    """Rows 2 and 3 of three seasons of four, with holes; the horizon begins in the middle of a season."""
    context = np.array([[1.0, 2, 3, 4, 5, 6, NAN, 8, 9, NAN]])
    scale = WindowScale.of(context, "seasonal", season=4)
    assert scale.shift.tolist() == [[3, 8, 9, 6]]  # the value at the hole is that of a season earlier
    assert scale.target(np.full((1, 6), 10.0)).tolist() == [[7, 2, 1, 4, 7, 2]]
    assert scale.invert(np.zeros((1, 5, 2)))[0, :, 1].tolist() == [3, 8, 9, 6, 3]
    np.testing.assert_array_equal(scale.context(context)[0], [0, 0, 0, 0, 4, 4, NAN, 4, 4, NAN])
    short = WindowScale.of(np.array([[7.0, NAN]]), "seasonal", season=3)
    assert short.shift.tolist() == [[7, 7, 7]]
    assert short.context(np.array([[7.0, 5.0]])).tolist() == [[0, 0]]


@SCALINGS
def test_later_rows_do_not_count(kind: Any) -> None:
    early = np.random.default_rng(0).uniform(1, 9, 30)
    whole = SeriesSet.from_arrays([np.append(early, [1e5, 2e5])])
    cut, alone = Scaler.fit(whole.cut(30), kind), Scaler.fit(SeriesSet.from_arrays([early]), kind)
    np.testing.assert_array_equal([cut.shift, cut.width], [alone.shift, alone.width])
    if kind != "none":
        assert Scaler.fit(whole, kind).width[0] != cut.width[0]


@SCALINGS
@pytest.mark.parametrize("value", [0.1, 7e9])
def test_constant_series(kind: Any, value: float) -> None:
    scaler = Scaler.fit(SeriesSet.from_arrays([[value] * 7]), kind)
    scaled = scaler.apply([value, value * 2], 0)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaler.invert(scaled, 0), [value, value * 2], rtol=1e-12)
    if kind not in ("none", "mean"):
        assert abs(scaled[0]) < 1e-6


def test_mostly_constant_series_have_a_robust_width() -> None:
    assert Scaler.fit(SeriesSet.from_arrays([[0, 0, 0, 0, 0, 0, 9]]), "robust").width[0] == pytest.approx(
        3.149, abs=1e-3
    )


def test_no_logarithm() -> None:
    made = SeriesSet.from_arrays([[1, 2], [3, 0]], names=["a", "b"])
    with pytest.raises(
        DataError, match=r"series 'b', 1 \(row 2 of the series\), column 'y': 0 has no logarithm; log1p takes zeros"
    ):
        Scaler.fit(made, "log")
    scaler = Scaler.fit(made, "log1p")
    for value in (np.float64(-1), [[0.0, -3.0]]):
        with pytest.raises(DataError, match=r"-[13] has no logarithm; choose another"):
            scaler.apply(value, 0)
    with pytest.raises(DataError, match="-1 has no logarithm"):
        Scaler.fit(SeriesSet.from_arrays([[2, -1]]), "log1p")
    with pytest.raises(UsageError, match="did you mean 'standard'"):
        Scaler.fit(made, "standart")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no window scaling"):
        WindowScale.of(np.ones((1, 2)), "first")  # type: ignore[arg-type]
