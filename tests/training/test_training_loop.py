"""The loop: it learns, every option changes what it does, and evaluations leave no trace."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn

from rondo.errors import RondoError, TrainingError, UsageError
from rondo.training import Activations, Result, TrainingOptions, train
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


def test_it_learns_and_keeps_the_best_weights(tmp_path):
    model, summary = run(tmp_path, steps=150)
    first = summary.history[2]
    assert (first["event"], first["step"]) == ("evaluation", 0)
    assert summary.best["valid_loss"] < 0.6 * first["valid_loss"]
    assert summary.best["valid_loss"] == min(e["valid_loss"] for e in summary.history if "valid_loss" in e)
    assert TextEvaluator()(model)["valid_loss"] == summary.best["valid_loss"]
    assert not model.training
    assert (summary.steps, summary.schedule_steps, summary.epochs) == (150, 150, 15.0)
    assert summary.parameters == sum(p.numel() for p in TextModel().parameters())


def test_the_same_seed_gives_the_same_run_and_another_does_not(tmp_path):
    runs = [weights(run(tmp_path / str(i), seed=seed)[0]) for i, seed in enumerate([4, 4, 5])]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_it_does_what_a_loop_written_by_hand_does(tmp_path):
    """SGD with momentum, clipping and carried state, against torch used directly."""
    model, _ = run(
        tmp_path,
        model=TextModel(dropout=0.0),
        steps=15,
        optimiser="sgd",
        momentum=0.9,
        learning_rate=0.5,
        schedule="constant",
        clip_norm=0.4,
        keep="last",
    )
    other, source, objective = TextModel(dropout=0.0), TextSource(), TextObjective()
    optimiser = torch.optim.SGD(other.parameters(), lr=0.5, momentum=0.9)
    carried = None
    for step in range(15):
        batch = source.batch(*divmod(step, 10))
        result = objective(other, batch, None if batch.fresh else carried)
        (result.loss_sum / result.count).backward()
        nn.utils.clip_grad_norm_(other.parameters(), 0.4)
        optimiser.step()
        optimiser.zero_grad()
        carried = result.carried.detach()
    for name, tensor in weights(other).items():
        torch.testing.assert_close(weights(model)[name], tensor, rtol=1e-5, atol=1e-7)


# Options that must change the weights: what the run has besides, and the option.
CHANGES = [
    ({}, {"learning_rate": 0.02}),
    ({}, {"optimiser": "adam", "weight_decay": 0.1}),
    ({}, {"optimiser": "sgd"}),
    ({}, {"optimiser": "rmsprop"}),
    ({}, {"optimiser": "asgd"}),
    ({"optimiser": "sgd"}, {"optimiser": "asgd"}),
    ({"optimiser": "sgd"}, {"momentum": 0.9}),
    ({"optimiser": "asgd"}, {"momentum": 0.9}),
    ({"optimiser": "rmsprop"}, {"momentum": 0.9}),
    ({"optimiser": "rmsprop"}, {"smoothing": 0.9}),
    ({"optimiser": "rmsprop"}, {"epsilon": 1e-3}),
    ({}, {"epsilon": 1e-3}),
    ({}, {"betas": (0.8, 0.99)}),
    ({"optimiser": "adam"}, {"betas": (0.8, 0.99)}),
    ({}, {"schedule": "linear"}),
    ({}, {"schedule": "constant"}),
    ({}, {"schedule_steps": 60}),
    ({}, {"warmup_steps": 5}),
    ({}, {"hold": 0.5}),
    ({}, {"final_lr": 0.5}),
    ({}, {"clip_norm": 0.05}),
    ({"optimiser": "sgd"}, {"clip_norm": 0.0, "learning_rate": 3.0}),
    ({}, {"clip_value": 0.01}),
    ({}, {"weight_decay": 0.1}),
    ({"optimiser": "sgd"}, {"weight_decay": 0.1}),
    ({"optimiser": "rmsprop"}, {"weight_decay": 0.1}),
    ({}, {"l1": 0.01}),
    ({}, {"activation_reg": 1.0}),
    ({}, {"temporal_activation_reg": 1.0}),
    ({}, {"averaging": "tail"}),
    ({}, {"averaging": "ema"}),
    ({"averaging": "tail"}, {"average_start": 0.2}),
    ({"averaging": "ema"}, {"average_start": 0.2}),
    ({"averaging": "ema"}, {"ema_decay": 0.9}),
    ({}, {"precision": "bf16-mixed"}),
    ({}, {"precision": "64"}),
    ({}, {"seed": 1}),
    ({}, {"steps": 29}),
    ({"epochs": 2}, {"epochs": 3}),
]


@pytest.mark.parametrize(("base", "change"), CHANGES, ids=lambda value: ",".join(f"{k}={v}" for k, v in value.items()))
def test_an_option_changes_the_weights(tmp_path, base, change):
    base = {"keep": "last", **base}
    without = weights(run(tmp_path / "a", evaluate=False, **base)[0])
    with_it = weights(run(tmp_path / "b", evaluate=False, **{**base, **change})[0])
    assert all(torch.isfinite(tensor).all() for tensor in with_it.values())
    assert not same(without, with_it)


def test_weight_decay_and_l1_leave_vectors_alone_and_shrink_matrices(tmp_path):
    plain = weights(run(tmp_path / "a", steps=60, evaluate=False)[0])
    for number, options in enumerate([{"weight_decay": 2.0}, {"l1": 0.05}]):
        shrunk = weights(run(tmp_path / str(number), steps=60, evaluate=False, **options)[0])
        for name, tensor in plain.items():
            if tensor.ndim > 1:
                assert shrunk[name].abs().sum() < 0.9 * tensor.abs().sum(), name
    one = TextModel()
    frozen = train(
        one,
        TextSource(),
        lambda model, batch, carried: Result(loss_sum=0 * sum(p.sum() for p in model.parameters()), count=1),
        None,
        TrainingOptions(steps=20, weight_decay=0.5, l1=0.01),
        tmp_path / "zero",
    )
    assert frozen.steps == 20
    for (name, after), before in zip(weights(one).items(), weights(TextModel()).values(), strict=True):
        assert torch.equal(after, before) == (after.ndim < 2), name


def test_activation_penalties_are_means_over_what_is_not_padding(tmp_path):
    """Against the penalties written out, on ragged lengths; the gradient of a plain SGD step tells."""
    torch.manual_seed(0)
    raw, dropped = torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    lengths = torch.tensor([5, 2, 0])

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.raw, self.dropped = nn.Parameter(raw.clone()), nn.Parameter(dropped.clone())

    def objective(model, batch, carried):
        activations = Activations(raw=model.raw, dropped=model.dropped, lengths=lengths)
        return Result(loss_sum=0 * model.raw.sum(), count=3, activations=activations)

    model = Holder()
    options = TrainingOptions(
        steps=1,
        optimiser="sgd",
        learning_rate=1.0,
        schedule="constant",
        clip_norm=0,
        activation_reg=0.3,
        temporal_activation_reg=0.7,
    )
    train(model, TextSource(), objective, None, options, tmp_path)
    rows = [(0, 5), (1, 2)]
    a, b = raw.clone().requires_grad_(), dropped.clone().requires_grad_()
    real = torch.cat([b[row, :length] for row, length in rows])
    changes = torch.cat([a[row, 1:length] - a[row, : length - 1] for row, length in rows])
    (0.3 * real.square().mean() + 0.7 * changes.square().mean()).backward()
    torch.testing.assert_close(model.raw.detach(), raw - a.grad)
    torch.testing.assert_close(model.dropped.detach(), dropped - b.grad)


def test_an_activation_penalty_without_activations_is_refused(tmp_path):
    def objective(model, batch, carried):
        return Result(loss_sum=model.start.sum(), count=1)

    with pytest.raises(UsageError, match="does not offer"):
        train(TextModel(), TextSource(), objective, None, TrainingOptions(steps=1, activation_reg=1.0), tmp_path)


@pytest.mark.parametrize("averaging", ["tail", "ema"])
def test_the_average_is_what_it_says(tmp_path, averaging):
    """Runs that end one step later each give the terms of the average."""
    options = {"schedule": "constant", "keep": "last", "evaluate": False, "schedule_steps": 10}
    terms = [weights(run(tmp_path / str(steps), steps=steps, **options)[0])["out.weight"] for steps in range(6, 11)]
    averaged, _ = run(tmp_path / "average", steps=10, averaging=averaging, average_start=0.6, ema_decay=0.7, **options)
    expected = terms[0]
    for number, term in enumerate(terms[1:], start=1):
        old = number / (number + 1) if averaging == "tail" else 0.7
        expected = old * expected + (1 - old) * term
    torch.testing.assert_close(averaged.out.weight.detach(), expected)


def test_evaluations_leave_no_trace(tmp_path):
    results = [
        weights(run(tmp_path / "none", evaluate=False)[0]),
        weights(run(tmp_path / "few", keep="last")[0]),
        weights(run(tmp_path / "many", keep="last", eval_every=1)[0]),
    ]
    assert same(results[0], results[1])
    assert same(results[0], results[2])


def test_an_average_is_evaluated_but_not_trained_on(tmp_path):
    plain, _ = run(tmp_path / "a", keep="last", averaging="none", steps=30)
    seen = {}

    class Watching(TextEvaluator):
        def __call__(self, model):
            seen["weights"] = weights(model)
            return super().__call__(model)

    model = TextModel()
    options = TrainingOptions(steps=30, learning_rate=0.01, averaging="tail", eval_every=1, keep="last")
    summary = train(model, TextSource(), TextObjective(), Watching(), options, tmp_path / "b")
    assert same(seen["weights"], weights(model))
    assert not same(weights(plain), weights(model))
    lines = {kind: [e["step"] for e in summary.history if e["event"] == kind] for kind in ("train", "evaluation")}
    assert lines["train"] == [step for step in lines["evaluation"] if step]  # fewer steps than a line of the log


def test_weights_that_are_able_to_begin_with_may_stay_the_best(tmp_path):
    for able, losses, step in ((True, [9.5, 10], 0), (False, [9.5, 10], 4), (True, [9.5, 1], 8)):
        model = TextModel()
        before, options = weights(model), TrainingOptions(steps=8, evaluations=2)
        folder = tmp_path / f"{able}{step}"
        summary = train(model, TextSource(), TextObjective(), scripted(losses), options, folder, begins_able=able)
        assert summary.best["step"] == step
        assert same(weights(model), before) == (step == 0)


def run_scripted(folder, values, **options):
    model = TextModel()
    options = {"learning_rate": 0.01, "schedule": "constant", "eval_every": 2, **options}
    return model, train(model, TextSource(), TextObjective(), scripted(values), TrainingOptions(**options), folder)


def test_patience_counts_evaluations_without_a_better_metric(tmp_path):
    model, summary = run_scripted(tmp_path / "a", [3, 2, 2.5, 1, 1, 1.5, 2, 0], steps=100, patience=3)
    assert (summary.stopped_why, summary.steps) == ("patience", 14)
    assert summary.best == {"valid_loss": 1.0, "step": 8}
    at_best, _ = run_scripted(tmp_path / "b", [0] * 5, steps=8, keep="last")
    assert same(weights(model), weights(at_best))


def test_a_metric_that_is_not_a_number_is_never_the_best(tmp_path):
    _, summary = run_scripted(tmp_path, [float("nan"), 4, float("nan"), 5], steps=8)
    assert summary.best == {"valid_loss": 4.0, "step": 4}


def test_another_metric_can_decide(tmp_path):
    _, summary = run(tmp_path, metric="accuracy", steps=60)
    accuracies = [event["accuracy"] for event in summary.history if event.get("event") == "evaluation"][1:]
    assert summary.best["accuracy"] == max(accuracies)
    with pytest.raises(UsageError, match="no metric 'acuracy'; did you mean 'accuracy'"):
        run(tmp_path / "b", metric="acuracy")


def test_a_plateau_lowers_the_learning_rate(tmp_path):
    values = [3, 3, 3, 3, 2, 2, 2, 2]
    _, summary = run_scripted(
        tmp_path, values, steps=16, schedule="plateau", plateau_factor=0.1, plateau_patience=1, log_every=2
    )
    logged = [event["learning_rate"] for event in summary.history if event["event"] == "train"]
    assert logged == pytest.approx([0.01] * 3 + [0.001] * 4 + [0.0001])
    _, summary = run_scripted(
        tmp_path / "b", values, steps=16, schedule="plateau", plateau_factor=0.1, plateau_patience=3, log_every=2
    )
    assert [e["learning_rate"] for e in summary.history if e["event"] == "train"] == pytest.approx([0.01] * 8)


def test_keep_last_keeps_the_last(tmp_path):
    values = [1, 2, 3, 4]
    best, _ = run_scripted(tmp_path / "a", values, steps=8)
    last, _ = run_scripted(tmp_path / "b", values, steps=8, keep="last")
    assert not same(weights(best), weights(last))


def test_minutes_are_kept_and_a_rerun_by_steps_gives_the_same_weights(tmp_path):
    options = {"averaging": "ema", "warmup_steps": 5, "evaluations": 6}
    model, summary = run(tmp_path / "a", minutes=0.025, **options)
    assert summary.stopped_why == "minutes"
    assert 0.3 * 1.5 < summary.seconds < 1.2 * 1.5
    again, repeated = run(tmp_path / "b", steps=summary.steps, schedule_steps=summary.schedule_steps, **options)
    assert same(weights(model), weights(again))
    assert repeated.best == summary.best


def test_the_log_says_what_happened(tmp_path):
    _, summary = run(tmp_path, steps=40, log_every=10, evaluations=4, schedule="constant")
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert events == summary.history
    trained = [event for event in events if event["event"] == "train"]
    assert [event["step"] for event in trained] == [10, 20, 30, 40]
    assert trained[0]["loss"] > trained[-1]["loss"]
    assert all(event["learning_rate"] == 0.01 and event["gradient_norm"] > 0 for event in trained)
    assert events[1]["options"]["log_every"] == 10
    assert events[-1]["why"] == "steps"


def test_the_logged_loss_is_the_mean_since_the_last_line(tmp_path):
    source, losses, counts = RaggedSource(), [], []

    class Noting(TextObjective):
        def __call__(self, model, batch, carried):
            result = super().__call__(model, batch, carried)
            losses.append(result.loss_sum.item())
            counts.append(result.count)
            return result

    options = TrainingOptions(steps=20, log_every=10)
    summary = train(TextModel(), source, Noting(), None, options, tmp_path)
    logged = [event["loss"] for event in summary.history if event["event"] == "train"]
    assert len(set(counts)) > 1
    assert logged[1] == pytest.approx(sum(losses[10:]) / sum(counts[10:]), rel=1e-5)


def test_who_watches_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("rondo.training.run._UPDATE_SECONDS", 0.0)
    watcher = Watcher()
    _, summary = run(tmp_path, steps=20, evaluations=4, progress=watcher)
    kinds = [kind for kind, _ in watcher.events]
    assert kinds[0] == "start"
    assert kinds.count("update") == 20
    assert [what["step"] for kind, what in watcher.events if kind == "evaluation"] == [0, 5, 10, 15, 20]
    last = [what for kind, what in watcher.events if kind == "update"][-1]
    assert (last.step, last.fraction, last.seconds_left) == (20, 1.0, 0.0)
    assert last.rate > 0
    assert watcher.events[-1] == ("finish", summary)


def test_tensorboard_is_written_if_wanted(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path / "without")
    assert not (tmp_path / "without" / "tensorboard").exists()
    _, summary = run(tmp_path / "with", steps=40, log_every=10, evaluations=4, tensorboard=True)
    board = EventAccumulator(str(tmp_path / "with" / "tensorboard"))
    board.Reload()
    logged = [event["loss"] for event in summary.history if event["event"] == "train"]
    assert [point.step for point in board.Scalars("train/loss")] == [10, 20, 30, 40]
    assert [point.value for point in board.Scalars("train/loss")] == pytest.approx(logged)


def test_a_missing_tensorboard_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"rondo\[tensorboard\]"):
        run(tmp_path, tensorboard=True)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_stops_training_and_overwrites_nothing(tmp_path, where):
    from rondo import storage

    class Breaking(TextObjective):
        def __call__(self, model, batch, carried):
            result = super().__call__(model, batch, carried)
            if self.calls == 13:
                factor = torch.full((), float("inf"))
                broken = result.loss_sum * factor if where == "loss" else breaks_gradient(result.loss_sum)
                return Result(loss_sum=broken, count=result.count, carried=result.carried)
            return result

    model = TextModel()
    options = TrainingOptions(steps=30, checkpoint_steps=6, eval_every=4)
    with pytest.raises(TrainingError, match=f"at step 13 the {'loss' if where == 'loss' else 'norm'}") as caught:
        train(model, TextSource(), Breaking(), TextEvaluator(), options, tmp_path)
    assert "--learning-rate" in str(caught.value)
    batch = storage.read_tensors(tmp_path / "nonfinite-batch.safetensors")
    assert torch.equal(batch["inputs"], TextSource().batch(1, 2).inputs)
    assert all(torch.isfinite(tensor).all() for tensor in weights(model).values())
    saved = storage.read_tensors(tmp_path / "checkpoint.safetensors")
    assert all(torch.isfinite(tensor).all() for name, tensor in saved.items() if name.startswith("model/"))
    # The same batch is harmless to a whole objective: going on from the checkpoint works.
    assert run(tmp_path, resume=True, steps=30)[1].steps == 30


class _BreaksGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("nan")


def breaks_gradient(x: torch.Tensor) -> torch.Tensor:
    return _BreaksGradient.apply(x)


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    class Second(TextObjective):
        def __call__(self, model, batch, carried):
            if self.calls == 0:
                with pytest.raises(UsageError, match="another training is writing"):
                    run(tmp_path)
            return super().__call__(model, batch, carried)

    objective = Second()
    train(TextModel(), TextSource(), objective, None, TrainingOptions(steps=2), tmp_path)
    assert objective.calls == 2


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cpu:1"])
def test_a_device_that_does_not_exist_is_refused(tmp_path, device):
    with pytest.raises(UsageError, match=f"--device cannot be '{device}'"):
        run(tmp_path, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no GPU that torch can use"):
        run(tmp_path, device="cuda")


def test_threads_are_set(tmp_path):
    before = torch.get_num_threads()
    try:
        _, summary = run(tmp_path, steps=1, threads=2)
        assert torch.get_num_threads() == 2
        assert summary.history[1]["threads"] == 2
    finally:
        torch.set_num_threads(before)


def test_a_log_that_cannot_be_written_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RondoError, match="cannot write"):
        run(tmp_path / "file" / "model")


def test_bfloat16_is_refused_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from rondo.training.processes import _fabric_precision

    options = TrainingOptions(precision="bf16-mixed")
    for found, fine in (({"avx2": True}, False), ({"avx2": True, "avx512_bw": True}, True), ({}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found, raising=False)
        if fine:
            assert _fabric_precision(options, "cpu") == "bf16-mixed"
        else:
            with pytest.raises(UsageError, match="this processor has no bfloat16"):
                _fabric_precision(options, "cpu")
