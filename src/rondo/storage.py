"""Files that are either whole or not there: atomic writes, and reading that trusts nothing.

Whatever Rondo keeps goes through here. A write ends in a complete file, or leaves what stood
there before: bytes go to a temporary file in the same folder, reach the disk, and only then take
the name. Tensors are safetensors, everything else is JSON; a pickle is refused, never opened.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from rondo.errors import ModelError, RondoError

TEMPORARY_SUFFIX = ".rondo-tmp"

_gathered: ContextVar[dict[Path, bytes] | None] = ContextVar("gathered", default=None)

DAMAGED_ARRAYS: tuple[type[Exception], ...] = (
    OSError, ValueError, TypeError, KeyError, EOFError, AttributeError, IndexError, NotImplementedError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy raises, or what is made of the arrays, where a file of arrays is not what it should be."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PICKLE_NAMES = ("pytorch_model.bin", "model.bin", "model.pt", "model.pth", "model.pkl", "model.ckpt")


def is_main_process() -> bool:
    """Whether this process is the one that writes files and talks: rank 0 of those started together."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) or 0) == 0


# ------------------------------------------------------------------------------------------- writing


def write_together(files: Mapping[Path | str, bytes]) -> None:
    """Write several files so that a full disk changes none of them.

    All are written beside their places first; only when every byte is on the disk do they take
    their names, in the order given.
    """
    gathered = _gathered.get()
    if gathered is not None:
        gathered.update({Path(name): data for name, data in files.items()})
        return
    staged: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for name, data in files.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
            staged.append((temporary, path))
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for temporary, path in staged:
            os.replace(temporary, path)
        for folder in {path.parent for _, path in staged}:
            _sync_folder(folder)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        for temporary, _ in staged:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def gathering() -> Iterator[dict[Path, bytes]]:
    """Gather what is written in this block instead of writing it, for one `write_together`."""
    files: dict[Path, bytes] = {}
    token = _gathered.set(files)
    try:
        yield files
    finally:
        _gathered.reset(token)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write one file atomically."""
    write_together({path: data})


def write_text(path: Path | str, text: str) -> None:
    """Write one UTF-8 text file atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> None:
    """Write one JSON file atomically."""
    write_bytes(path, json_bytes(value))


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors as one safetensors file, atomically. Tensors may share memory."""
    write_bytes(path, tensor_bytes(tensors, metadata))


def json_bytes(value: Any) -> bytes:
    """JSON as it is written to files: readable, UTF-8, in the order of the keys given, no NaN."""
    return (json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode("utf-8")


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file in memory. The format has no shared memory, so tied tensors are written twice."""
    seen: set[int] = set()
    flat: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().to("cpu").contiguous()
        storage = plain.untyped_storage().data_ptr()
        if storage in seen or plain.untyped_storage().nbytes() != plain.nbytes:
            plain = plain.clone()
        seen.add(storage)
        flat[name] = plain
    return safetensors.torch.save(flat, dict(metadata) if metadata else None)


def write_error(path: Path | str, error: OSError) -> RondoError:
    """What to tell a person whose file could not be written."""
    if error.errno in _FULL:
        reason = "the disk is full (or a quota is used up); make room and try again"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "no permission to write there"
    else:
        reason = error.strerror or str(error)
    return RondoError(f"cannot write {path}: {reason}. What was there before is unchanged.")


def remove_temporaries(folder: Path | str) -> None:
    """Remove what a killed process left half written in ``folder``."""
    for leftover in Path(folder).glob(f".*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(OSError):
            leftover.unlink()


def _sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# ------------------------------------------------------------------------------------------- reading


def read_bytes(path: Path | str) -> bytes:
    """The content of a regular file of a model."""
    path = Path(path)
    _require_regular(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def read_json(path: Path | str) -> Any:
    """The value in a JSON file."""
    try:
        return json.loads(read_bytes(path).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is damaged: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ModelError(f"{path} is damaged: line {error.lineno}: {error.msg}") from error
    except RecursionError as error:
        raise ModelError(f"{path} is damaged: nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise ModelError(f"{path} is damaged: {str(error).partition(';')[0]}") from error


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in memory of their own; anything else is refused."""
    return parse_tensors(path, read_bytes(path))


def read_metadata(path: Path | str) -> dict[str, str]:
    """The metadata of a safetensors file, without reading its tensors."""
    path = Path(path)
    _require_regular(path)
    try:
        with open(path, "rb") as file:
            _refuse_pickle(path, file.read(16))
        with safetensors.safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path} is damaged: {error}") from error


def parse_tensors(path: Path | str, data: bytes) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file; ``path`` is for the messages."""
    _refuse_pickle(Path(path), data[:16])
    try:
        loaded = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ModelError(f"{path} is damaged: not a whole safetensors file ({error})") from error
    # Copies are aligned by torch's allocator: results must not depend on where a tensor stood in a file.
    return {name: tensor.clone() for name, tensor in loaded.items()}


def pickles_in(folder: Path | str) -> list[str]:
    """Names of pickled weights that a folder offers; Rondo does not open them."""
    return [name for name in _PICKLE_NAMES if (Path(folder) / name).exists()]


def _require_regular(path: Path) -> None:
    if not path.exists():
        raise ModelError(f"{path} does not exist")
    if not path.is_file():
        raise ModelError(f"{path} is not a regular file")


def _refuse_pickle(path: Path, start: bytes) -> None:
    """Name the two forms in which torch saves pickles, so that the message says what was given."""
    if start[:4] == b"PK\x03\x04":
        what = "a zip archive, as torch.save writes it: it holds a pickle"
    elif len(start) > 1 and start[0] == 0x80 and start[1] <= 5 and start[2:9] != b"\0\0\0\0\0\0{":
        # A safetensors file whose header is, say, 0x0580 bytes long begins with the same two bytes.
        what = "a pickle"
    else:
        return
    raise ModelError(
        f"{path} is {what}. A pickle can run any code when it is opened, so Rondo refuses it; "
        "weights are read from safetensors files only."
    )


def read_json_lines(path: Path | str) -> Iterable[dict[str, Any]]:
    """The objects of a JSON-lines file; a last line that was cut off by a kill is left out."""
    lines = read_bytes(path).split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                return
            raise ModelError(f"{path} is damaged: line {number} is not JSON") from error
