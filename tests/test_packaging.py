"""What a newcomer meets first: the pinned versions, the two commands, and what they say on a machine too old."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rondo

REPOSITORY = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
DIRECT = [
    Requirement(text)
    for text in (
        *PROJECT["dependencies"],
        *PYPROJECT["build-system"]["requires"],
        *(r for extra in PROJECT["optional-dependencies"].values() for r in extra),
    )
]
INSTALLED_BY_MAKE = {
    name
    for names in re.findall(
        r"^\t\$\(PIP_INSTALL\) ([\w -]+)$", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    for name in names.split()
}
PINNED = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
}


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_each_direct_dependency_is_a_range_that_holds_the_pinned_version(requirement: Requirement) -> None:
    assert canonicalize_name(requirement.name) in PINNED, f"pin {requirement.name} in constraints.txt"
    assert requirement.specifier.contains(PINNED[canonicalize_name(requirement.name)])
    assert not any(part.operator == "==" for part in requirement.specifier), "the package itself asks for a range"


def test_only_what_is_asked_for_is_pinned() -> None:
    assert set(PINNED) == {canonicalize_name(requirement.name) for requirement in DIRECT} | INSTALLED_BY_MAKE


def test_the_tools_of_the_build_are_pinned() -> None:
    needed = {canonicalize_name(Requirement(text).name) for text in PYPROJECT["build-system"]["requires"]}
    assert needed | {"cmake", "ninja"} <= INSTALLED_BY_MAKE


def test_the_version_is_written_once() -> None:
    assert "version" in PROJECT["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", rondo.__version__)


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "Makefile", ".ci/run"])
def test_where_packages_come_from_is_the_machine_s_own_affair(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert not re.search(r"index-url|find-links|trusted-host|https?://", text)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=REPOSITORY, env=inherited, capture_output=True, text=True, check=False
    )


def test_make_alone_says_what_there_is() -> None:
    said = make().stdout
    assert "make demo" in said
    assert "make test" in said


def test_both_commands_install_once_with_the_pinned_versions(tmp_path: Path) -> None:
    for target in ("demo", "test"):
        steps = make("-n", target, f"VENV={tmp_path}/new").stdout
        installations = re.findall(r"pip install .*", steps)
        assert all("--constraint constraints.txt" in step for step in installations)
        assert len([step for step in installations if "--editable" in step]) == 1
        # The tools of the build come before, and are used: an isolated build would fetch its own, unpinned.
        assert "--editable" in installations[-1]
        assert "--no-build-isolation" in installations[-1]
        (tmp_path / target).mkdir()
        for stamp in (".created", ".build-tools", ".installed", ".installed-dev"):
            (tmp_path / target / stamp).touch()
        assert "pip install" not in make("-n", target, f"VENV={tmp_path}/{target}").stdout


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for python, words in [(str(old), "Python 3.9.2"), ("no-such-python", "there is no 'no-such-python'")]:
        done = make("demo", f"PYTHON={python}", f"VENV={tmp_path}/venv")
        assert done.returncode != 0
        assert "3.11 or newer" in done.stderr
        assert words in done.stderr
        assert not (tmp_path / "venv").exists()


def test_ci_runs_the_command_of_the_readme() -> None:
    run = REPOSITORY / ".ci" / "run"
    assert os.access(run, os.X_OK)
    assert re.search(r"\bmake test\b", run.read_text(encoding="utf-8"))
    assert re.search(r"^make test\b", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
