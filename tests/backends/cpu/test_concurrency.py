"""Several threads of Python at once, and processes made by fork, where the engine has a team of two threads."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rondo.backends.cpu.native import why_not
from rondo.layers import Recurrent

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.usefixtures("two_threads"),
]

LONGEST = 40.0
"""Seconds. What takes longer than that hangs: it takes one or two."""

Job = Callable[[], Sequence[Tensor]]

# So large that there is a team (ALONE_BELOW and STEP_ALONE_BELOW in run.cpp, BYTES_EACH in stepper.cpp).
BY_ROWS, BY_PANELS = (32, 20, 8, 48), (4, 20, 8, 128)  # B, T, I, H
WIDE, WIDER = 300, 700  # the latter reads so much that other Python threads go on meanwhile (LONG_STEP)


def training(name: str, shape: tuple[int, int, int, int]) -> Job:
    B, T, I, H = shape
    layer = Recurrent(name, I, H, backend="cpu")
    x = torch.randn(B, T, I, requires_grad=True)

    def run() -> list[Tensor]:
        sequence = layer(x).sequence
        return [sequence, *torch.autograd.grad(sequence.square().sum(), [x, *layer.parameters()])]

    return run


def stepping(name: str, H: int) -> Job:
    stepper = Recurrent(name, 8, H, backend="cpu").stepper(2)
    assert stepper.prepared
    x = torch.randn(15, 2, 8)

    def run() -> list[Tensor]:
        stepper.reset()
        return [stepper(x_t).clone() for x_t in x]

    return run


JOBS: dict[str, Callable[[], list[Job]]] = {
    "rows": lambda: [training(name, BY_ROWS) for name in ("gru", "lstm", "min_gru", "gru")],
    "panels": lambda: [training(name, BY_PANELS) for name in ("gru", "lstm", "gru_reset_before", "gru")],
    "steppers": lambda: [
        stepping("gru", WIDER),
        stepping("lstm", WIDER),
        stepping("gru", WIDE),
        stepping("gru", WIDER),
    ],
    "all": lambda: [
        training("lstm", BY_ROWS),
        stepping("lstm", WIDER),
        training("gru", BY_PANELS),
        stepping("gru", WIDE),
    ],
}


@pytest.mark.parametrize("what", JOBS)
def test_several_python_threads_at_once(what: str) -> None:
    """Each finds what it finds alone, to the last bit."""
    jobs = JOBS[what]()
    alone = [job() for job in jobs]
    failures: list[str] = []
    begin = threading.Barrier(len(jobs))

    def work(number: int) -> None:
        try:
            begin.wait(LONGEST)
            for _ in range(15):
                found = jobs[number]()
                if not all(torch.equal(ours, theirs) for ours, theirs in zip(found, alone[number], strict=True)):
                    failures.append(f"job {number} finds something else")
            if torch.get_num_threads() != 2:
                failures.append(f"job {number} has no team")
        except Exception as error:
            failures.append(f"job {number}: {error!r}")

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST)
    assert not any(thread.is_alive() for thread in threads), "a thread waits for ever"
    assert not failures


class Encoded(Dataset[Tensor]):
    """How many threads the process has in which this is asked for, and how many results are those of `expected`.

    Nothing here is so large that torch itself would share it out among threads, as it then waits for ever, too.
    """

    def __init__(self) -> None:
        self.jobs = [training("gru", BY_ROWS), training("lstm", BY_PANELS), stepping("gru", WIDE)]
        self.expected = self.found()

    def found(self) -> list[bytes]:
        return [value.detach().contiguous().numpy().tobytes() for job in self.jobs for value in job()]

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> Tensor:
        same = [ours == theirs for ours, theirs in zip(self.found(), self.expected, strict=True)]
        return torch.tensor([torch.get_num_threads(), sum(same)])


def take_two_threads(worker: int) -> None:
    """Workers have one, if nobody says otherwise."""
    torch.set_num_threads(2)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_workers_that_were_forked() -> None:
    """The threads of a team do not survive a fork: who waited for them in the worker would wait for ever."""
    data = Encoded()
    right = [2, len(data.expected)]
    assert all(data[i].tolist() == right for i in range(10))  # by now there has been a team for sure
    loader = DataLoader(
        data, num_workers=2, multiprocessing_context="fork", worker_init_fn=take_two_threads, timeout=LONGEST
    )
    assert [of_worker[0].tolist() for of_worker in loader] == [right] * len(data)
    assert data[0].tolist() == right
