"""The engine's build: it is there where a compiler is, the package goes without, and instruction sets stay apart."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterable
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COMPILERS = [c for c in (os.environ.get("CXX", "g++"), "c++", "clang++") if shutil.which(c)]
OBJECTS = REPOSITORY / "build" / "engine" / "CMakeFiles"
KERNELS = sorted(path.stem.removeprefix("kernels_") for path in (REPOSITORY / "native" / "src").glob("kernels_*.cpp"))


@pytest.fixture(scope="module", autouse=True)
def _sources() -> None:
    if not (REPOSITORY / "native" / "CMakeLists.txt").exists():
        pytest.skip("needs a checkout of the repository")


@pytest.mark.skipif(not COMPILERS, reason="needs a C++ compiler")
def test_where_a_compiler_is_the_engine_is_built() -> None:
    try:
        engine = import_module("rondo._engine")
    except ImportError as error:
        pytest.fail(f"{error}; `make native` builds it, or says why it cannot")
    stable = sys.version_info >= (3, 12) and not sysconfig.get_config_var("Py_GIL_DISABLED")
    assert Path(engine.__file__ or "").name.endswith(".abi3.so" if stable else EXTENSION_SUFFIXES[0])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and with the wheel that is built from it where every compiler fails."""
    pytest.importorskip("scikit_build_core", reason="needs scikit-build-core")
    folder = tmp_path_factory.mktemp("built")
    code = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=REPOSITORY, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    environment = {**os.environ, "CC": "false", "CXX": "false"}
    subprocess.run([*pip, "--wheel-dir", str(folder), str(sdist)], env=environment, check=True, capture_output=True)
    return folder


def python_files(root: Path) -> set[str]:
    """Everything that belongs to the package, as its installed name."""
    return {
        path.relative_to(root).as_posix()
        for path in (root / "rondo").rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".so", ".pyd"}
    }


def test_the_source_distribution_holds_what_builds_tests_and_explains(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in python_files(REPOSITORY / "src")} <= names
    for folder in ("native/src", "native/tests", "tests/native", "docs"):
        assert {p.relative_to(REPOSITORY).as_posix() for p in (REPOSITORY / folder).glob("*.*")} <= names
    assert {"native/CMakeLists.txt", "Makefile", "constraints.txt", "LICENSE", "README.md", "PKG-INFO"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".so", ".o")) or name.startswith(("build", ".venv"))]


def test_without_a_compiler_the_package_is_whole_and_pure(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == python_files(REPOSITORY / "src")
    assert {"rondo/py.typed", "rondo/tasks/poetry/pingshui.json"} <= names


def symbols(objects: Iterable[Path], kinds: str) -> set[str]:
    """The names in object files whose kind, a letter of nm, is one of these."""
    listing = subprocess.run(["nm", *map(str, objects)], capture_output=True, text=True, check=True).stdout
    fields = [line.split() for line in listing.splitlines()]
    return {f[-1] for f in fields if len(f) >= 2 and f[-2] in kinds}


@pytest.mark.parametrize("instruction_set", [name for name in KERNELS if name != "generic"])
def test_code_of_an_instruction_set_is_reached_by_its_table_alone(instruction_set: str) -> None:
    """Of two weak symbols of one name the linker keeps either: the other file would run code that is not for it."""
    objects = set(OBJECTS.rglob("*.o"))
    own = {path for path in objects if path.name.startswith(f"kernels_{instruction_set}.")}
    if not own or shutil.which("nm") is None:
        pytest.skip(f"needs nm, and the object files of {instruction_set} from `make native`")
    assert not symbols(own, "VWu") & symbols(objects - own, "TtVvWwUu")


@pytest.mark.skipif(
    not COMPILERS or not shutil.which("cmake") or not shutil.which("ninja"), reason="needs cmake, ninja, C++"
)
@pytest.mark.parametrize("ci", ["", "true"])
def test_a_compiler_without_sanitizers_is_told_of_and_fails_ci(tmp_path: Path, ci: str) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *-fsanitize*) exit 1;; esac\nexec {COMPILERS[0]} "$@"\n')
    compiler.chmod(0o755)
    command = ["cmake", "-S", str(REPOSITORY / "native"), "-B", str(tmp_path / "build"), "-G", "Ninja"]
    options = [f"-DCMAKE_CXX_COMPILER={compiler}", "-DRONDO_SANITIZE=thread", "-DRONDO_MODULE=OFF", "-DRONDO_TESTS=ON"]
    done = subprocess.run([*command, *options], env={**os.environ, "CI": ci}, capture_output=True, text=True)
    assert (done.returncode != 0) == bool(ci)
    assert "this compiler has no -fsanitize=thread" in " ".join(done.stderr.split())
