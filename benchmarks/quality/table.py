"""Write the table of README.md anew from results/: ``python benchmarks/quality/table.py``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from forecast_row import ForecastRow
from forecast_rows import FORECAST_ROWS
from row import Row
from rows import ROWS

HERE = Path(__file__).parent
NEIGHBOUR = "nearest neighbour, Euclidean"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def main() -> None:
    lines = ["| row | reached | to reach | time, steps | baseline |", "|---|---|---|---|---|"]
    for name, row in ROWS.items():
        result = read(name)
        if not result:
            lines.append(f"| `{name}` | not yet run | {row.target} | | |")
        else:
            lines.append(forecast(row, result) if isinstance(row, ForecastRow) else line(name, result))
    lines += speed(read("throughput"))
    lines += windows(read("windows")) + memory(read("memory"))
    lines += sets() + parts()
    lines += answering(read("answering"))
    path = HERE / "README.md"
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    """What a row, or a script, has found; nothing if it was not run."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def line(name: str, result: dict[str, Any]) -> str:
    """One row that was run."""
    runs = result["runs"]
    minutes = sum(run["training_seconds"] for run in runs) / len(runs) / 60
    each = " each" if len(runs) > 1 else ""
    how = counted(result)
    steps = f"{minutes:.1f} min{each} ({how}), {runs[0]['steps']:,} steps"
    return f"| `{name}` | {reached(result)} | {result['to_reach']} | {steps} | {baseline(result)} |"


def counted(result: dict[str, Any]) -> str:
    """How the trainings of a row were limited."""
    return "by the clock" if result["options"].get("minutes") else "counted steps"


def forecast(row: ForecastRow, result: dict[str, Any]) -> str:
    """One row about forecasts."""
    said, beside = row.said(result)
    runs = result["runs"]
    trainings = sum(run["folds"] for run in runs)
    minutes = sum(run["training_seconds"] for run in runs) / 60
    steps = sorted({run["steps"] for run in runs})
    number = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
    several = f", {trainings} trainings" if trainings > 1 else ""
    time = f"{minutes:.1f} min ({counted(result)}), {number} steps{several}"
    return f"| `{row.name}` | {said} | {row.target} | {time} | {beside} |"


def parts() -> list[str]:
    """Rows about forecasts of several series or horizons, one by one; of several seeds, the first."""
    lines = []
    for row in FORECAST_ROWS:
        result = read(row.name)
        if not result or not row.columns:
            continue
        lines += ["", f"| `{row.name}` | {' | '.join(row.columns)} |", "|---" * (1 + len(row.columns)) + "|"]
        for run in result["runs"]:
            if run["seed"] == 0:
                lines.append(f"| {run['set']} | {' | '.join(cell(run) for cell in row.columns.values())} |")
    return lines


def reached(result: dict[str, Any]) -> str:
    """The figure, in the unit of its target."""
    value, name, runs = result["figure"], result["figure_name"], result["runs"]
    if "set" in runs[0]:
        return f"mean of {len(runs)} sets {value:.2%}; {against_neighbours(runs)}"
    if name == "score" and len(runs) == 1:
        low, high = runs[0]["score_interval"]
        strict = f"; strict {runs[0]['strict_score']:.2%}" if "strict_score" in runs[0] else ""
        return f"{value:.2%} [{low:.2%}, {high:.2%}]{strict}"
    if name == "score":
        spread = f"{min(run['score'] for run in runs):.2%} to {max(run['score'] for run in runs):.2%}"
        return f"{value:.2%} (mean of {len(runs)} seeds, {spread})"
    if "quatrains" not in runs[0]:
        return f"{value:.4f}"
    free, held, human = runs[0]["quatrains"].values()
    return (
        f"free format {free['format_right']:.1%}; held: format {held['format_right']:.1%}, rhyme "
        f"{held['rhyme_right']:.1%}, tone {held['tone_right']:.1%}; lines copied {free['copied_lines']:.2%} free, "
        f"{held['copied_lines']:.2%} held, {human['copied_lines']:.2%} human; perplexity {value:.1f}"
    )


def against_neighbours(runs: list[dict[str, Any]]) -> str:
    """On how many sets the network is at least as good as the nearest neighbour, and by how much it is behind."""
    gaps = [run["score"] - run["baselines"][NEIGHBOUR] for run in runs]
    return f"at least 1-NN on {sum(gap >= 0 for gap in gaps)}, worst difference {100 * min(gaps):+.1f} points"


def sets() -> list[str]:
    """Rows over several data sets, set by set: one column a row, beside the baselines."""
    found = {name: read(name) for name, row in ROWS.items() if isinstance(row, Row) and row.sets}
    there = {name: {run["set"]: run for run in result["runs"]} for name, result in found.items() if result}
    if not there:
        return []
    first = next(iter(there.values()))
    names = list(next(iter(first.values()))["baselines"])
    lines = ["", f"| set | {' | '.join(f'`{name}`' for name in there)} | {' | '.join(names)} |"]
    lines.append("|---" * (1 + len(there) + len(names)) + "|")
    for name, run in first.items():
        ours = [f"{runs[name]['score']:.1%}" if name in runs else "" for runs in there.values()]
        theirs = [f"{run['baselines'][one]:.1%}" if one in run["baselines"] else "" for one in names]
        lines.append(f"| {name} | {' | '.join([*ours, *theirs])} |")
    return lines


def baseline(result: dict[str, Any]) -> str:
    """The strongest baseline on the same items."""
    runs = result["runs"]
    if "set" in runs[0]:
        return f"{NEIGHBOUR} {sum(run['baselines'][NEIGHBOUR] for run in runs) / len(runs):.2%}"
    if result["figure_name"] == "score":
        return f"{runs[0]['baseline']} {sum(run['baseline_score'] for run in runs) / len(runs):.2%}"
    run = runs[0]
    nats = run.get("test_baseline_loss", run["baseline_loss"])
    return f"{run['baseline']}: {nats:.4f} nats"


def speed(result: dict[str, Any]) -> list[str]:
    """Tokens a second beside plain torch."""
    return [
        f"| `throughput.py` {row['cell']} | {row['ratio']:.3f} [{row['ratio_quartiles'][0]:.3f}, "
        f"{row['ratio_quartiles'][1]:.3f}] times plain torch.nn | at least equal | median of {row['pairs']} pairs | "
        f"{row['torch_tokens_per_second']:,.0f} tokens/s |"
        for row in result.get("rows", [])
    ]


def windows(result: dict[str, Any]) -> list[str]:
    """Windows a second beside plain torch."""
    return [
        f"| `windows.py` {row['model']} | {row['ratio']:.3f} [{row['ratio_quartiles'][0]:.3f}, "
        f"{row['ratio_quartiles'][1]:.3f}] times plain torch.nn | at least 2 times | median of {row['pairs']} pairs | "
        f"{row['torch_windows_per_second']:,.0f} windows/s |"
        for row in result.get("rows", [])
    ]


def memory(result: dict[str, Any]) -> list[str]:
    """Memory above the frame."""
    if not result:
        return []
    rows = f"{result['rows']:,} rows fitted and forecast"
    return [f"| `memory.py` | {result['megabytes']:.0f} MB above the frame | at most 300 MB | {rows} | |"]


def answering(result: dict[str, Any]) -> list[str]:
    """Items a second that ``predict`` answers, beside plain scripts."""
    if not result:
        return []
    lines = ["", "| `answering.py` | part | a second | beside the plain script | to reach |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        ratio, low, high = row["ratio"]
        beside = "padded, in file order" if row["part"] == "whole" else "torch.nn, sorted and packed"
        lines.append(
            f"| {row['items']}, {row['cell']} | {row['part']} | {row['a_second']['rondo']:,.0f} | "
            f"{ratio:.2f} [{low:.2f}, {high:.2f}] times ({beside}) | {row['to_reach']} |"
        )
    return lines


if __name__ == "__main__":
    main()
