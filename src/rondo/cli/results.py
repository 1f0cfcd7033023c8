"""Figures for people: what a training or an evaluation has found, beside its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Any

from rondo.cli import forecasting
from rondo.cli.output import duration, table, wrapped
from rondo.evaluation.classification import score_title
from rondo.inspect import compare, metric_of, scores_of
from rondo.tasks import language
from rondo.tasks.registry import TASKS


def trained(result: Mapping[str, Any]) -> str:
    """The end of ``rondo train``."""
    model = result["model"]
    seconds = duration(result["training_seconds"])
    head = (
        f"{model}: {result['parameters']:,} parameters, trained for {result['steps']:,} steps "
        f"({result['epochs']:.1f} epochs) in {seconds}"
    )
    if "skill" in result:
        return "\n".join([forecasting.scored(result), "", head, "", *(f"  {command}" for command in _next(result))])
    lines = [wrapped(verdict(result)), "", head, "", scores(result), ""]
    if result.get("no_interval"):
        lines += [wrapped(f"There is no interval: {result['no_interval']}"), ""]
    for sentence in _unseen(result):
        lines += [sentence, ""]
    lines += [f"  {command}" for command in _next(result)]
    return "\n".join(lines)


def verdict(result: Mapping[str, Any]) -> str:
    """In words, as the report says it: who is ahead, this model or its strongest baseline."""
    if "score" in result:
        return compare(scores_of(result), metric_of(result)).text
    return compare(language.scores(result), language.loss_metric(result["unit"])).text


def scores(result: Mapping[str, Any]) -> str:
    """The model beside its baseline, on what was held out."""
    if "score" in result:
        name, ours, others = result["metric"], result["score"], result["baselines"]
        rows = [
            ["", name],
            ["this model", f"{ours:.1%}"],
            *([label, f"{value:.1%}"] for label, value in others.items()),
        ]
        return table(rows, right=[1])
    unit = result["unit"]
    rows = [["", f"nats per {unit}", "perplexity"], ["this model", *_loss(result["valid_loss"])]]
    if result.get("baseline_loss") is not None:
        rows.append([result["baseline"], *_loss(result["baseline_loss"])])
    text = f"validation part\n{table(rows, right=[1, 2])}"
    if "test_loss" in result:
        rows = [["", f"nats per {unit}", "perplexity"], ["this model", *_loss(result["test_loss"])]]
        if result.get("test_baseline_loss") is not None:
            rows.append([result["baseline"], *_loss(result["test_baseline_loss"])])
        text += f"\n\ntest part\n{table(rows, right=[1, 2])}"
    return text


def evaluated(result: Mapping[str, Any]) -> str:
    """The end of ``rondo evaluate``."""
    if "score" in result:
        return _class_scores(result)
    lines = []
    if "nats" in result:
        lines.append(_text_scores(result))
    if "rows" in result:
        lines.append(_verse(result))
    return "\n\n".join(lines)


def _class_scores(result: Mapping[str, Any]) -> str:
    """Of a classifier, beside its baselines."""
    head = f"{result['metric']} {result['score']:.1%} on {result['items']:,} items, {_interval(result)}"
    rows = [[score_title(name), f"{value:.4f}"] for name, value in result["scores"].items()]
    lines = [wrapped(head), table(rows, right=[1])]
    if result["baselines"]:
        lines = [wrapped(verdict(result)), wrapped(head), scores(result), table(rows, right=[1])]
    return "\n\n".join([*lines, *_unseen(result)])


def _unseen(result: Mapping[str, Any]) -> list[str]:
    """A sentence about labels that a model could not know."""
    if not result.get("unseen_labels"):
        return []
    said = ", ".join(f"{label} ({count})" for label, count in result["unseen_labels"].items())
    return [wrapped(f"Labels that training has not seen, about which the model can only be wrong: {said}.")]


def _interval(result: Mapping[str, Any]) -> str:
    """The interval of a score, or why there is none."""
    if result["score_interval"] is None:
        return f"no interval: {result['no_interval']}"
    low, high = result["score_interval"]
    return f"95 % interval {low:.1%} to {high:.1%}"


def _text_scores(result: Mapping[str, Any]) -> str:
    ours, theirs = result["nats"], result.get("baseline_nats")
    bits = ["bits per character"] if "bits_per_character" in result else []
    rows = [["", "nats per token", *bits, "perplexity"], ["this model", *_row(result, ours)]]
    if theirs is not None:
        rows.append(["Kneser-Ney baseline", *_row(result, theirs)])
    counted = f"{result['tokens']:,} tokens"
    if "characters" in result:
        counted += f", {result['characters']:,} characters"
    if result.get("unknown"):
        counted += f"; {result['unknown']:,} tokens are not in the vocabulary"
    return f"{table(rows, right=range(1, len(rows[0])))}\n{counted}"


def _row(result: Mapping[str, Any], nats: float) -> list[str]:
    loss, perplexity = _loss(nats)
    if "bits_per_character" not in result:
        return [loss, perplexity]
    return [loss, f"{result['bits_per_character'] * nats / result['nats']:.4f}", perplexity]


def _verse(result: Mapping[str, Any]) -> str:
    left_out = result.get("known_poems_left_out", 0)
    head = (
        f"{result['poems']:,} human poems, those of them in these forms beside {result['samples']:,} by the model, "
        "freely and held to the rules"
    )
    if left_out:
        head += f"; {left_out:,} poems of the files stand in the training part and were left out"
    rows = [[str(cell) for cell in row] for row in (result["columns"], *result["rows"])]
    return f"{wrapped(head)}\n{table(rows, right=range(1, len(rows[0])))}"


def _loss(nats: float) -> list[str]:
    return [f"{nats:.4f}", f"{exp(min(nats, 700)):.2f}"]


def _next(result: Mapping[str, Any]) -> list[str]:
    model = result["model"]
    writes = result["task"] in ("text", "poetry")
    answers = TASKS[result["task"]].home_of_reading or result["task"] == "forecast"
    return [
        *([f"rondo generate {model}"] if writes else [f"rondo predict {model} FILE"] if answers else []),
        f"rondo info {model}",
        f"{model}/report.html",
    ]
