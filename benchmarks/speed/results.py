"""Files of results: one a section, with the runs its rows come from."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import torch
from sections import Plan

from rondo.inspect import collect
from rondo.testing.speed.machine import instruction_set, load, threading_runtime

RESULTS = Path(__file__).parent / "results"


class Store:
    """The rows of one section, by key; a new row replaces the old one of the same key."""

    def __init__(self, section: str, folder: Path | None, plan: Plan) -> None:
        self._path = None if folder is None else folder / f"{section}.json"
        found = json.loads(self._path.read_text(encoding="utf-8")) if self._path and self._path.exists() else {}
        self._runs: list[dict[str, Any]] = found.get("runs", [])
        self._rows: dict[str, dict[str, Any]] = {row["key"]: row for row in found.get("rows", [])}
        self._section, self._steady = section, plan.effort.steady
        self._before = dict(self._steady.counts) if self._steady else {}
        self._runs.append(this_run(plan))

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row, and write the file."""
        self._rows[row["key"]] = {**row, "run": len(self._runs) - 1}
        if self._steady is not None:
            self._runs[-1]["samples"] = {name: n - self._before[name] for name, n in self._steady.counts.items()}
        self._write()

    def skip(self, reason: str) -> None:
        """Say in the file why the section, or the rest of it, was not measured."""
        self._runs[-1]["skipped"] = reason
        self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        used = sorted({row["run"] for row in self._rows.values()} | {len(self._runs) - 1})
        number = {old: new for new, old in enumerate(used)}
        rows = [{**row, "run": number[row["run"]]} for row in self._rows.values()]
        whole = {"section": self._section, "runs": [self._runs[old] for old in used], "rows": rows}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def this_run(plan: Plan) -> dict[str, Any]:
    """What a reader must know to measure again."""
    found = collect().to_dict()
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return {
        "command": "python benchmarks/speed/" + shlex.join(words),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": f"{found['processor']}, {found['cores']} cores",
        "system": found["system"],
        "versions": found["versions"],
        "threads": torch.get_num_threads(),
        "instruction_set": instruction_set(),
        "threading": threading_runtime(),
        "load_before": load(),
        "rounds": plan.effort.rounds,
    }


def read(section: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """The file of a section, or None."""
    path = folder / f"{section}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
