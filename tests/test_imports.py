"""Imports follow the data flow, one way; and other rules about the source that reading it can check."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "rondo"

# A module imports only from units that stand before its own.
ORDER = (
    "errors", "ir", "cells", "storage", "_engine", "backends", "layers", "nn", "exchange", "models", "decoding", "data",
    "evaluation", "training", "inspect", "tasks", "search", "serve", "testing", "cli",
)  # fmt: skip

# The files that only join the others together.
ENTRANCES = {"__init__.py", "__main__.py"}

# Writes down the command that made a report; it parses nothing.
RECORDS_THE_COMMAND = {"inspect/provenance.py"}

MODULES = sorted(SOURCE.rglob("*.py"))
UNITS = [path for path in MODULES if str(path.relative_to(SOURCE)) not in ENTRANCES]


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def unit_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module of ``package`` imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def package_of(path: Path) -> str:
    return ".".join(["rondo", *path.relative_to(SOURCE).parts[:-1]])


def only_the_version(tree: ast.Module) -> bool:
    """Whether a module that says `import rondo` reads nothing of it but the version."""
    read = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    return all(n.attr == "__version__" for n in read if n.value.id == "rondo")


def against_the_order(tree: ast.Module, package: str, unit: str) -> list[str]:
    found = []
    for line, name in imported(tree, package):
        parts = name.split(".")
        if parts[0] != "rondo":
            continue
        target = parts[1] if len(parts) > 1 else ""
        if target in (unit, "__version__") or (not target and only_the_version(tree)):
            continue
        if target not in ORDER:
            found.append(f"line {line}: {name} is the entrance, which imports everything, or no unit at all")
        elif ORDER.index(target) > ORDER.index(unit):
            found.append(f"line {line}: {unit} imports {name}, but {target} comes after {unit}")
    return found


@pytest.mark.parametrize("path", UNITS, ids=name_of)
def test_imports_only_from_units_before_it(path: Path) -> None:
    assert unit_of(path) in ORDER, f"{unit_of(path)} has no place in the order of folders; give it one"
    assert not against_the_order(parse(path), package_of(path), unit_of(path))


@pytest.mark.parametrize(
    ("text", "unit", "wrong"),
    [
        ("from rondo.cells import get_cell", "layers", False),
        ("from rondo.layers import Recurrent", "cells", True),
        ("import rondo.cli.main", "training", True),
        ("from rondo import cli", "training", True),
        ("from rondo import errors", "training", False),
        ("def f():\n    from rondo.tasks import text", "models", True),
        ("from ..tasks import text", "models", True),
        ("from .. import tasks", "models", True),
        ("from . import other", "models", False),
        ("from .other import name", "models", False),
        ("from rondo.surprise import x", "models", True),
        ("import rondo\nrondo.train()", "models", True),
        ("import rondo\nv = rondo.__version__", "models", False),
        ("from rondo import __version__", "models", False),
        ("from rondo import train", "models", True),
        ("import torch", "models", False),
    ],
)
def test_the_check_of_the_order_sees(text: str, unit: str, wrong: bool) -> None:
    assert bool(against_the_order(ast.parse(text), f"rondo.{unit}", unit)) is wrong


@pytest.mark.parametrize("path", [p for p in UNITS if unit_of(p) in {"errors", "ir"}], ids=name_of)
def test_the_language_of_cells_never_imports_torch(path: Path) -> None:
    lines = [line for line, name in imported(parse(path), package_of(path)) if name.split(".")[0] == "torch"]
    assert not lines, f"torch imported in line {lines}"


def speaks_to_the_user(tree: ast.Module) -> list[str]:
    """Where a module prints or reads the command line."""
    found = []
    for line, name in imported(tree, "rondo"):
        if name.split(".")[0] in {"argparse", "optparse", "getopt", "click", "tyro", "rich"}:
            found.append(f"line {line}: imports {name}")
        if name in {"sys.argv", "sys.stdout", "sys.stderr"}:
            found.append(f"line {line}: imports {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "input"}:
            found.append(f"line {node.lineno}: calls {node.func.id}")
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and (node.value.id, node.attr) in {("sys", "argv"), ("sys", "stdout"), ("sys", "stderr")}
        ):
            found.append(f"line {node.lineno}: uses sys.{node.attr}")
    return found


@pytest.mark.parametrize("path", [p for p in UNITS if unit_of(p) != "cli"], ids=name_of)
def test_only_the_command_line_prints_and_parses_arguments(path: Path) -> None:
    found = speaks_to_the_user(parse(path))
    if name_of(path) in RECORDS_THE_COMMAND:
        found = [what for what in found if not what.endswith("sys.argv")]
    assert not found


@pytest.mark.parametrize(
    "text", ["print(1)", "import tyro", "from rich import progress", "import sys\nsys.argv", "input()"]
)
def test_the_check_of_printing_sees(text: str) -> None:
    assert speaks_to_the_user(ast.parse(text))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_can_be_held_in_the_head(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines < 500, f"{lines} lines: split it"


@pytest.mark.parametrize("path", [p for p in UNITS if unit_of(p) == "cells"], ids=name_of)
def test_a_cell_has_fewer_than_60_lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if re.search(r"^@cell\b", text, re.MULTILINE):
        assert text.count("\n") < 60


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_bare_assert(path: Path) -> None:
    lines = [node.lineno for node in ast.walk(parse(path)) if isinstance(node, ast.Assert) and not node.msg]
    assert not lines, f"bare assert in line {lines}: give it a message, or raise one of rondo.errors"
