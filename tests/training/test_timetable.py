"""The timetable: what is a function of the step, and that an estimate changes nothing that was done before."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rondo.errors import UsageError
from rondo.training import TrainingOptions
from rondo.training.schedules import Timetable


def rates(batches_per_epoch: int = 10, **options: object) -> list[float]:
    timetable = Timetable(TrainingOptions(**options), batches_per_epoch)
    return [timetable.learning_rate(step) for step in range(timetable.steps)]


def evaluations(timetable: Timetable, steps: int) -> list[int]:
    return [step for step in range(1, steps + 1) if timetable.evaluates_after(step)]


def test_a_budget_is_needed():
    with pytest.raises(UsageError, match="--epochs, --steps or --minutes"):
        Timetable(TrainingOptions(), 10)


def test_cosine_holds_then_falls_along_half_a_wave():
    values = rates(steps=100, learning_rate=2.0, hold=0.2, final_lr=0.1)
    assert values[:20] == [2.0] * 20
    assert values[60] == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert values[40] == pytest.approx(2.0 * (0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2))
    assert all(a > b for a, b in itertools.pairwise(values[20:]))


def test_linear_falls_along_a_line():
    values = rates(steps=100, schedule="linear", learning_rate=1.0, hold=0.0, final_lr=0.5)
    assert values[50] == pytest.approx(0.75)
    assert values[0] == pytest.approx(1.0)
    differences = {round(a - b, 12) for a, b in itertools.pairwise(values)}
    assert differences == {0.005}


def test_warm_up_rises_in_equal_steps_and_multiplies_the_schedule():
    values = rates(steps=100, schedule="constant", learning_rate=1.0, warmup_steps=4)
    assert values[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    long = rates(steps=100, learning_rate=1.0, warmup_steps=80)
    assert long[50] == pytest.approx(rates(steps=100, learning_rate=1.0)[50] * 51 / 80)


def test_plateau_stays_at_the_peak():
    assert set(rates(steps=50, schedule="plateau", learning_rate=0.5)) == {0.5}


def test_the_shorter_of_two_budgets_counts():
    timetable = Timetable(TrainingOptions(steps=50, epochs=3), 10)
    assert timetable.steps == timetable.length == 30
    assert timetable.stop_reason(29, 0, 0) is None
    assert timetable.stop_reason(30, 0, 0) == "epochs"
    assert Timetable(TrainingOptions(steps=20, epochs=3), 10).stop_reason(20, 0, 0) == "steps"


def test_patience_ends_training():
    timetable = Timetable(TrainingOptions(steps=50, patience=3), 10)
    assert timetable.stop_reason(5, 0, 2) is None
    assert timetable.stop_reason(5, 0, 3) == "patience"


def test_evaluations_come_after_epochs_or_evenly_or_as_asked():
    assert evaluations(Timetable(TrainingOptions(epochs=3), 10), 30) == [10, 20, 30]
    assert evaluations(Timetable(TrainingOptions(steps=40, evaluations=8), 10), 40) == list(range(5, 41, 5))
    spread = evaluations(Timetable(TrainingOptions(steps=40, evaluations=8, hold=0.25), 10), 40)
    assert spread == list(range(15, 41, 5))
    assert evaluations(Timetable(TrainingOptions(epochs=3, eval_every=7), 10), 30) == [7, 14, 21, 28]
    assert evaluations(Timetable(TrainingOptions(steps=3), 10), 3) == [2, 3]


def test_averaging_starts_at_its_share():
    timetable = Timetable(TrainingOptions(steps=40, averaging="tail", average_start=0.75), 10)
    assert [step for step in range(41) if timetable.averages_after(step)] == list(range(30, 41))


def test_a_budget_in_minutes_is_turned_into_steps_once():
    options = TrainingOptions(minutes=1, hold=0.1)
    timetable = Timetable(options, 10)
    assert timetable.learning_rate(10**6) == options.learning_rate
    fixed = [step for step in range(1, 200) if timetable.estimate(step, step * 0.1, 0.0)]
    assert fixed == [60]
    assert timetable.steps == timetable.length == 600
    assert timetable.stop_reason(599, 59.9, 0) is None
    assert timetable.stop_reason(600, 60.0, 0) == "minutes"
    assert timetable.stop_reason(500, 61.9, 0) == "minutes"


def test_the_estimate_leaves_time_for_evaluations():
    timetable = Timetable(TrainingOptions(minutes=1, evaluations=10, hold=0.1), 10)
    step = next(step for step in range(1, 1000) if timetable.estimate(step, 2 + step * 0.1, 2.0))
    assert step == 38
    assert timetable.steps == 380  # 2 s at the beginning, 38 s of steps, 9 x 2 s, and 2 s at the end


def test_a_longer_step_budget_does_not_lengthen_minutes():
    timetable = Timetable(TrainingOptions(minutes=1, steps=100), 10)
    assert timetable.estimate(60, 6.0, 0.0)
    assert timetable.steps == timetable.length == 100


@settings(deadline=None, max_examples=200)
@given(
    step_seconds=st.floats(0.001, 30),
    evaluation_seconds=st.floats(0, 20),
    hold=st.floats(0.01, 1),
    evaluations_wanted=st.integers(1, 50),
    average_start=st.floats(0, 1),
    warmup=st.integers(0, 100),
)
def test_a_rerun_by_steps_repeats_a_run_by_minutes(
    step_seconds, evaluation_seconds, hold, evaluations_wanted, average_start, warmup
):
    """At every step, before and after the estimate, both do the same."""
    same = {
        "hold": hold,
        "evaluations": evaluations_wanted,
        "average_start": average_start,
        "averaging": "tail",
        "warmup_steps": warmup,
    }
    timed = Timetable(TrainingOptions(minutes=5, **same), 10)
    done, seconds, step = [], evaluation_seconds, 0
    while not timed.stop_reason(step, seconds, 0) and step < 3000:
        rate = timed.learning_rate(step)
        step += 1
        seconds += step_seconds
        timed.estimate(step, seconds, evaluation_seconds)
        done.append((rate, timed.averages_after(step), timed.evaluates_after(step)))
        seconds += evaluation_seconds * timed.evaluates_after(step)
    length = timed.length_to_record(step)
    again = Timetable(TrainingOptions(steps=step, schedule_steps=length, **same), 10)
    repeated = [
        (again.learning_rate(s), again.averages_after(s + 1), again.evaluates_after(s + 1)) for s in range(step)
    ]
    assert repeated == done


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimiser": "adma"}, "did you mean 'adam"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"precision": "16"}, "--precision cannot be '16'"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"learning_rate": math.nan}, "--learning-rate"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"epochs": 1.5}, "--epochs must be a whole number, not 1.5"),
        ({"steps": "10"}, "--steps must be a whole number, not '10'"),
        ({"learning_rate": None}, "--learning-rate must be a number, not None"),
        ({"seed": True}, "--seed must be a whole number"),
        ({"minutes": -1.0}, "--minutes"),
        ({"clip_norm": -1.0}, "--clip-norm must be at least 0"),
        ({"hold": 1.5}, "from 0 to 1"),
        ({"betas": (0.9, 1.0)}, "--betas"),
        ({"momentum": 0.9, "optimiser": "adam"}, "--momentum has no meaning for --optimiser adam"),
        ({"smoothing": 0.9, "optimiser": "sgd"}, "--smoothing has no meaning"),
        ({"minutes": 1.0, "hold": 0.0}, "--minutes needs --hold"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        TrainingOptions(**options)


def test_the_time_left_is_estimated_from_the_steps_alone():
    by_steps = Timetable(TrainingOptions(steps=50), 10)
    assert by_steps.seconds_left(5, 110.0, before_steps=100.0) == pytest.approx(90.0)
    assert by_steps.seconds_left(0, 100.0, before_steps=100.0) == math.inf
    by_the_clock = Timetable(TrainingOptions(minutes=2), 10)
    assert by_the_clock.seconds_left(5, 30.0, before_steps=20.0) == pytest.approx(90.0)
