"""`rondo` as the commands of the documentation find it: the real one, with budgets that a test can afford."""

from __future__ import annotations

import sys

BUDGETS = ("--minutes", "--epochs", "--steps", "--pretrain-epochs", "--pretrain-minutes")
STEPS = "3"
LENGTH = 20
SHAPE = "2x3x4x5"


def small_budget(arguments: list[str]) -> list[str]:
    """The same command with few steps of training, short output and small layers."""
    if "--help" in arguments or not arguments:
        return arguments
    if arguments[0] == "train":
        once = ["--pretrain-epochs", "1"] if "--pretrain" in arguments else []
        return [*_without(arguments, BUDGETS), "--steps", STEPS, *once]
    if arguments[0] == "demo":
        return [*_without(arguments, BUDGETS), "--minutes", "0.1"]
    if arguments[0] == "generate":
        return _shortened(arguments)
    if arguments[0] == "bench":
        return [*_without(arguments, ("--shapes",)), "--shapes", SHAPE, "--quick"]
    if arguments[0] == "doctor":
        return [*arguments, "--quick"]
    return arguments


def _without(arguments: list[str], options: tuple[str, ...]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in options:
            skip = True
        elif not argument.startswith(tuple(f"{option}=" for option in options)):
            kept.append(argument)
    return kept


def _shortened(arguments: list[str]) -> list[str]:
    short = list(arguments)
    for index, argument in enumerate(arguments[:-1]):
        if argument == "--length":
            short[index + 1] = str(min(LENGTH, int(arguments[index + 1])))
    return short


if __name__ == "__main__":
    from rondo.cli.main import main

    sys.argv = ["rondo", *small_budget(sys.argv[1:])]
    sys.exit(main())
