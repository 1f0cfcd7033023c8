"""``rondo info MODEL``: the card of a model."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from rondo.cli.arguments import OUTPUT, Group, Option, parse
from rondo.cli.output import duration, print_json, print_text, table
from rondo.models.folder import CARD, read_model

MODEL = Option("model", str, "the folder that training wrote.", metavar="MODEL", required=True)
EXAMPLES = ("rondo info my-model", "rondo info my-model --json")


def run(arguments: Sequence[str]) -> int:
    """Print the card. The folder is read whole, so a damaged one is noticed."""
    given = parse(
        arguments,
        command="rondo info",
        about="Show a model's card: what it learned from, its figures beside the baseline's, and how to use it.",
        examples=EXAMPLES,
        positional=[MODEL],
        groups=[Group("output", "", OUTPUT[:1])],
    )
    folder = Path(given["model"])
    config, tensors = read_model(folder)
    parameters = config.get("result", {}).get("parameters") or sum(tensor.numel() for tensor in tensors.values())
    if given.get("json"):
        print_json(_summary(folder, config, parameters))
        return 0
    card = folder / CARD
    if not card.is_file():
        print_text(_short_card(folder, config, parameters))
    elif sys.stdout.isatty():
        Console().print(Markdown(card.read_text(encoding="utf-8", errors="replace")))
    else:
        print_text(card.read_text(encoding="utf-8", errors="replace"))
    return 0


def _summary(folder: Path, config: Mapping[str, Any], parameters: int) -> dict[str, Any]:
    """What a program may want to know; the cell's graph stays in config.json."""
    cell = _cell(config)
    return {
        "task": config.get("task"),
        "model": str(folder),
        "format": config["format"],
        "rondo": config["rondo"],
        "cell": {"name": cell.get("name"), "options": cell.get("options", {})},
        "parameters": parameters,
        "options": config.get("options", {}),
        "result": config.get("result", {}),
        "provenance": config.get("provenance", {}),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()},
    }


def _short_card(folder: Path, config: Mapping[str, Any], parameters: int) -> str:
    """For a folder without README.md."""
    rows = [
        ["model", str(folder)],
        ["task", str(config.get("task"))],
        ["cell", str(_cell(config).get("name"))],
        ["parameters", f"{parameters:,}"],
        ["made by", f"Rondo {config['rondo']}"],
    ]
    result = config.get("result", {})
    for name in ("valid_loss", "baseline_loss", "score", "baseline_score"):
        if isinstance(result.get(name), float):
            rows.append([name.replace("_", " "), f"{result[name]:.4f}"])
    if "training_seconds" in result:
        rows.append(["trained", duration(result["training_seconds"])])
    return table(rows)


def _cell(config: Mapping[str, Any]) -> Mapping[str, Any]:
    network = config.get("network")
    cell = network.get("cell") if isinstance(network, Mapping) else None
    return cell if isinstance(cell, Mapping) else {}
