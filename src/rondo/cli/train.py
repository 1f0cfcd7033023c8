"""``rondo train TASK FILE ...``: from files to a model folder."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

from rondo.cli.arguments import OUTPUT, Group, Option, options_of, parse
from rondo.cli.machine import usable_device
from rondo.cli.output import only_json, print_json, print_text, say_notes
from rondo.cli.progress import progress_for
from rondo.cli.results import trained
from rondo.errors import UsageError
from rondo.storage import is_main_process
from rondo.tasks.options import checked, from_flat
from rondo.tasks.registry import TASKS, Task, get_task

INTERRUPTED = 130

FOLDER = (
    Option("out", str, "the folder that becomes the model.", metavar="DIR", required=True),
    Option("resume", bool, "Go on where a training that was stopped or killed has left off.", pair=False),
    Option("overwrite", bool, "Discard the model or the unfinished training in DIR.", pair=False),
    Option(
        "config", str, "A TOML file with options, named as the flags are; flags override it.", metavar="FILE.toml"
    ),
)  # fmt: skip

METAVARS = {
    "time": "COLUMN", "series": "COLUMN", "target": "COLUMN ...", "past": "COLUMN ...", "future": "COLUMN ...",
    "static": "COLUMN ...", "categorical": "COLUMN ...", "valid": "FILE", "test": "FILE", "labels": "FILE",
    "vectors": "FILE", "pretrain": "FILE", "device": "DEVICE", "encoding": "NAME", "cell": "CELL", "backend": "NAME",
    "resize": "HEIGHT WIDTH",
}  # fmt: skip

TRAINING = {
    "budget": ("", ("epochs", "steps", "minutes", "schedule_steps")),
    "optimiser": (
        "How the weights are updated.",
        ("optimiser", "momentum", "betas", "smoothing", "epsilon", "clip_norm", "clip_value"),
    ),
    "schedule": (
        "The learning rate over time.",
        ("learning_rate", "schedule", "warmup_steps", "hold", "final_lr", "plateau_factor", "plateau_patience"),
    ),
    "regularisation": (
        "What keeps the weights from learning by heart, besides dropout.",
        ("weight_decay", "l1", "activation_reg", "temporal_activation_reg", "averaging", "average_start", "ema_decay"),
    ),
    "evaluation": (
        "How training is watched, and which weights are kept.",
        ("evaluations", "eval_every", "metric", "patience", "keep"),
    ),
    "record": (
        "Checkpoints and logs.", ("checkpoint_minutes", "checkpoint_steps", "log_every", "tensorboard"),
    ),
    "machine": (
        "What to compute on.", ("device", "devices", "threads", "precision", "seed"),
    ),
}  # fmt: skip
"""Training has many options: the help shows them in these groups. How long to train is what a task's own
options say of themselves."""
ORDER = (
    "output",
    "budget",
    "reading",
    "data",
    "model",
    "pretraining",
    "scoring",
    "batches",
    *(title for title in TRAINING if title != "budget"),
)

EXAMPLES = {
    "text": (
        "rondo train text my_text.txt --out my-model --minutes 5",
        "rondo train text *.txt.gz --out my-model --cell gru --layers 1 --hidden 512 --epochs 3",
        "rondo train text my_text.txt --out my-model --resume  # after Ctrl-C, or a crash",
    ),
    "poetry": (
        "rondo train poetry poems.jsonl --out my-poet --minutes 30",
        "rondo train poetry poems.jsonl --out my-poet --config my-options.toml --hidden 512",
    ),
    "classify": (
        "rondo train classify reviews.csv --out my-classifier --epochs 5",
        "rondo train classify train.tsv --valid dev.tsv --test test.tsv --text-column 1 --label-column 2 --out m",
        "rondo train classify folder_of_folders --out my-classifier --vectors glove.6B.100d.txt --calibrate",
    ),
    "signals": (
        "rondo train signals recordings.tsv --out my-signals --epochs 50",
        "rondo train signals GunPoint_TRAIN.tsv --test GunPoint_TEST.tsv --out my-signals",
        "rondo train signals motions.npz --label-column action --group-column subject --out my-signals",
    ),
    "tag": (
        "rondo train tag sentences.conll --out my-tagger --epochs 20",
        "rondo train tag eng.train --valid eng.testa --test eng.testb --scheme IOB1 --out my-tagger --minutes 30",
        "rondo train tag spans.jsonl --out my-tagger --unit characters",
    ),
    "forecast": (
        "rondo train forecast prices.csv --time date --target close --horizon 5 --out my-forecaster",
        "rondo train forecast sales.parquet --series shop --target sold --future holiday --horizon 28 --out m",
        "rondo train forecast ETTh1.csv --horizon 96 --split 8640 2880 2880 --context-length 720 --out my-ett",
    ),
    "digits": (
        "rondo train digits --out my-digits  # those that come with scikit-learn",
        "rondo train digits train-images-idx3-ubyte.gz --test t10k-images-idx3-ubyte.gz --out my-digits --epochs 5",
        "rondo train digits train-images-idx3-ubyte.gz --out m --order pixels --permute 0 --cell min_gru",
        "rondo train digits folder_of_folders --resize 28 28 --out my-digits",
    ),
}


def run(arguments: Sequence[str]) -> int:
    """Train, and say how it went."""
    if not arguments or arguments[0] in ("--help", "-h"):
        print_text(_tasks())
        return 0 if arguments else 2
    if arguments[0].startswith("-"):
        raise UsageError(f"the task comes first: rondo train TASK ... {arguments[0]}; tasks: {', '.join(TASKS)}")
    task = get_task(arguments[0])
    given = parse(
        arguments[1:],
        command=f"rondo train {task.name}",
        about=_about(task),
        examples=EXAMPLES[task.name],
        positional=[Option("files", str, _files(task), metavar="FILE ...", many=True)],
        groups=groups(task),
    )
    own = {name: given.pop(name, None) for name in ("files", "out", "resume", "overwrite", "config", "json", "quiet")}
    options: Any = from_flat(task.options, {**_from_file(own["config"], task), **given})
    if task.needs_files and not own["files"]:
        raise UsageError(f"train {task.name} needs at least one FILE to learn from")
    usable_device(options.training.device)  # said now, before a folder is made, or an older model discarded
    result = _train(task, options, own)
    if not result:
        return 0  # another process of the same training speaks
    interrupted = result.get("stopped") == "interrupted"
    print_json(result) if own["json"] else print_text(trained(result))
    say_notes(result.get("overlaps", ()), quiet=bool(own["quiet"]))
    if interrupted:
        sys.stderr.write("rondo: interrupted; the same command with --resume goes on from here\n")
    return INTERRUPTED if interrupted else 0


def groups(task: Task) -> list[Group]:
    """The task's options as the help shows them."""
    found = [Group("output", "", (*FOLDER, *OUTPUT))]
    for section, kind in get_type_hints(task.options).items():
        options = options_of(kind, metavars=METAVARS)
        if section != "training":
            found.append(Group(section, (kind.__doc__ or "").strip(), options))
            continue
        placed = {name for _, names in TRAINING.values() for name in names}
        by_name = {option.name: option for option in options}
        found += [
            Group(title, about or (kind.__doc__ or "").strip(), tuple(by_name[name] for name in names))
            for title, (about, names) in TRAINING.items()
        ]
        rest = tuple(option for option in options if option.name not in placed)
        found.append(Group("batches", "What is learned from at once.", rest))
    return sorted(found, key=lambda group: ORDER.index(group.title))


def _train(task: Task, options: Any, own: dict[str, Any]) -> dict[str, Any]:
    further = {"resume": bool(own["resume"]), "overwrite": bool(own["overwrite"])}
    quiet = bool(own["quiet"]) or not is_main_process()
    with only_json(bool(own["json"])), progress_for(quiet=quiet) as progress:
        return task.train(own["files"] or [], own["out"], options, progress=progress, **further)


def _from_file(path: str | None, task: Task) -> dict[str, Any]:
    """The options in a TOML file; what does not go together may still be mended by a flag."""
    if path is None:
        return {}
    try:
        given = tomllib.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config: cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"--config: {path} is not UTF-8 text: see byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--config: {path} is not TOML: {error}") from None
    return checked(task.options, given, source=path)


def _tasks() -> str:
    wide = max(map(len, TASKS))
    lines = ["usage: rondo train TASK [FILE ...] --out DIR [OPTIONS]", "", "tasks"]
    lines += [f"  {task.name:{wide}}  {task.summary}" for task in TASKS.values()]
    lines += ["", "rondo train TASK --help lists the options of a task.", "", "examples"]
    lines += [f"  {EXAMPLES[name][0]}" for name in TASKS]
    return "\n".join(lines)


def _about(task: Task) -> str:
    head = f"{task.summary[:1].upper()}{task.summary[1:]}."
    return f"{head} Files may be plain or .gz, .xz, .bz2, .zip, in any encoding."


def _files(task: Task) -> str:
    if task.name == "poetry":
        return "Poems: JSON lines with 'paragraphs', or plain text."
    if task.name == "forecast":
        return "Series: CSV, Parquet or JSON lines, wide or long."
    if task.name == "digits":
        return "Images: idx, .npz, a folder of pictures for each class, or a table; none: scikit-learn's digits."
    return "What to learn from; several files are read one after the other."
