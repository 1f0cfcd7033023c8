"""Figures say what the figures are."""

import math

import numpy as np
import pytest

from rondo.inspect import Metric, Score, plots
from rondo.inspect.class_plots import signal_with_influence

LOSS = Metric("loss", better="lower")
SHARE = Metric("share", better="higher", percent=True, digits=1)
HISTORY = [{"step": i, "train": 4.0 * math.exp(-i / 10) + 1.4} for i in range(101)]
HISTORY += [{"step": i, "valid": 1.5 + (i - 60) ** 2 / 4000} for i in range(0, 101, 20)]


def curves(**options):
    return plots.learning_curves(
        HISTORY, {"train": "training", "valid": "validation"}, metric=options.pop("metric", LOSS), **options
    )


def test_learning_curves_draw_each_series_and_baselines_as_level_lines():
    drawn = curves(baselines=[Score("Kneser-Ney", 1.558), Score("broken", math.nan)])
    assert [trace.name for trace in drawn.data] == ["training", "validation", "Kneser-Ney: 1.558"]
    assert list(drawn.data[1].x) == [0, 20, 40, 60, 80, 100]
    assert list(drawn.data[2].x) == [0, 100]
    assert set(drawn.data[2].y) == {1.558}
    assert drawn.layout.xaxis.title.text == "step"
    assert curves(language="zh").layout.xaxis.title.text == "步"


def test_best_point_is_the_lowest_or_the_highest():
    best = curves(mark_best="valid").data[-1]
    assert (best.x, best.y, best.name) == ((60.0,), (1.5,), "best: 1.500")
    other = curves(mark_best="valid", metric=Metric("accuracy", better="higher")).data[-1]
    assert other.x == (0.0,)
    level = [{"step": i, "a": min(i, 3) / 9} for i in range(7)]
    first = plots.learning_curves(level, {"a": "a"}, metric=SHARE, mark_best="a").data[-1]
    assert first.x == (3.0,)  # those weights are kept which are the first with the best score
    assert len(curves().data) == 2
    kept = curves(mark_best="valid", kept=40).data[-1]
    assert (kept.x, kept.name[:5]) == ((40.0,), "kept:")
    assert curves(mark_best="valid", kept=40, language="zh").data[-1].name.startswith("保留")


def test_first_steps_do_not_set_the_range_unless_asked():
    assert curves().layout.yaxis.range[1] < 3.5
    assert curves(focus=0.0).layout.yaxis.range[1] > 5.0
    slow = [{"step": i, "a": 2.0 - i / 100} for i in range(101)]
    assert plots.learning_curves(slow, {"a": "a"}, metric=LOSS).layout.yaxis.range[1] > 2
    low = curves(baselines=[Score("far", 0.2)]).layout.yaxis.range[0]
    assert low < 0.2 < curves().layout.yaxis.range[0]


def test_a_few_points_are_all_shown():
    few = [{"step": i, "a": 9.0 / (i + 1)} for i in range(6)]
    assert plots.learning_curves(few, {"a": "a"}, metric=LOSS).layout.yaxis.range[1] > 9
    one = plots.learning_curves(few[3:4], {"a": "a"}, metric=LOSS, baselines=[Score("KN", 1.5)])
    assert list(one.data[1].x) == [0.0, 3.0]


def test_long_legend_gets_room_and_yardsticks_their_colour():
    name = "a baseline with quite a long name indeed, longer than most"
    long = curves(baselines=[Score(name, 1.5), Score("longer run", 1.4, role="yardstick")])
    assert long.layout.height > curves(baselines=[Score("KN", 1.5)]).layout.height == 380
    assert long.data[2].line.color != long.data[3].line.color


def test_other_axis_and_missing_values():
    rows = [{"epoch": 1, "a": 2.0, "step": 10}, {"epoch": 2, "a": None, "step": 20}, {"epoch": 3, "a": math.nan}]
    drawn = plots.learning_curves(rows, {"a": "a", "absent": "b"}, metric=LOSS, x="epoch")
    assert list(drawn.data[0].x) == [1.0, 3.0]
    assert list(drawn.data[0].y) == [2.0, None]
    assert drawn.layout.xaxis.title.text == "epoch"
    assert len(plots.learning_curves([], {"a": "a"}, metric=LOSS, mark_best="a").data) == 0


def test_long_logs_are_thinned_to_means():
    x = np.arange(10_001.0)
    y = np.random.default_rng(0).normal(size=10_001)
    few_x, few_y = plots.thinned(x, y)
    assert len(few_x) == len(few_y) == plots.MOST_POINTS
    assert few_x[0] == pytest.approx(x[:26].mean())
    assert few_y[0] == pytest.approx(y[:26].mean())
    assert plots.thinned([1, 2], [3, 4], most=2) == ([1, 2], [3, 4])


def test_interval_bars_are_ranked_and_reach_past_their_intervals():
    scores = [
        Score("majority", 0.1, 0.08, 0.13),
        Score("network", 0.978, 0.96, 0.99, role="ours"),
        Score("published", 0.99, role="yardstick"),
        Score("failed", math.nan),
    ]
    drawn = plots.interval_bars(scores, metric=SHARE)
    bars, intervals = drawn.data
    assert list(bars.x) == [0.99, 0.978, 0.1]
    assert [a.text for a in drawn.layout.annotations] == ["99.0 %", "97.8 %", "10.0 %"]
    assert [round(v, 3) for v in intervals.error_x.array] == [0.012, 0.03]
    assert [round(v, 3) for v in intervals.error_x.arrayminus] == [0.018, 0.02]
    assert list(intervals.y) == [1, 2]
    assert drawn.layout.yaxis.ticktext[1] == "<b>network</b>"
    assert drawn.layout.xaxis.range[0] == 0
    assert drawn.layout.xaxis.range[1] > 0.99
    assert bars.marker.color[0] != bars.marker.color[1] != bars.marker.color[2]
    assert drawn.layout.xaxis.title.text == "share, higher is better"
    assert len(plots.interval_bars(scores[2:3], metric=SHARE).data) == 1
    assert plots.interval_bars([Score("a", -0.5, -0.6, -0.4)], metric=LOSS).layout.xaxis.range[0] == -0.6
    assert "越低越好" in plots.interval_bars(scores, metric=LOSS, language="zh").layout.xaxis.title.text


def test_lines_options_show():
    series = {"a": ([0, 1, 2], [0.1, math.inf, 0.3]), "b": ([0], [0.2])}
    drawn = plots.lines(series, x_title="x", y_title="y", percent=True, height=222)
    assert list(drawn.data[0].y) == [0.1, None, 0.3]
    assert [trace.mode for trace in drawn.data] == ["lines+markers", "lines+markers"]
    assert drawn.layout.yaxis.tickformat == ".0%"
    assert drawn.layout.height == 222
    assert drawn.layout.showlegend is True
    many = plots.lines({"a": (range(13), range(13))})
    assert many.data[0].mode == "lines"
    assert many.layout.showlegend is False


def test_long_names_are_broken():
    drawn = plots.interval_bars([Score("a rather long name of a rather plain baseline", 1.0)], metric=LOSS)
    assert "<br>" in drawn.layout.yaxis.ticktext[0]
    chinese = plots.interval_bars([Score("一个名字相当长而且没有空格的基线模型", 1.0)], metric=LOSS)
    assert "<br>" in chinese.layout.yaxis.ticktext[0]


@pytest.mark.parametrize(("metric", "reach"), [(SHARE, 0.05), (LOSS, 1.0)], ids=["share", "loss"])
def test_a_curve_that_stays_at_zero_has_a_narrow_range_of_shares(metric, reach):
    flat = [{"step": step, "a": 0.0} for step in range(4)]
    assert list(plots.learning_curves(flat, {"a": "a"}, metric=metric).layout.yaxis.range) == [-reach, reach]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_signal_stands_above_its_bars_and_several_channels_have_a_legend(channels):
    drawn = signal_with_influence(np.random.default_rng(0).normal(size=(9, channels)), np.arange(9) - 4.0)
    assert drawn.layout.xaxis.anchor == "y2"  # the title of the steps is below the bars
    assert [trace.showlegend for trace in drawn.data] == [channels > 1] * channels + [False]
