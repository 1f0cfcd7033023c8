"""Stopped anywhere and resumed, a training ends as if it had not been: bit for bit."""

from __future__ import annotations

import errno
import json
import os
import signal

import pytest
import torch

from rondo import storage
from rondo.errors import ModelError, RondoError, TrainingError, UsageError
from rondo.models.folder import prepare_output_folder
from rondo.training import TrainingOptions, remove_checkpoint, train
from tests.training.toy import (
    RaggedSource,
    TextEvaluator,
    TextModel,
    TextObjective,
    TextSource,
    Watcher,
    run,
    same,
    scripted,
    weights,
)


class Crash(Exception):
    pass


class Crashing(TextObjective):
    """Stops the program at its n-th call, as a power cut would."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def __call__(self, model, batch, carried):
        result = super().__call__(model, batch, carried)
        if self.calls == self.at:
            raise Crash
        return result


def crash_and_resume(folder, at: int, *, source=None, **options) -> tuple[TextModel, object]:
    options = {"learning_rate": 0.01, "steps": 30, **options}
    with pytest.raises(Crash):
        train(
            TextModel(seed=5), source or TextSource(), Crashing(at), TextEvaluator(), TrainingOptions(**options), folder
        )
    # The weights that the second program begins with are others: all must come from the checkpoint.
    return run(folder, model=TextModel(seed=6), source=source, resume=True, **options)


@pytest.mark.parametrize("at", [8, 9, 15, 21, 30])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimiser": "sgd", "momentum": 0.9},
        {"optimiser": "rmsprop", "momentum": 0.5},
        {"optimiser": "adam", "averaging": "ema", "average_start": 0.2},
        {"optimiser": "asgd", "schedule": "plateau", "plateau_patience": 0, "eval_every": 3},
        {"precision": "64"},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()) or "default",
)
def test_resumed_equals_uninterrupted(tmp_path, at, options):
    """Dropout is on and state is carried; the checkpoint before ``at`` lies in the middle of a pass."""
    options = {"checkpoint_steps": 7, "log_every": 4, **options}
    whole, summary = run(tmp_path / "whole", model=TextModel(seed=5), **options)
    resumed, again = crash_and_resume(tmp_path / "resumed", at, **options)
    assert same(weights(whole), weights(resumed))
    assert (summary.best, summary.final, summary.steps) == (again.best, again.final, again.steps)

    def record(history):
        timeless = [{k: v for k, v in event.items() if k != "seconds"} for event in history]
        return [event for event in timeless if event["event"] in ("train", "evaluation")]

    assert record(summary.history) == record(again.history)


def test_every_part_of_the_checkpoint_is_needed(tmp_path):
    """Without any one group of its tensors the result is another: none is saved in vain."""
    options = {"checkpoint_steps": 7, "averaging": "tail", "average_start": 0.1, "steps": 30, "learning_rate": 0.01}
    whole = weights(run(tmp_path / "whole", model=TextModel(seed=5), keep="last", **options)[0])
    for group in ("model/", "optimiser/", "average/", "process/0/random/torch", "process/0/carried/"):
        folder = tmp_path / group.replace("/", "-")
        with pytest.raises(Crash):
            train(
                TextModel(seed=5),
                TextSource(),
                Crashing(17),
                None,
                TrainingOptions(keep="last", **options),
                folder,
            )
        path = folder / "checkpoint.safetensors"
        tensors, metadata = storage.read_tensors(path), storage.read_metadata(path)
        generator = torch.Generator().manual_seed(8)
        changed = 0
        for name, tensor in tensors.items():
            if name.startswith(group):
                changed += 1
                if tensor.is_floating_point():
                    tensor += 0.01 * torch.rand(tensor.shape, generator=generator)
                else:
                    tensors[name] = torch.Generator().manual_seed(1234).get_state()
        assert changed
        storage.write_tensors(path, tensors, metadata)
        resumed, _ = run(folder, resume=True, keep="last", evaluate=False, **options)
        assert not same(whole, weights(resumed)), group


def test_resuming_before_the_first_checkpoint_begins_anew(tmp_path):
    folder = prepare_output_folder(tmp_path / "model")
    with pytest.raises(Crash):
        train(TextModel(), TextSource(), Crashing(3), None, TrainingOptions(steps=30, log_every=1), folder)
    assert len((folder / "log.jsonl").read_text().splitlines()) > 1
    prepare_output_folder(folder, resume=True)
    resumed, summary = run(folder, resume=True, log_every=1)
    whole, _ = run(tmp_path / "whole", log_every=1)
    assert same(weights(whole), weights(resumed))
    assert [event["step"] for event in summary.history if event["event"] == "train"] == list(range(1, 31))


def test_a_finished_training_stays_as_it_is(tmp_path):
    first, summary = run(tmp_path)
    before = storage.read_tensors(tmp_path / "checkpoint.safetensors")
    second, again = run(tmp_path, resume=True, model=TextModel(seed=77))
    assert same(weights(first), weights(second))
    assert (again.steps, again.best, again.stopped_why) == (summary.steps, summary.best, "steps")
    assert same(before, storage.read_tensors(tmp_path / "checkpoint.safetensors"))


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_a_finished_training_goes_on_with_a_larger_budget(tmp_path, schedule):
    """Where the schedule does not depend on the budget, as if the budget had been larger from the start."""
    options = {"schedule": schedule, "eval_every": 4, "plateau_patience": 0}
    run(tmp_path / "a", steps=13, **options)
    watcher = Watcher()
    longer, _ = run(tmp_path / "a", steps=30, resume=True, progress=watcher, **options)
    whole, _ = run(tmp_path / "b", steps=30, **options)
    assert same(weights(whole), weights(longer))
    assert ("message", "resumed with another option: steps 13 -> 30") in watcher.events


def test_minutes_resume_too(tmp_path):
    options = {"minutes": 0.02, "checkpoint_steps": 5, "steps": 10**6}
    resumed, summary = crash_and_resume(tmp_path / "a", 40, **options)
    assert summary.stopped_why == "minutes"
    again, _ = run(tmp_path / "b", model=TextModel(seed=5), steps=summary.steps, schedule_steps=summary.schedule_steps)
    assert same(weights(resumed), weights(again))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_a_checkpoint(tmp_path, number):
    class Interrupted(TextObjective):
        def __call__(self, model, batch, carried):
            result = super().__call__(model, batch, carried)
            if self.calls == 13:
                os.kill(os.getpid(), number)
            return result

    before = signal.getsignal(number)
    options = TrainingOptions(steps=30, learning_rate=0.01, eval_every=5, checkpoint_minutes=0)
    stopped = train(TextModel(), TextSource(), Interrupted(), TextEvaluator(), options, tmp_path / "a")
    assert signal.getsignal(number) == before
    assert (stopped.stopped_why, stopped.steps, stopped.best["step"]) == ("interrupted", 13, 10)
    resumed, summary = run(tmp_path / "a", resume=True, eval_every=5)
    whole, expected = run(tmp_path / "b", eval_every=5)
    assert same(weights(whole), weights(resumed))
    assert summary.best == expected.best


def test_a_second_interrupt_is_not_held_back(tmp_path):
    class Impatient(TextObjective):
        def __call__(self, model, batch, carried):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(model, batch, carried)

    with pytest.raises(KeyboardInterrupt):
        train(TextModel(), TextSource(), Impatient(), None, TrainingOptions(steps=3), tmp_path)


def test_checkpoints_come_by_steps_and_by_the_clock(tmp_path, monkeypatch):
    written = []
    real = storage.write_tensors
    monkeypatch.setattr(storage, "write_tensors", lambda path, *rest: written.append(path.name) or real(path, *rest))
    run(tmp_path / "steps", steps=20, checkpoint_steps=6)
    assert len(written) == 4
    written.clear()
    run(tmp_path / "clock", steps=20, checkpoint_minutes=1e-9)
    assert len(written) == 20
    written.clear()
    run(tmp_path / "end", steps=20, checkpoint_minutes=0)
    assert len(written) == 1


def test_a_checkpoint_is_not_trained_over_by_accident(tmp_path):
    run(tmp_path)
    with pytest.raises(UsageError, match="--resume"):
        run(tmp_path)
    remove_checkpoint(tmp_path)
    run(tmp_path)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"source": TextSource(seed=3)}, UsageError, "other data"),
        ({"source": TextSource(batches=9)}, UsageError, "other data"),
        ({"model": TextModel(hidden=13)}, TrainingError, "does not fit the model"),
        ({"optimiser": "sgd"}, UsageError, "with --optimiser adamw: it cannot go on with sgd"),
        ({"averaging": "ema"}, UsageError, "--averaging none"),
    ],
    ids=["text", "batches", "model", "optimiser", "averaging"],
)
def test_resuming_something_else_is_refused(tmp_path, change, error, message):
    run(tmp_path, steps=12)
    with pytest.raises(error, match=message):
        run(tmp_path, resume=True, **{"steps": 20, **change})


def test_other_threads_are_mentioned(tmp_path):
    run(tmp_path, steps=2)
    watcher = Watcher()
    try:
        run(tmp_path, steps=4, resume=True, threads=2, progress=watcher)
    finally:
        torch.set_num_threads(1)
    assert any("2 threads instead of 1" in str(what) for kind, what in watcher.events if kind == "message")


def damage_metadata(path):
    storage.write_tensors(path, {"a": torch.ones(2)})


def damage_standing(path):
    head = json.loads(storage.read_metadata(path)["training"])
    head["standing"]["surprise"] = 1
    storage.write_tensors(path, storage.read_tensors(path), {"training": json.dumps(head)})


def damage_format(path):
    head = json.loads(storage.read_metadata(path)["training"])
    head["format"] = 99
    storage.write_tensors(path, storage.read_tensors(path), {"training": json.dumps(head)})


def damage_pickle(path):
    torch.save({"step": 3}, path)


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_metadata, "does not say where"),
        (damage_standing, "does not say where"),
        (damage_format, "newer version"),
        (damage_pickle, "pickle"),
        (damage_cut, "damaged"),
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path, damage, message):
    run(tmp_path, steps=3)
    damage(tmp_path / "checkpoint.safetensors")
    with pytest.raises(ModelError, match=message):
        run(tmp_path, steps=5, resume=True)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *[(("standing", "step"), value) for value in ("x", -3, 2.0, True, 10**400)],
        *[(("standing", "best"), value) for value in (None, [], {"valid_loss": "a"})],
        (("standing", "metrics"), 3),
        (("standing", "seconds"), -1.0),
        (("standing", "seconds"), None),
        (("standing", "estimated_steps"), "9"),
        (("standing", "log_length"), -5),
        (("standing", "logged_step"), 10**9),
        (("standing", "evaluated_step"), 10**9),
        (("standing", "plateau_scale"), float("nan")),
        (("standing",), 3),
        (("options",), []),
        (("options", "minutes"), "soon"),
        (("identity",), [1]),
        (("threads",), None),
        (("format",), "1"),
    ],
    ids=str,
)
def test_a_checkpoint_that_says_what_cannot_be_is_refused(tmp_path, place, value):
    run(tmp_path, steps=3)
    path = tmp_path / "checkpoint.safetensors"
    head = inner = json.loads(storage.read_metadata(path)["training"])
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    storage.write_tensors(path, storage.read_tensors(path), {"training": json.dumps(head)})
    with pytest.raises(ModelError, match=r"checkpoint\.safetensors is damaged"):
        run(tmp_path, steps=5, resume=True)


@pytest.mark.parametrize("seed", [2**63, 1180591620717411303424, 10**400])
def test_seeds_have_64_bits(seed):
    with pytest.raises(UsageError, match="--seed must be from 0 to 9223372036854775807"):
        TrainingOptions(seed=seed)
    assert TrainingOptions(seed=2**63 - 1).seed


def test_a_full_disk_loses_only_the_steps_since_the_last_checkpoint(tmp_path, monkeypatch):
    real, disk = os.fsync, {"full": False}

    def fsync(handle):
        if disk["full"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    class Filling(TextObjective):
        def __call__(self, model, batch, carried):
            disk["full"] = self.calls >= 16
            return super().__call__(model, batch, carried)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "a"
    options = TrainingOptions(steps=30, learning_rate=0.01, checkpoint_steps=7)
    with pytest.raises(RondoError, match="the disk is full"):
        train(TextModel(), TextSource(), Filling(), None, options, folder)
    monkeypatch.undo()
    assert sorted(entry.name for entry in folder.iterdir()) == ["checkpoint.safetensors", "log.jsonl"]
    resumed, _ = run(folder, resume=True, evaluate=False, checkpoint_steps=7)
    whole, _ = run(tmp_path / "b", evaluate=False, checkpoint_steps=7)
    assert same(weights(whole), weights(resumed))


def test_ragged_batches_without_carried_state_resume(tmp_path):
    options = {"checkpoint_steps": 7, "epochs": 3}
    whole, _ = run(tmp_path / "a", model=TextModel(seed=5), source=RaggedSource(), **options)
    options["steps"] = 30
    resumed, _ = crash_and_resume(tmp_path / "b", 17, source=RaggedSource(), **options)
    assert same(weights(whole), weights(resumed))


def test_an_early_stop_is_remembered(tmp_path):
    options = TrainingOptions(steps=60, eval_every=2, patience=2)
    stopped = train(TextModel(), TextSource(), TextObjective(), scripted([1, 2, 3, 4]), options, tmp_path)
    again = train(TextModel(), TextSource(), TextObjective(), scripted([0, 0]), options, tmp_path, resume=True)
    assert (stopped.steps, again.steps, again.stopped_why) == (6, 6, "patience")
