"""Trains with the number of processes asked for: a program, as Fabric starts it once per process.

    python -m tests.training.together JOBS.json

A job is ``{"folder", "options", "dropout", "ragged", "crash"}``; its last weights go to the folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from rondo import storage
from rondo.training import TrainingOptions, train
from tests.training.toy import RaggedSource, TextEvaluator, TextModel, TextObjective, TextSource


class Crash(Exception):
    pass


class Crashing(TextObjective):
    """Fails at its n-th call, in every process."""

    def __init__(self, at: int | None) -> None:
        super().__init__()
        self.at = at

    def __call__(self, model, batch, carried):
        if self.calls + 1 == self.at:
            raise Crash
        return super().__call__(model, batch, carried)


def work(job: dict) -> None:
    folder, options = Path(job["folder"]), TrainingOptions(**job["options"])
    source = RaggedSource() if job.get("ragged") else TextSource()
    for crash in [job["crash"], None] if job.get("crash") else [None]:
        dtype = torch.float64 if options.precision == "64" else torch.float32
        # The other process begins with other weights: it must take those of the main one.
        model = TextModel(dropout=job["dropout"], seed=2 if storage.is_main_process() else 3).to(dtype)
        try:
            summary = train(
                model, source, Crashing(crash), TextEvaluator(), options, folder, resume=bool(job.get("crash"))
            )
        except Crash:
            continue
        name = "weights" if summary.is_main_process else "weights-of-other"
        metadata = {"best": json.dumps(summary.best), "events": str(len(summary.history))}
        storage.write_tensors(folder / f"{name}.safetensors", model.state_dict(), metadata)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in json.loads(Path(sys.argv[1]).read_text()):
        work(each)
