"""Write the tables and the plot of README.md anew from results/: ``python benchmarks/speed/table.py``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import targets
from plot import draw
from results import RESULTS, read

from rondo.testing.speed.counting import SHAPES, Shape
from rondo.testing.speed.machine import BUSY

HERE = Path(__file__).parent
PLOT = "speed.svg"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
Result = dict[str, Any]
SECTIONS = ("train", "forward", "stream", "bf16", "scan", "recompute", "ragged", "stack", "busy", "text")


def main() -> None:
    write()


def write(folder: Path = RESULTS, readme: Path = HERE / "README.md") -> None:
    """Fill README.md between its marks, and draw the plot beside it."""
    found = {name: read(name, folder) for name in SECTIONS}
    rows = {name: section["rows"] if section else [] for name, section in found.items()}
    lines = [*_runs(found), ""]
    if any(rows[mode] for mode in ("train", "forward")):
        (readme.parent / PLOT).write_text(draw(rows["train"] + rows["forward"]), encoding="utf-8")
        lines += [f"![How many times as fast, and which share of the peak, by shape]({PLOT})", ""]
    for name in SECTIONS:
        lines += _TABLES[name](rows[name]) if rows[name] else _missing(name, found[name])
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    text = "\n".join(lines).rstrip("\n")
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def one_line(section: str, row: Result) -> str:
    """A row for the terminal, while the suite runs."""
    figures = {
        "train": _entry, "forward": _entry, "stream": _step, "bf16": _reduced, "scan": _scan, "ragged": _ragged,
        "stack": lambda row: f"{_figure(row['of_parts'])} of the sum of its parts",
        "recompute": lambda row: f"{_figure(row['cost'])} times as long as with all residuals kept",
        "busy": lambda row: f"{_figure(row['slower'])} times slower; torch {_figure(row['torch_slower'])}",
        "text": lambda row: f"{row['tokens_per_second']:,.0f} tokens/s, {_figure(row['ratio'])} times torch.nn",
    }  # fmt: skip
    disturbed = "  (other work ran meanwhile)" if (row.get("other_work") or 0) >= BUSY else ""
    return f"{row['key'].partition('/')[2]}: {figures[section](row)}{disturbed}".replace("**", "")


def _runs(found: dict[str, Result | None]) -> list[str]:
    """Machine and versions of what stands in the tables, with the commands; sections of one command in one line."""
    sections: dict[tuple[str, str], list[str]] = {}
    disturbed: dict[tuple[str, str], float] = {}
    counts: Counter[tuple[str, str, str]] = Counter()
    for name, section in found.items():
        for number, run in enumerate(section["runs"] if section else []):
            own = [row for row in section["rows"] if row["run"] == number] if section else []
            if not own:
                continue
            versions = ", ".join(f"{key} {run['versions'][key]}" for key in ("rondo", "torch", "python"))
            engine = f"{run['instruction_set']}, {run['threading']}" if run["instruction_set"] else "no engine"
            where = f"{run['machine']}, {run['threads']} threads, {engine}"
            how = f"{run['started'][:10]}, {where}; {versions}", f"`{run['command']}`"
            sections.setdefault(how, []).append(name)
            counts.update({(*how, kind): n for kind, n in run.get("samples", {}).items()})
            disturbed[how] = max([disturbed.get(how, 0.0), *(row.get("other_work") or 0.0 for row in own)])
    by_machine: dict[str, list[str]] = {}
    for how, names in sections.items():
        others = disturbed[how]
        note = f"; **disturbed: other work kept up to {others:.1f} cores busy**" if others >= BUSY else ""
        if taken := counts[*how, "samples"]:
            again, doubtful = counts[*how, "retaken"], counts[*how, "disturbed"]
            note += f"; {taken} samples, taken again {again} times, {doubtful} disturbed all the same"
        by_machine.setdefault(how[0], []).append(f"  - {', '.join(names)}: {how[1]}{note}")
    lines = [line for machine, commands in by_machine.items() for line in (f"- {machine}", *commands)]
    return lines or ["Nothing has been measured yet."]


def _out_of_reach(rows: Sequence[Result]) -> list[str]:
    """Entries that could not be reached with every multiply-add of the machine, for the other is too near to that."""
    most = {row["key"]: row["ratio"][0] / row["share"][0] for row in rows if row.get("share") and "ratio" in row}
    over = [row for row in rows if row["key"] in most and (_target(row) or 0) > most[row["key"]]]
    if not over:
        return []
    said = ", ".join(f"`{row['key']}` {most[row['key']]:.2f} of {_target(row):g}" for row in over)
    return ["Out of reach here: what the whole peak would give, of what is to be reached: " + said + ".", ""]


def _layers(rows: Sequence[Result], mode: str) -> list[str]:
    """The entries with a target, then all cells by shape."""
    lines = []
    if aimed := [row for row in rows if not row["input_gradient"] and _target(row)]:
        columns = [cell for cell, of in targets.COLUMNS if of == mode and any(row["cell"] == cell for row in aimed)]
        lines += [f"### {_TITLES[mode]}: what is to be reached", ""]
        lines += _by_shape(aimed, columns, lambda row: f"{_entry(row, share=False)} of {_target(row):g}")
        lines += _out_of_reach(aimed)
    for inner in (False, True):
        own = [row for row in rows if row["input_gradient"] is inner]
        if own:
            case = _CASES[mode][inner]
            lines += [f"### {_TITLES[mode]}, all cells: {case}", ""]
            lines += _by_shape(own, list(dict.fromkeys(row["cell"] for row in own)), _entry, by_cell=True)
    lines += _slower(rows, "ratio", "Slower than the other")
    if short := [row for row in rows if not row["input_gradient"] and _short_of_peak(row)]:
        lines += [
            f"Below {targets.SHARES[mode]:.0%} of the peak, from 256 units and 32 sequences on: "
            + ", ".join(f"`{row['key']}` {row['share'][0]:.0%}" for row in short) + ".", "",
        ]  # fmt: skip
    others = [row for row in rows if row.get("others")]
    if others:
        names_of = list(dict.fromkeys(name for row in others for name in row["others"]))
        lines += ["Other systems, how many times as fast as they are Rondo is:", ""]
        body = [[row["cell"], _shape(row), *(_figure(row["others"].get(n)) for n in names_of)] for row in others]
        lines += _markdown(["cell", "B×T×I×H", *names_of], body)
    return lines


def _by_shape(
    rows: Sequence[Result], cells: Sequence[str], entry: Callable[[Result], str], *, by_cell: bool = False
) -> list[str]:
    """Shapes against cells; ``by_cell``: a line for each cell, else for each shape."""
    found = {(row["cell"], tuple(row["shape"])): entry(row) for row in rows}
    shapes = list(dict.fromkeys(tuple(row["shape"]) for row in rows))
    shapes.sort(key=lambda s: (SHAPES.index(Shape(*s)) if Shape(*s) in SHAPES else len(SHAPES), s))
    names = {shape: str(Shape(*shape)) for shape in shapes}
    if by_cell:
        body = [[cell, *(found.get((cell, shape), "") for shape in shapes)] for cell in cells]
        return _markdown(["cell", *names.values()], body)
    body = [[names[shape], *(found.get((cell, shape), "") for cell in cells)] for shape in shapes]
    return _markdown(["B×T×I×H", *cells], body)


def _entry(row: Result, *, share: bool = True) -> str:
    if "ratio" not in row:
        return f"WRONG: {row['wrong']}"
    missed = row["ratio"][2] < targets.LEAST
    if not row["input_gradient"] and (target := _target(row)):
        missed |= row["ratio"][0] < target
    text = _figure(row["ratio"], bold=missed)
    return f"{text}, {row['share'][0]:.0%}" if share and row["share"] else text


def _target(row: Result) -> float | None:
    return targets.ratio(row["cell"], "train" if row["train"] else "forward", row["shape"])


def _short_of_peak(row: Result) -> bool:
    aim = targets.share("train" if row["train"] else "forward", row["shape"])
    return bool(aim and row.get("share") and row["share"][0] < aim)


def _stream(rows: Sequence[Result]) -> list[str]:
    heads = ["one step, one sequence", "units", "µs", "to reach", "beside", "µs", "times as fast"]
    body = []
    for row in rows:
        aim = targets.MICROSECONDS.get(row["hidden"]) if row["cell"] == "gru" else None
        what = "GRU" if row["cell"] == "gru" else "two GRU layers, embedding and read-out"
        ours, theirs = row["microseconds"], 1e6 * row["seconds"][row["baseline"]]["median"]
        figure = f"**{ours:.1f}**" if aim and ours > aim else f"{ours:.1f}"
        body.append([f"{what}, `{row['how']}`", str(row["hidden"]), figure, f"{aim:g}" if aim else "", row["baseline"],
                     f"{theirs:.1f}", _figure(row["ratio"])])  # fmt: skip
    return ["### Streaming", "", *_markdown(heads, body)]


def _step(row: Result) -> str:
    return f"{row['microseconds']:.1f} µs by {row['how']}, {_figure(row['ratio'])} times {row['baseline']}"


def _reduced(row: Result) -> str:
    return f"{_figure(row['ratio'])} times float32, error {row['error']:.1e}"


def _slower(rows: Sequence[Result], figure: str, words: str) -> list[str]:
    low = [row for row in rows if figure in row and row[figure][2] < targets.LEAST]
    names = ", ".join(f"`{row['key']}` {row[figure][0]:.2f}" for row in low)
    return [f"{words} (upper end of the interval below 1): {names or 'none'}.", ""]


def _bf16(rows: Sequence[Result]) -> list[str]:
    heads = ["cell", "B×T×I×H", f"times as fast as float32 (to reach: {targets.BFLOAT16})", "error",
             "error of float32", "times as fast as torch.nn in bfloat16"]  # fmt: skip
    body = [
        [row["cell"], _shape(row), _figure(row["ratio"], bold=row["ratio"][0] < targets.BFLOAT16),
         f"{row['error']:.1e}", f"{row['error_of_float32']:.1e}",
         _figure(row["against_torch"], bold=row["against_torch"][2] < targets.LEAST)]
        for row in rows
    ]  # fmt: skip
    note = "The error is the largest difference from float64, as a part of the largest value (of 1 if that is smaller)."
    slower = _slower(rows, "against_torch", "Slower than torch.nn in bfloat16")
    return ["### bfloat16, forward", "", *_markdown(heads, body), *slower, note, ""]


def _scan(row: Result) -> str:
    if "share" not in row:
        return f"the scan alone was not measured: {row['missing']}"
    return f"{_percent(row['share'])} of the copy bandwidth; layer {_figure(row['layer'])} of products and scan"


def _scans(rows: Sequence[Result]) -> list[str]:
    heads = ["cell", "", "B×T×I×H", "GB copied a second", "of it, the scan alone", "to reach",
             f"layer, of its products and scan (at most {targets.SCAN_LAYER})"]  # fmt: skip
    body, missing = [], set()
    for row in rows:
        mode = "train" if row["train"] else "forward"
        aim = targets.SCAN[mode]
        measured = "share" in row
        missing |= set() if measured else {row["missing"]}
        body.append([
            row["cell"], "forward and backward" if row["train"] else "forward", _shape(row),
            f"{row['copy_gigabytes']:.1f}",
            _percent(row["share"], bold=row["share"][0] < aim) if measured else "not measured", f"{aim:.0%}",
            _figure(row["layer"], bold=row["layer"][0] > targets.SCAN_LAYER) if measured else "not measured",
        ])  # fmt: skip
    return ["### Linear recurrences", "", *_markdown(heads, body), *(f"Not measured: {m}." for m in missing), ""]


def _ragged(row: Result) -> str:
    return f"{_figure(row['cost'])} times the share of valid steps ({row['valid']:.0%})"


def _raggeds(rows: Sequence[Result]) -> list[str]:
    heads = ["cell", "", "lengths", "B×T×I×H", "valid steps", "of the full batch", "of the full batch's valid steps",
             "at most", "times as fast as packed torch.nn"]  # fmt: skip
    body = [
        [row["cell"], "train" if row["train"] else "forward", row["lengths"], _shape(row), f"{row['valid']:.0%}",
         _percent(row["of_full"]), _figure(row["cost"], bold=row["cost"][0] > targets.RAGGED[row["lengths"]]),
         f"{targets.RAGGED[row['lengths']]:g}", _figure(row["against_torch"])]
        for row in rows
    ]  # fmt: skip
    return ["### Ragged batches", "", *_markdown(heads, body)]


def _recomputes(rows: Sequence[Result]) -> list[str]:
    heads = ["cell", "", "B×T×I×H", "steps of a segment", "times as long as with all residuals kept", "at most",
             "memory, MB", "with all kept, MB"]  # fmt: skip
    body = []
    for row in rows:
        aim = targets.RECOMPUTE[row["input_gradient"]]
        memory = [f"{n / 1e6:,.0f}" for n in row["memory"].values()] if row["memory"] else ["not measured"] * 2
        case, cost = _CASES["train"][row["input_gradient"]], _figure(row["cost"], bold=row["cost"][0] > aim)
        body.append([row["cell"], case, _shape(row), str(row["segment"]), cost, f"{aim:g}", *memory])
    note = (
        "Memory is what a process of its own holds at most during its first training step, beyond x and what it "
        "held before: residuals, outputs, gradients."
    )
    return ['### Residuals computed again (`recompute_steps="auto"`)', "", *_markdown(heads, body), note, ""]


def _stack(rows: Sequence[Result]) -> list[str]:
    heads = ["cell", "", "", "B×T×I×H", f"of the sum of its parts (at most {targets.PARTS})"]
    body = [
        [row["cell"], "train" if row["train"] else "forward", row["what"], _shape(row),
         _figure(row["of_parts"], bold=row["of_parts"][0] > targets.PARTS)]
        for row in rows
    ]  # fmt: skip
    return ["### Both directions and stacks", "", *_markdown(heads, body)]


def _busy(rows: Sequence[Result]) -> list[str]:
    heads = ["cell", "", "B×T×I×H", f"times slower than alone (at most {targets.BUSY})", "torch.nn"]
    body = [
        [row["cell"], "train" if row["train"] else "forward", _shape(row),
         _figure(row["slower"], bold=row["slower"][0] > targets.BUSY), _figure(row["torch_slower"])]
        for row in rows
    ]  # fmt: skip
    return [f"### Beside {rows[0]['processes']} competing process(es)", "", *_markdown(heads, body)]


def _text(rows: Sequence[Result]) -> list[str]:
    heads = ["model", "tokens a second", "torch.nn", "times as fast", "to reach"]
    body = [
        [f"{row['cell']}, {row['model']}", f"{row['tokens_per_second']:,.0f}", f"{row['torch_tokens_per_second']:,.0f}",
         _figure(row["ratio"], bold=row["ratio"][0] < targets.TEXT[row["cell"]]), f"{targets.TEXT[row['cell']]:g}"]
        for row in rows
    ]  # fmt: skip
    return ["### Training of a language model", "", *_markdown(heads, body)]


_TITLES = {"train": "Training", "forward": "Forward"}
_CASES = {
    "train": {False: "x needs no gradient", True: "x is inside a network and needs one"},
    "forward": {False: "no gradients", True: "a graph for gradients is recorded"},
}
_TABLES: dict[str, Callable[[Sequence[Result]], list[str]]] = {
    "train": lambda rows: _layers(rows, "train"), "forward": lambda rows: _layers(rows, "forward"), "stream": _stream,
    "bf16": _bf16, "scan": _scans, "recompute": _recomputes, "ragged": _raggeds, "stack": _stack, "busy": _busy,
    "text": _text,
}  # fmt: skip


def _missing(name: str, section: Result | None) -> list[str]:
    skipped = section["runs"][-1].get("skipped") if section else None
    return [f"`{name}`: {'skipped: ' + skipped if skipped else 'not measured yet'}.", ""]


def _shape(row: Result) -> str:
    return str(Shape(*row["shape"]))


def _figure(interval: Sequence[float] | None, *, bold: bool = False) -> str:
    if interval is None:
        return ""
    value, low, high = (f"{v:.2f}" if v < 10 else f"{v:.1f}" for v in interval)
    return f"{'**' if bold else ''}{value}{'**' if bold else ''} [{low}, {high}]"


def _percent(interval: Sequence[float], *, bold: bool = False) -> str:
    value, low, high = (f"{v:.0%}" for v in interval)
    return f"{'**' if bold else ''}{value}{'**' if bold else ''} [{low}, {high}]"


def _markdown(heads: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *body]
    return [*("| " + " | ".join(cells) + " |" for cells in lines), ""]


if __name__ == "__main__":
    main()
