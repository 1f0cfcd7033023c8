"""``benchmarks/speed``: every section runs on tiny shapes, results are kept by row, tables say what they hold."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from rondo.backends.cpu.native import why_not
from rondo.testing.speed.counting import SHAPES

FOLDER = Path(__file__).parents[2] / "benchmarks" / "speed"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs benchmarks/speed of the repository")


@pytest.fixture(scope="module")
def suite() -> Iterator[SimpleNamespace]:
    """The modules of the suite, by name; afterwards nothing of them is left behind."""
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(FOLDER))
    names = ("plot", "ragged", "results", "run", "scan", "sections", "table", "targets")
    found: dict[str, ModuleType] = {}
    try:
        for name in names:
            found[name] = __import__(name)
        yield SimpleNamespace(**found)
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if str(FOLDER.parent) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def run(suite: Any, out: Path, *words: str) -> dict[str, dict[str, Any]]:
    """What a quick run leaves, by section."""
    suite.run.main(["--quick", "--rounds", "1", "--threads", "1", "--no-others", "--out", str(out), *words])
    torch.set_num_threads(1)
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*.json")}


@pytest.mark.parametrize("section", ["stream", "bf16", "scan", "recompute", "ragged", "stack", "busy", "text"])
def test_every_section_runs(section: str, suite: Any, tmp_path: Path) -> None:
    found = run(suite, tmp_path, "--only", section)[section]
    assert found["rows"] or found["runs"][0]["skipped"]
    keys = [row["key"] for row in found["rows"]]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith(f"{section}/") for key in keys)
    for row in found["rows"]:
        assert suite.table.one_line(section, row).startswith(row["key"].partition("/")[2])
    lines = suite.table._TABLES[section](found["rows"]) if found["rows"] else []
    assert not found["rows"] or len(lines) > 4


def test_layers_run_in_all_cases(suite: Any, tmp_path: Path) -> None:
    found = run(suite, tmp_path, "--only", "train", "forward", "--cells", "gru", "mgu", "--shapes", "2x3x4x5")
    for mode in ("train", "forward"):
        assert [row["key"] for row in found[mode]["rows"]] == [
            f"{mode}/{cell}/2×3×4×5/{where}" for cell in ("gru", "mgu") for where in ("leaf", "inner")
        ]
    assert {row["baseline"].partition(",")[0] for row in found["train"]["rows"]} == {"torch.nn", "eager loop"}


def test_one_row_beside_a_competing_process(suite: Any, tmp_path: Path) -> None:
    found = run(suite, tmp_path, "--only", "busy", "--cells", "lstm", "--shapes", "1x3x4x5")["busy"]
    assert [row["key"] for row in found["rows"]] == ["busy/forward/lstm/1×3×4×5", "busy/train/lstm/1×3×4×5"]
    for row in found["rows"]:
        assert row["processes"] >= 1
        assert len(row["slower"]) == len(row["torch_slower"]) == 3
    other = run(suite, tmp_path / "other", "--only", "busy", "--cells", "mgu")["busy"]
    assert "gru and lstm" in other["runs"][0]["skipped"]


def test_a_row_that_is_measured_again_replaces_the_old_one(suite: Any, tmp_path: Path) -> None:
    words = ("--only", "forward", "--cells")
    before = run(suite, tmp_path, *words, "gru", "rnn")["forward"]
    after = run(suite, tmp_path, *words, "rnn", "mgu")["forward"]
    assert len(after["runs"]) == 2
    run_of = {row["key"]: row["run"] for row in after["rows"]}
    assert {number for key, number in run_of.items() if "/gru/" in key} == {0}
    assert {number for key, number in run_of.items() if "/gru/" not in key} == {1}
    assert [row for row in after["rows"] if "/gru/" in row["key"]] == [
        row for row in before["rows"] if "/gru/" in row["key"]
    ]
    last = run(suite, tmp_path, *words, "gru")["forward"]
    assert last["runs"][0] == after["runs"][1]  # nothing is left of the first
    assert [row["run"] for row in last["rows"] if "/gru/" in row["key"]] == [1] * 4


def test_a_quick_run_saves_nothing_of_its_own_accord(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    monkeypatch.setattr(Path, "write_text", lambda *given, **more: written.append(given))
    suite.run.main(["--quick", "--rounds", "1", "--threads", "1", "--no-others", "--only", "stream"])
    assert not written


def row(cell: str, shape: Any, ratio: float, *, train: bool = True, share: float | None = 0.9, **more: Any) -> Any:
    return {
        "key": f"{'train' if train else 'forward'}/{cell}/{shape}/leaf", "cell": cell, "shape": shape.to_list(),
        "train": train, "input_gradient": False, "ratio": [ratio, ratio * 0.9, ratio * 1.05], "others": {},
        "share": None if share is None else [share, share - 0.02, share + 0.01], "run": 0, "other_work": 0.0, **more,
    }  # fmt: skip


RUN = {
    "command": "python benchmarks/speed/run.py", "started": "2030-01-02T03:04:05", "machine": "A Processor, 2 cores",
    "threads": 2, "instruction_set": "avx512", "threading": "own threads",
    "versions": {"rondo": "1", "torch": "2", "python": "3"},
}  # fmt: skip


@pytest.fixture
def written(suite: Any, tmp_path: Path) -> Any:
    """Writes results and gives back what stands in README.md."""

    def write(sections: dict[str, list[Any]], **more: Any) -> str:
        for name, rows in sections.items():
            (tmp_path / f"{name}.json").write_text(
                json.dumps({"section": name, "runs": [{**RUN, **more}], "rows": rows})
            )
        readme = tmp_path / "README.md"
        readme.write_text(f"Before.\n{suite.table.BEGIN}\nold\n{suite.table.END}\nAfter.\n", encoding="utf-8")
        suite.table.write(tmp_path, readme)
        return readme.read_text(encoding="utf-8")

    return write


def test_the_table_stands_between_its_marks(written: Any, tmp_path: Path) -> None:
    text = written({"train": [row("gru", SHAPES[3], 3.0)]})
    assert text.startswith("Before.\n")
    assert text.endswith("\nAfter.\n")
    assert "old" not in text
    assert "- 2030-01-02, A Processor, 2 cores, 2 threads, avx512" in text
    assert "  - train: `python benchmarks/speed/run.py`\n" in text
    assert "3.00 [2.70, 3.15] of 2.8" in text
    assert "3.00 [2.70, 3.15], 90%" in text
    assert "`forward`: not measured yet." in text
    assert (tmp_path / "speed.svg").exists()


def test_what_falls_short_is_bold_and_listed(written: Any) -> None:
    rows = [row("gru", SHAPES[3], 2.6), row("mgu", SHAPES[3], 0.9), row("ugrnn", SHAPES[3], 0.97, share=0.79)]
    text = written({"train": rows})
    assert "**2.60** [2.34, 2.73] of 2.8" in text
    assert "**0.90** [0.81, 0.95]" in text
    assert "`train/mgu/64×100×256×256/leaf` 0.90." in text  # ugrnn's interval reaches 1
    assert "Below 80% of the peak" in text
    assert text.partition("Below 80%")[2].count("`train/") == 1
    assert "**" not in written({"train": [row("gru", SHAPES[3], 2.9)]})


def test_what_the_whole_peak_would_not_give_is_listed(written: Any) -> None:
    rows = [row("gru", SHAPES[3], 2.0, share=0.8), row("rnn", SHAPES[3], 2.0, share=0.7)]
    text = written({"train": rows})
    assert "of what is to be reached: `train/gru/64×100×256×256/leaf` 2.50 of 2.8." in text
    assert "Out of reach" not in written({"train": rows[1:]})


def test_disturbed_and_wrong_rows_are_told(written: Any, suite: Any) -> None:
    other = row("gru", SHAPES[3], 3.0, other_work=0.8)
    assert "**disturbed: other work kept up to 0.8 cores busy**" in written({"train": [other]})
    assert "other work ran meanwhile" in suite.table.one_line("train", other)
    bad = {k: v for k, v in row("mgu", SHAPES[3], 3.0).items() if k not in ("ratio", "share", "others")}
    assert "WRONG: outputs differ by 1" in written({"train": [{**bad, "wrong": "outputs differ by 1"}]})
    assert "`bf16`: skipped: not here." in written({"bf16": []}, skipped="not here")


def test_targets_are_those_of_the_six_shapes(suite: Any) -> None:
    assert suite.targets.ratio("gru", "train", SHAPES[0].to_list()) == 15
    assert suite.targets.ratio("lstm", "forward", SHAPES[5].to_list()) == 1.0
    assert suite.targets.ratio("lstm_layer_norm", "train", SHAPES[0].to_list()) == 6
    assert suite.targets.ratio("gru", "train", [1, 2, 3, 4]) is None
    assert suite.targets.ratio("mgu", "train", SHAPES[0].to_list()) is None
    assert suite.targets.share("forward", SHAPES[3].to_list()) == 0.85
    assert suite.targets.share("train", SHAPES[0].to_list()) is None


def test_the_plot_is_svg_with_a_line_for_each_series(suite: Any) -> None:
    rows = [row(cell, shape, 2.0 + n, train=train) for n, shape in enumerate(SHAPES)
            for cell, train in (("gru", True), ("gru", False), ("lstm_peephole", True))]  # fmt: skip
    root = ElementTree.fromstring(suite.plot.draw(rows))
    lines = root.findall("{*}polyline")
    assert len(lines) == 2 * 3
    heights = [[float(point.split(",")[1]) for point in line.get("points", "").split()] for line in lines]
    assert all(len(of) == 6 for of in heights)
    assert all(of == sorted(of, reverse=True) for of in heights[::2])  # faster is higher
    assert all(len(set(of)) == 1 for of in heights[1::2])
    assert not ElementTree.fromstring(suite.plot.draw([])).findall("{*}polyline")


def test_lengths_have_their_distribution(suite: Any) -> None:
    uniform, log_normal = (suite.ragged.lengths(kind).double() for kind in ("uniform", "log-normal"))
    assert (uniform.min(), uniform.max()) == (1, 200)
    assert float(uniform.mean()) == pytest.approx(100.5, abs=0.5)
    assert float(log_normal.log().std()) == pytest.approx(1.0, abs=0.05)
    assert float(log_normal.median()) == pytest.approx(50, abs=2)
    assert not torch.equal(uniform, uniform.sort().values)


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_the_engine_s_scan_is_held_against_the_copy(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite.scan, "CELLS", ("min_gru",))
    plan = suite.run.plan_of(suite.run.parser().parse_args(["--quick", "--rounds", "1"]))
    rows = list(suite.scan.rows(plan))
    assert [found["key"] for found in rows] == ["scan/forward/min_gru", "scan/train/min_gru"]
    for found in rows:
        assert found["share"][0] > 0
        assert found["layer"][0] > 0
        assert "of the copy bandwidth" in suite.table.one_line("scan", found)
    right = suite.scan.run_scan
    monkeypatch.setattr(suite.scan, "run_scan", lambda *given: (1.01 * right(*given)[0], None))
    with pytest.raises(AssertionError, match="the scan of min_gru"):
        list(suite.scan.rows(plan))
