"""Trains in a child and kills it with SIGKILL at random moments, until it has ended: a program of its own.

    python -m tests.training.killing FOLDER SEED KILLS

A forked child has torch already, so a round takes tenths of a second. The program that forks never
computes anything itself. It prints one JSON object about what happened.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from rondo import storage
from rondo.models.folder import CHECKPOINT, check_output_folder, prepare_output_folder, save_model
from tests.training.toy import TextModel, run

OPTIONS = {
    "steps": 240,
    "checkpoint_steps": 8,
    "eval_every": 12,
    "log_every": 5,
    "averaging": "tail",
    "schedule": "plateau",
    "plateau_patience": 0,
}


def whole_training(folder: Path) -> None:
    """What a task does: prepare the folder, train, save the model."""
    prepare_output_folder(folder, resume=True)
    # Another start than the reference's whenever there is a checkpoint: nothing of it may survive.
    seed = int.from_bytes(os.urandom(2), "little") if (folder / CHECKPOINT).exists() else 2
    model, summary = run(folder, model=TextModel(seed=seed), resume=True, **OPTIONS)
    save_model(folder, {"task": "toy", "best": summary.best}, model.state_dict())


def in_child(work: Callable[[], None]) -> int:
    """Process id of a child that does ``work`` and ends."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main(folder: Path, seed: int, wanted: int) -> None:
    torch.set_num_threads(1)
    chance = random.Random(seed)
    reference = in_child(lambda: whole_training(folder / "reference"))
    begun = time.monotonic()
    if os.waitpid(reference, 0)[1] != 0:
        raise SystemExit("the reference failed")
    duration = time.monotonic() - begun
    kills, rounds, resumed_from = 0, [], []
    while kills < wanted:
        victim = folder / f"victim-{len(rounds)}"
        rounds.append(victim.name)
        while True:
            pid = in_child(lambda victim=victim: whole_training(victim))
            time.sleep(chance.uniform(0, 0.5 * duration))
            os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            if os.WIFEXITED(status):
                if os.WEXITSTATUS(status) != 0:
                    raise SystemExit(f"a resumed training failed after {kills} kills")
                break
            kills += 1
            check_output_folder(victim, resume=True)
            if (victim / CHECKPOINT).exists():
                training = json.loads(storage.read_metadata(victim / CHECKPOINT)["training"])
                resumed_from.append(training["standing"]["step"])
                storage.read_tensors(victim / CHECKPOINT)
    print(json.dumps({"kills": kills, "rounds": rounds, "resumed_from": resumed_from}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
