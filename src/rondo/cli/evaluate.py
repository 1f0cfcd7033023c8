"""``rondo evaluate MODEL [FILE ...]``: a model's figures beside its baseline's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rondo.cli.arguments import DEVICE, OUTPUT, THREADS, Group, Option, options_of, parse
from rondo.cli.machine import usable_device, use_threads
from rondo.cli.output import only_json, print_json, print_text, say_notes
from rondo.cli.progress import waiting
from rondo.cli.reading import reading_group, scoring_options
from rondo.cli.results import evaluated
from rondo.errors import UsageError
from rondo.models.folder import read_config
from rondo.tasks.registry import TASKS, load

POSITIONAL = (
    Option("model", str, "the folder that training wrote.", metavar="MODEL", required=True),
    Option(
        "files", str, "What to score; one of scikit-learn's digits has a held-out part.", metavar="FILE ...", many=True
    ),
)
READING = (
    Option("encoding", str, "Encoding of the files; default: found out from the bytes.", metavar="NAME"),
)  # fmt: skip
SAMPLES = Option("samples", int, "Poems to write, freely and once more held to the rules.", default=1000)
VERSE = (
    SAMPLES,
    Option("temperature", float, "Temperature at which they are written.", default=1.0),
    Option("form", str, "Only this form; default: all four, alike."),
    Option("seed", int, "Seed of the poems.", default=0),
)
EXAMPLES = (
    "rondo evaluate my-model another_text.txt",
    "rondo evaluate my-poet poems.jsonl --samples 100 --json",
    "rondo evaluate my-classifier labelled.csv",
    "rondo evaluate my-tagger tagged.conll",
    "rondo evaluate my-digits",
)


def run(arguments: Sequence[str]) -> int:
    """Score, and print the figures."""
    reading, scoring = reading_group(arguments, READING), scoring_options(arguments)
    reading = Group(reading.title, reading.about, (*reading.options, *scoring))
    given = parse(
        arguments,
        command="rondo evaluate",
        about=(
            "Score a model beside its baseline. Text: nats, bits per character and perplexity of the files, read "
            "from beginning to end with the state carried. Verse: form, rhyme, tones, repetition and copied lines "
            "of poems by the model, beside those of the human poems in the files. Classes: accuracy and the other "
            "scores of classifiers on labelled texts, signals or images, beside the baselines that were fitted in "
            "training. Tags: span F1 as conlleval counts it, and the strict one, likewise."
        ),
        examples=EXAMPLES,
        positional=POSITIONAL,
        groups=[
            reading,
            Group("poetry", "For models of verse.", VERSE),
            Group("machine", "", (DEVICE, THREADS)),
            Group("output", "", OUTPUT),
        ],
    )
    folder, files = given.pop("model"), given.pop("files", [])
    as_json, quiet = given.pop("json", False), given.pop("quiet", False)
    use_threads(given.pop("threads", None))
    device = usable_device(given.pop("device", DEVICE.default))
    config = read_config(folder)
    task = config.get("task")
    if task == "forecast":
        raise UsageError(f"{folder} is a forecaster: rondo backtest {folder} FILE scores it on what came")
    own = options_of(TASKS[task].reading) if task in TASKS and TASKS[task].home_of_reading else ()
    own = (*own, *scoring)
    allowed = {"text": READING, "poetry": (*READING, *VERSE)}.get(str(task), own)
    for name in given if task in TASKS else ():
        if name not in [option.name for option in allowed]:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} has no meaning for {folder}, a model of {task}")
    if task in TASKS and TASKS[task].needs_files and not files:
        raise UsageError(f"evaluate needs at least one FILE for {folder} to be scored on")
    with only_json(as_json):
        model = load(folder, device=device)
        if task == "poetry":
            say_notes([_how_long(given.get("samples", SAMPLES.default))], quiet=quiet)
        with waiting("scoring", quiet=quiet) as say:
            if task == "poetry":
                given["say"] = say
            if own:
                asked = {option.name: given.pop(option.name) for option in scoring if option.name in given}
                given = {"reading": model.reading(**given)}
                if scoring:
                    given["scoring"] = TASKS[str(task)].scoring(**asked)
            result = {"model": folder, **model.evaluate(files, **given)}
    known = learned_from(config, files) if task in TASKS and task != "poetry" else []
    notes = [f"{name} was learned from: the figures flatter both, most of all the baseline" for name in known]
    notes = [*result.get("notes", []), *notes]
    if notes:
        result["notes"] = notes
    print_json(result) if as_json else print_text(evaluated(result))
    say_notes(notes, quiet=quiet)
    return 0


def learned_from(config: Mapping[str, Any], files: Sequence[str]) -> list[str]:
    """Those of the files that a model was trained on, by what it recorded of them: name and size."""
    provenance, options = config.get("provenance"), config.get("options")
    data = provenance.get("data") if isinstance(provenance, Mapping) else None
    sections = [own for own in options.values() if isinstance(own, Mapping)] if isinstance(options, Mapping) else []
    held_out = [own[part] for own in sections for part in ("valid", "test") if own.get(part)]
    apart = {Path(str(path)).name for path in held_out}
    recorded = {
        (Path(str(file.get("path"))).name, file.get("bytes"))
        for file in (data if isinstance(data, list) else [])
        if isinstance(file, Mapping) and Path(str(file.get("path"))).name not in apart
    }
    return [name for name in files if (Path(name).name, Path(name).stat().st_size) in recorded]


def _how_long(samples: int) -> str:
    return (
        f"writing {samples:,} poems freely and as many held to the rules; a thousand of each may take some minutes, "
        "and --samples asks for fewer"
    )
