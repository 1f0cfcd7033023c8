"""The record of a training: log.jsonl always, TensorBoard if wanted.

Lines are buffered; they reach the disk at evaluations and checkpoints. A checkpoint knows how long the log
was, and a training that is resumed from it cuts off what was written after it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rondo import storage
from rondo.errors import UsageError
from rondo.models import folder as model_folder

try:
    import fcntl
except ImportError:  # Windows has no such locks; there nothing keeps two trainings apart.
    fcntl = None  # type: ignore[assignment]


class Log:
    """Appends events to ``log.jsonl``; holds a lock on it, so that no second training writes there."""

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        self.path = folder / model_folder.LOG
        self._board = _board(folder) if tensorboard else None
        model_folder.mark_folder(folder)
        try:
            self._file = open(self.path, "ab")  # noqa: SIM115
        except OSError as error:
            raise storage.write_error(self.path, error) from error
        _lock(self._file.fileno(), folder)

    def write(self, event: dict[str, Any]) -> None:
        """Add one event; it may stay in memory until ``flush``."""
        clean = {key: _finite(value) for key, value in event.items()}
        try:
            self._file.write(json.dumps(clean, ensure_ascii=False).encode("utf-8") + b"\n")
        except OSError as error:
            raise storage.write_error(self.path, error) from error
        if self._board is not None and "step" in event:
            for key, value in event.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{event['event']}/{key}", value, event["step"])

    def flush(self) -> int:
        """Bring all events to the disk. Returns the length of the log in bytes."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            if self._board is not None:
                self._board.flush()
        except OSError as error:
            raise storage.write_error(self.path, error) from error
        return os.fstat(self._file.fileno()).st_size

    def cut(self, length: int | None) -> None:
        """Forget what was written after the first ``length`` bytes; None: all but the line that marks the log."""
        try:
            if length is None:
                length = self.path.read_bytes().find(b"\n") + 1
            if self.path.stat().st_size > length:
                os.truncate(self.path, length)
        except OSError as error:
            raise storage.write_error(self.path, error) from error

    def events(self) -> list[dict[str, Any]]:
        """All events so far."""
        self.flush()
        return list(storage.read_json_lines(self.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        if self._board is not None:
            self._board.close()


class NoLog(Log):
    """For the processes that do not write."""

    def __init__(self) -> None:
        pass

    def write(self, event: dict[str, Any]) -> None:
        pass

    def flush(self) -> int:
        return 0

    def cut(self, length: int | None) -> None:
        pass

    def events(self) -> list[dict[str, Any]]:
        return []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _lock(handle: int, folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"another training is writing to {folder} at this moment") from error
    except OSError:
        return  # a file system without locks


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("--tensorboard needs the package tensorboard: pip install 'rondo[tensorboard]'") from error
    return SummaryWriter(folder / "tensorboard")


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity; they are written as null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
