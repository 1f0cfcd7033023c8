"""``rondo evaluate MODEL [FILE ...]``: a model's figures beside its baseline's."""

from __future__ import annotations

from collections.abc import Sequence

from rondo.cli.arguments import DEVICE, OUTPUT, THREADS, Group, Option, parse
from rondo.cli.machine import usable_device, use_threads
from rondo.cli.output import only_json, print_json, print_text
from rondo.cli.progress import waiting
from rondo.cli.results import evaluated
from rondo.errors import UsageError
from rondo.models.folder import read_config
from rondo.tasks.registry import TASKS, load

POSITIONAL = (
    Option("model", str, "the folder that training wrote.", metavar="MODEL", required=True),
    Option("files", str, "What to score; a model of digits has its own held-out part.", metavar="FILE ...", many=True),
)
READING = (
    Option("encoding", str, "Encoding of the files; default: found out from the bytes.", metavar="NAME"),
)  # fmt: skip
VERSE = (
    Option("samples", int, "Poems to write, freely and once more held to the rules.", default=1000),
    Option("temperature", float, "Temperature at which they are written.", default=1.0),
    Option("form", str, "Only this form; default: all four, alike."),
    Option("seed", int, "Seed of the poems.", default=0),
)
EXAMPLES = (
    "rondo evaluate my-model another_text.txt",
    "rondo evaluate my-poet poems.jsonl --samples 100 --json",
    "rondo evaluate my-digits",
)


def run(arguments: Sequence[str]) -> int:
    """Score, and print the figures."""
    given = parse(
        arguments,
        command="rondo evaluate",
        about=(
            "Score a model beside its baseline. Text: nats, bits per character and perplexity of the files, read "
            "from beginning to end with the state carried. Verse: form, rhyme, tones, repetition and copied lines "
            "of poems by the model, beside those of the human poems in the files."
        ),
        examples=EXAMPLES,
        positional=POSITIONAL,
        groups=[
            Group("reading", "", READING),
            Group("poetry", "For models of verse.", VERSE),
            Group("machine", "", (DEVICE, THREADS)),
            Group("output", "", OUTPUT[:1]),
        ],
    )
    folder, files, as_json = given.pop("model"), given.pop("files", []), given.pop("json", False)
    use_threads(given.pop("threads", None))
    device = usable_device(given.pop("device", "cpu"))
    task = read_config(folder).get("task")
    allowed = {"text": READING, "poetry": (*READING, *VERSE)}.get(str(task), ())
    for name in given if task in TASKS else ():
        if name not in [option.name for option in allowed]:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} has no meaning for {folder}, a model of {task}")
    if task in TASKS and TASKS[task].takes_files and not files:
        raise UsageError(f"evaluate needs at least one FILE for {folder} to be scored on")
    with only_json(as_json), waiting("scoring"):
        result = {"model": folder, **load(folder, device=device).evaluate(files, **given)}
    print_json(result) if as_json else print_text(evaluated(result))
    return 0
