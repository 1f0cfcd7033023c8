"""What it takes to run something again: command, seed, versions, machine, data, time."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import rondo

PACKAGES = ("torch", "numpy", "safetensors", "tokenizers", "lightning-fabric", "scikit-learn")


@dataclass(frozen=True)
class DataFile:
    """One file that was read."""

    path: str
    """As it was given where that was relative, else the file's name: where it lies is nobody's business."""
    bytes: int


@dataclass(frozen=True)
class Provenance:
    """Goes into ``config.json``, the card and the last section of every report."""

    seed: int | None = None
    seconds: float | None = None
    command: str | None = None
    """The exact command line; None when called from Python."""
    started: str | None = None
    """Local time with its offset, ISO 8601."""
    versions: Mapping[str, str] = field(default_factory=dict)
    processor: str = ""
    cores: int = 1
    """Cores this process may use."""
    memory: int | None = None
    """Bytes of main memory."""
    threads: int = 1
    device: str = "cpu"
    system: str = ""
    data: tuple[DataFile, ...] = ()
    data_folder: str = ""
    """The name of the folder that all the files lie in."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        known["data"] = tuple(DataFile(**item) for item in known.get("data", ()))
        return cls(**known)


def versions(extra: Iterable[str] = ()) -> dict[str, str]:
    """Rondo, Python and the packages whose version can change a result; absent ones are left out."""
    found = {"rondo": rondo.__version__, "python": platform.python_version()}
    for name in (*PACKAGES, *extra):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor_name() -> str:
    """The processor as its maker calls it, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, _, value = line.partition(":")
                if key.strip() in ("model name", "Hardware", "cpu model") and value.strip():
                    return " ".join(value.split())
    except OSError:
        pass
    if sys.platform == "darwin":
        try:
            asked = subprocess.run(
                ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, timeout=5
            )
            if asked.stdout.strip():
                return asked.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def command_line(arguments: list[str] | None = None) -> str | None:
    """The command as it can be typed again, or None when Rondo was not started from its command line."""
    words = sys.argv if arguments is None else arguments
    if not words or not words[0]:
        return None
    program = Path(words[0])
    if program.stem == "rondo":
        return shlex.join(["rondo", *words[1:]])
    if program.name == "__main__.py" and "rondo" in program.parts:
        return shlex.join(["python", "-m", "rondo", *words[1:]])
    return None


def device_name(device: str | torch.device) -> str:
    """The device with its maker's name where there is one."""
    where = torch.device(device)
    if where.type == "cuda" and torch.cuda.is_available():
        return f"{where} ({torch.cuda.get_device_name(where)})"
    return str(where)


def collect(
    *,
    seed: int | None = None,
    seconds: float | None = None,
    data: Iterable[str | os.PathLike[str]] = (),
    device: str | torch.device = "cpu",
    command: str | None = None,
    extra_packages: Iterable[str] = (),
) -> Provenance:
    """Look at this process and this machine.

    ``command`` replaces what stands in ``sys.argv``; a data file that has gone since is listed with size 0.
    """
    files, folders = [], []
    for path in data:
        try:
            count = Path(path).stat().st_size
        except OSError:
            count = 0
        files.append(DataFile(Path(path).name if os.path.isabs(path) else os.fspath(path), count))
        folders.append(os.path.dirname(os.path.abspath(path)))
    begun = time.time() - (seconds or 0.0)
    return Provenance(
        seed=seed,
        seconds=seconds,
        command=command if command is not None else command_line(),
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(begun)),
        versions=versions(extra_packages),
        processor=processor_name(),
        cores=usable_cores(),
        memory=memory_bytes(),
        threads=torch.get_num_threads(),
        device=device_name(device),
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        data=tuple(files),
        data_folder=_common(folders),
    )


def _common(folders: Sequence[str]) -> str:
    try:
        return os.path.basename(os.path.commonpath(folders)) if folders else ""
    except ValueError:  # on several drives
        return ""
