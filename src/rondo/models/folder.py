"""A model on disk is a folder: what it is (`config.json`), its weights, and what goes with them.

    config.json         format, version of Rondo, task, sizes, the cell's graph, resolved options
    model.safetensors   the weights; config.json holds their SHA-256, so that damage and a mixture
                        of two models are noticed
    training.json       the options and the cell of the training that was begun here
    README.md log.jsonl report.html, vocabulary files, checkpoint.safetensors

Nothing in the folder is pickled and reading it runs no code from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

import rondo
from rondo import storage
from rondo.errors import ModelError, UsageError

FORMAT = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
LOG = "log.jsonl"
REPORT = "report.html"
CHECKPOINT = "checkpoint.safetensors"
TRAINING = "training.json"

_DIGEST = "weights_sha256"
_PARTS = "files_sha256"


def save_model(
    folder: Path | str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    parts: Mapping[Path, bytes] | None = None,
) -> None:
    """Write ``config.json``, ``model.safetensors`` and the model's further files, ``parts``.

    A full disk leaves an older model untouched. The configuration holds the checksums of all others.
    """
    folder = Path(folder)
    weights = storage.tensor_bytes(tensors)
    digest = hashlib.sha256(weights).hexdigest()
    head = {"format": FORMAT, "rondo": rondo.__version__, **config, _DIGEST: digest}
    head[_PARTS] = {path.name: hashlib.sha256(data).hexdigest() for path, data in (parts or {}).items()}
    files: dict[Path | str, bytes] = dict(parts or {})  # type: ignore[arg-type]
    files |= {folder / WEIGHTS: weights, folder / CONFIG: storage.json_bytes(head)}
    storage.write_together(files)


def read_model(folder: Path | str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the weights of a model folder, or an error that says what is wrong with it."""
    folder = Path(folder)
    config = read_config(folder)
    path = folder / WEIGHTS
    data = storage.read_bytes(path)
    tensors = storage.parse_tensors(path, data)
    digest = config.get(_DIGEST)
    if digest != hashlib.sha256(data).hexdigest():
        raise ModelError(
            f"{path} does not belong to {folder / CONFIG}: the checksum differs. Either the file is damaged, "
            "or writing the model was interrupted; copy it again, or train with --resume to write it again."
        )
    return config, tensors


def check_parts(folder: Path | str, config: Mapping[str, Any]) -> None:
    """Raise `ModelError` if a further file of the model is not the one that was saved with it."""
    digests = config.get(_PARTS)
    if not isinstance(digests, dict):
        raise ModelError(f"{Path(folder) / CONFIG} is damaged: it has no checksums of the files beside it")
    for name, digest in digests.items():
        if Path(name).name != name:
            raise ModelError(f"{Path(folder) / CONFIG} is damaged: {name[:80]!r} is not a file beside it")
        path = part_of(folder, name)
        if digest != hashlib.sha256(storage.read_bytes(path)).hexdigest():
            raise ModelError(f"{path} does not belong to {Path(folder) / CONFIG}: the checksum differs")


def read_config(folder: Path | str) -> dict[str, Any]:
    """The configuration of a model folder; checks all of the folder except what is in the weights."""
    folder = Path(folder)
    if not folder.exists():
        raise ModelError(f"there is no model at {folder}: the folder does not exist")
    if not folder.is_dir():
        raise ModelError(f"{folder} is a file; a model is a folder with {CONFIG} and {WEIGHTS}")
    _require_complete(folder)
    path = folder / CONFIG
    config = storage.read_json(path)
    if not isinstance(config, dict) or type(config.get("format")) is not int or "rondo" not in config:
        raise ModelError(f"{path} is not the configuration of a Rondo model: it has no 'format' and 'rondo'")
    if config["format"] > FORMAT:
        raise ModelError(
            f"{folder} was made by Rondo {config['rondo']} in format {config['format']}; this is Rondo "
            f"{rondo.__version__}, which reads formats up to {FORMAT}. Install a newer version: "
            "pip install --upgrade rondo"
        )
    if not isinstance(config.get("task", ""), str):
        raise ModelError(f"{path} is damaged: it holds a model for task {str(config['task'])[:80]}")
    if config["format"] < 1:
        raise ModelError(f"{path} is damaged: format {config['format']} does not exist")
    return config


def part_of(folder: Path | str, name: str) -> Path:
    """The path of a further file that belongs to the model in ``folder``; it is an error if it is missing."""
    path = Path(folder) / name
    if not path.is_file():
        raise ModelError(f"{folder} is not a complete model: {name} is missing")
    return path


def _require_complete(folder: Path) -> None:
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if not missing:
        return
    message = f"{folder} is not a complete model: {' and '.join(missing)} missing"
    pickles = storage.pickles_in(folder)
    if (folder / CHECKPOINT).is_file():
        message += ". Training was interrupted; the same command with --resume continues it"
    elif pickles:
        message += f". {pickles[0]} is a pickle, which Rondo does not open: it could run any code"
    raise ModelError(message)


# ------------------------------------------------------------------------------------- output folders


def check_output_folder(folder: Path | str, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Refuse an output folder that holds something which training must not touch. Changes nothing.

    A folder that is missing or empty is fine. One that Rondo wrote needs ``resume`` (which starts from
    the beginning where there is no checkpoint yet) or ``overwrite``. Anything else is never written into.
    Of several processes only the main one looks: the others come when it has begun to write.
    """
    folder = Path(folder)
    if not storage.is_main_process():
        return folder
    if resume and overwrite:
        raise UsageError("--resume continues what is there and --overwrite discards it: give one of them")
    if folder.is_file():
        raise UsageError(f"{folder} is a file; --out needs a folder")
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return folder
    except OSError as error:
        raise UsageError(f"cannot look into {folder}: {error.strerror or error}") from error
    if not is_rondo_folder(folder):
        raise UsageError(f"{folder} holds something other than a Rondo model; give an empty or a new folder with --out")
    if not resume and not overwrite:
        what = "a model" if (folder / WEIGHTS).is_file() else "a training that was not finished"
        raise UsageError(
            f"{folder} already holds {what}: --resume continues it, --overwrite discards it, "
            "and another --out keeps both"
        )
    return folder


def refuse_other_things(folder: Path | str) -> None:
    """Refuse to save a model where there is something else than another model, or nothing."""
    folder = Path(folder)
    if folder.is_file():
        raise UsageError(f"{folder} is a file; a model is a folder")
    try:
        taken = folder.exists() and any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot look into {folder}: {error.strerror or error}") from error
    if taken and not is_rondo_folder(folder):
        raise UsageError(f"{folder} holds something other than a Rondo model; save into an empty or a new folder")


def weights_digest(folder: Path | str) -> str | None:
    """The checksum of the weights in a model folder."""
    digest = read_config(folder).get(_DIGEST)
    return digest if isinstance(digest, str) else None


def discard_training(folder: Path | str) -> None:
    """Remove what the training of an earlier model left in a folder: checkpoint, log, page, card."""
    for name in (CHECKPOINT, TRAINING, REPORT, LOG, CARD):
        (Path(folder) / name).unlink(missing_ok=True)


def write_events(folder: Path | str, events: Sequence[Mapping[str, Any]]) -> None:
    """The log of a training that was not in this folder; a log that is there stays."""
    path = Path(folder) / LOG
    if not path.exists():
        lines = [{"event": "created", "format": FORMAT, "rondo": rondo.__version__}, *events]
        storage.write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def prepare_output_folder(folder: Path | str, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Check ``folder``, create it, and mark it as Rondo's with the first line of its log.

    With ``overwrite`` what an earlier training left is removed here, so call this when the data has been
    read and found good. Of several processes only the main one does anything.
    """
    folder = Path(folder)
    if not storage.is_main_process():
        return folder
    check_output_folder(folder, resume=resume, overwrite=overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        storage.remove_temporaries(folder)
        if overwrite:
            for name in (CHECKPOINT, TRAINING, CONFIG, WEIGHTS, CARD, REPORT, LOG):
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise storage.write_error(folder, error) from error
    mark_folder(folder)
    return folder


def mark_folder(folder: Path | str) -> None:
    """Begin the log of ``folder``, if it has none, with the line by which Rondo knows the folder again."""
    write_events(folder, ())


def is_rondo_folder(folder: Path | str) -> bool:
    """Whether Rondo wrote this folder: its log or its configuration says so."""
    folder = Path(folder)
    return _says_rondo(folder / LOG, first_line=True) or _says_rondo(folder / CONFIG, first_line=False)


def _says_rondo(path: Path, *, first_line: bool) -> bool:
    if not path.is_file():
        return False
    try:
        data = path.read_bytes()
        value = json.loads(data.split(b"\n", 1)[0] if first_line else data)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "rondo" in value
