"""``rondo generate MODEL``: a model writes."""

from __future__ import annotations

import dataclasses
import itertools
import secrets
import sys
from collections.abc import Sequence
from typing import Any, Literal

from rondo.cli.arguments import DEVICE, OUTPUT, THREADS, Group, Option, options_of, parse
from rondo.cli.machine import usable_device, use_threads
from rondo.cli.output import only_json, print_json, print_text, say_notes
from rondo.cli.terminal import harmless
from rondo.decoding import Sampling
from rondo.errors import UsageError
from rondo.models.folder import read_config
from rondo.tasks.poetry.request import PoemRequest
from rondo.tasks.registry import TASKS, load

MODEL = Option("model", str, "the folder that training wrote.", metavar="MODEL", required=True)
PROMPT = Option("prompt", str, "What the text, or the poem, begins with.")
LENGTH = Option("length", int, "Characters, words or pieces to write, as the model counts.", default=500)
SCRIPT = Option(
    "script", Literal["simplified", "traditional"], "Characters to write in; default: those of the request."
)
SAMPLES = Option("samples", int, "How many to write.", default=1)
SEED = Option("seed", int, "Seed of the random numbers: the same seed writes the same; default: another each time.")

EXAMPLES = (
    "rondo generate my-model --prompt 'Once upon a time' --length 300 --temperature 0.7 --seed 1",
    "rondo generate my-model --top-p 0.9 --samples 3 --json",
    "rondo generate my-poet --form 七言绝句 --prompt 明月",
    "rondo generate my-poet --form 五言绝句 --acrostic 春夏秋冬 --script simplified",
)


def groups() -> list[Group]:
    """All options, by the task they belong to."""
    poem = tuple(option for option in options_of(PoemRequest) if option.name != "prompt")
    temperature, *others = (option for option in options_of(Sampling) if option.name != "repetition_window")
    said = f"{temperature.help} Default: 1, for verse 0.8."
    sampling = (dataclasses.replace(temperature, default=None, help=said), *others)
    return [
        Group("writing", "", (PROMPT, SAMPLES, SEED)),
        Group("sampling", "How a token is drawn from what the model expects.", sampling),
        Group("text", "For models of text.", (LENGTH,)),
        Group("poetry", "For models of verse.", (*poem, SCRIPT)),
        Group("machine", "", (DEVICE, THREADS)),
        Group("output", "", OUTPUT),
    ]


def run(arguments: Sequence[str]) -> int:
    """Write to the terminal while it is made."""
    found = groups()
    given = parse(
        arguments,
        command="rondo generate",
        about="Let a model write, to the terminal as it is made. Classifiers only read.",
        examples=EXAMPLES,
        positional=[MODEL],
        groups=found,
    )
    folder, as_json, quiet = given.pop("model"), given.pop("json", False), given.pop("quiet", False)
    use_threads(given.pop("threads", None))
    device = usable_device(given.pop("device", DEVICE.default))
    task = read_config(folder).get("task")
    _refuse_others(task, folder, given, found)
    seed = given.setdefault("seed", secrets.randbelow(2**31))
    if seed < 0:
        raise UsageError(f"--seed must be at least 0, not {seed}")
    with only_json(as_json):
        model = load(folder, device=device)
    if as_json:
        with only_json(True):
            written = model.generate(**given)
        print_json({"task": task, "model": folder, "seed": seed, "samples": written, **_notes(model)})
        return 0
    if task == "poetry":
        _print_poems(model, given)
    elif given.get("samples", 1) == 1:
        _stream(model, given)
    else:
        for number, text in enumerate(model.generate(**given), 1):
            print_text(f"--- {number}\n{text}")
    say_notes(getattr(model, "notes", ()), quiet=quiet)
    return 0


def _refuse_others(task: Any, folder: str, given: dict[str, Any], found: Sequence[Group]) -> None:
    """An option of the other task would change nothing, so it is an error."""
    if task in TASKS and task not in ("text", "poetry"):
        verb = "predict" if TASKS[task].home_of_reading else "evaluate"
        raise UsageError(f"{folder} is a model of {task}, which reads and does not write; see rondo {verb} {folder}")
    if task not in TASKS:
        return  # loading says what is wrong
    for group in found:
        if group.title in ("text", "poetry") and group.title != task:
            for option in group.options:
                if option.name in given:
                    raise UsageError(f"{option.flag} is for models of {group.title}; {folder} is a model of {task}")


def _stream(model: Any, given: dict[str, Any]) -> None:
    sampling = {name: given[name] for name in ("temperature", "top_k", "top_p", "repetition_penalty") if name in given}
    prompt = given.get("prompt", "")
    pieces = model.stream(
        prompt, length=given.get("length", LENGTH.default), sampling=Sampling(**sampling), seed=given["seed"]
    )
    last = ""
    for piece in itertools.chain([prompt], pieces):
        if piece:
            sys.stdout.write(harmless(piece))
            sys.stdout.flush()
            last = piece[-1]
    if last != "\n":
        sys.stdout.write("\n")


def _print_poems(model: Any, given: dict[str, Any]) -> None:
    for number, poem in enumerate(model.generate(**given)):
        if number:
            print_text("")
        print_text(poem.replace("。", "。\n"))


def _notes(model: Any) -> dict[str, Any]:
    """What of the request the model could not take as it was."""
    notes = getattr(model, "notes", [])
    return {"notes": notes} if notes else {}
