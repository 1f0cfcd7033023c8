"""Every code block of the documentation runs.

Blocks of one file run in order, in one temporary folder that holds `samples`; its Python blocks share their
names (`<!-- new namespace -->` before a block starts anew). A Python block that begins with the comment
`# name.py` is also saved under that name, as its reader would. In Bash blocks `rondo` is the real one with a
small budget, and `make TARGET` checks that the target is there. `<!-- not run: reason -->` before a block
leaves it out; that is rare.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import REPOSITORY, Block, blocks, documents
from tests.docs.samples import write_samples
from tests.docs.small_rondo import small_budget

SECONDS = 300  # for one Bash block
NEVER = ("sh", "shell", "console", "zsh", "py", "python3", "pycon", "")  # written as bash or python, and run


def environment(folder: Path) -> dict[str, str]:
    """Where `rondo` and `make` are those of this checkout and nothing is written outside the folder."""
    programs = folder / ".programs"
    programs.mkdir()
    _program(programs / "rondo", f'exec "{sys.executable}" -P "{REPOSITORY}/tests/docs/small_rondo.py" "$@"')
    _program(
        programs / "make",
        f'exec env -u MAKEFLAGS -u MAKELEVEL PATH="{os.environ["PATH"]}" make -C "{REPOSITORY}" -n "$@"',
    )
    here = os.pathsep.join([str(programs), str(Path(sys.executable).parent)])
    return {
        **os.environ,
        "PATH": here + os.pathsep + os.environ["PATH"],
        "HOME": str(folder),
        "COLUMNS": "100",
    }


def _program(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def run_python(block: Block, names: dict[str, object], path: Path) -> None:
    saved = re.match(r"# ([\w-]+\.py)\n", block.code)
    if saved:
        Path(saved[1]).write_text(block.code, encoding="utf-8")
    # The empty lines make the line numbers of a traceback those of the document.
    exec(compile("\n" * (block.line - 1) + block.code, str(path), "exec"), names)


def run_bash(block: Block, path: Path, variables: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", block.code],
        env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        where = f"{path.name}, line {block.line}: exit code {done.returncode}"
        pytest.fail("\n".join([where, block.code, done.stdout, done.stderr]), pytrace=False)


def run_document(path: Path, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run all that can be run; how many blocks that was."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    write_samples(folder)
    variables, count = environment(folder), 0
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(text):
        if block.not_run is not None or block.language not in ("python", "bash"):
            continue
        if block.language == "python":
            names = {"__name__": "__main__"} if block.new_namespace else names
            run_python(block, names, path)
        else:
            run_bash(block, path, variables)
        count += 1
    return count


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_the_code_of_the_document_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_document(path, path.read_text(encoding="utf-8"), tmp_path, monkeypatch)


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_blocks_say_what_they_are_and_why_they_are_not_run(path: Path) -> None:
    for block in blocks(path.read_text(encoding="utf-8")):
        assert block.language not in NEVER, f"line {block.line}: '{block.language}': write python, bash or text"
        if block.not_run is not None:
            assert len(block.not_run.split()) >= 3 or len(block.not_run) >= 10, f"line {block.line}: give the reason"


def test_hardly_anything_is_left_out() -> None:
    found = [b for path in documents() for b in blocks(path.read_text(encoding="utf-8"))]
    runnable = [b for b in found if b.language in ("python", "bash")]
    left_out = [b for b in runnable if b.not_run is not None]
    assert len(left_out) <= max(2, len(runnable) // 8), [(b.line, b.not_run) for b in left_out]


def test_links_within_the_repository_lead_somewhere() -> None:
    for path in documents():
        prose = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", prose):
            assert (path.parent / target).exists(), f"{path.relative_to(REPOSITORY)} links to {target}"


# The tests of this machinery itself.


def test_blocks_are_found_with_what_is_said_before_them() -> None:
    text = """
Text.

```python
a = 1
```

<!-- not run: it needs two machines -->

```bash
torchrun
```
1. In a list:

   ```python
   if a:
       b = 2
   ```
<!-- new namespace -->
````text
```
````
"""
    found = list(blocks(text))
    assert [(b.language, b.code, b.line) for b in found] == [
        ("python", "a = 1\n", 5),
        ("bash", "torchrun\n", 11),
        ("python", "if a:\n    b = 2\n", 16),
        ("text", "```\n", 21),
    ]
    assert [b.not_run for b in found] == [None, "it needs two machines", None, None]
    assert [b.new_namespace for b in found] == [False, False, False, True]


def test_an_unclosed_block_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2"):
        list(blocks("a\n```python\nb\n"))


def document(*parts: str) -> str:
    return "\n".join(parts)


PYTHON = "```python\n{}\n```"
BASH = "```bash\n{}\n```"


def test_blocks_share_names_files_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = document(
        PYTHON.format("# cell.py\nx = 3"),
        BASH.format("grep 'x = 3' cell.py > seen; test -s my_text.txt; make -s demo >> seen"),
        PYTHON.format("from cell import x as again\nassert again == x == 3"),
        "<!-- new namespace -->",
        PYTHON.format("assert 'x' not in globals()"),
        "<!-- not run: it would fail -->",
        PYTHON.format("assert False"),
        "```text\nnot code\n```",
    )
    assert run_document(Path("d.md"), text, tmp_path, monkeypatch) == 4
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen[0] == "x = 3"
    assert any("rondo demo" in line for line in seen)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (PYTHON.format("assert 1 == 2"), AssertionError),
        (BASH.format("false | true"), pytest.fail.Exception),
        (BASH.format("make no-such-target"), pytest.fail.Exception),
        (BASH.format("echo $UNSET_VARIABLE_OF_A_DOCUMENT"), pytest.fail.Exception),
    ],
)
def test_a_wrong_block_is_noticed(
    text: str, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(error):
        run_document(Path("d.md"), text, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("given", "small"),
    [
        ("train text a.txt --minutes 10 --out m", "train text a.txt --out m --steps 3"),
        ("train text a.txt --epochs=4", "train text a.txt --steps 3"),
        ("train text --help", "train text --help"),
        ("demo", "demo --minutes 0.1"),
        ("generate m --length 500 --seed 1", "generate m --length 20 --seed 1"),
        ("generate m --length 7", "generate m --length 7"),
        ("evaluate m a.txt", "evaluate m a.txt"),
        ("bench gru --shapes 64x100x256x256 --json", "bench gru --json --shapes 2x3x4x5 --quick"),
        ("doctor", "doctor --quick"),
        ("", ""),
    ],
)
def test_budgets_are_small(given: str, small: str) -> None:
    assert small_budget(given.split()) == small.split()
