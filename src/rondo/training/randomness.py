"""The state of every global generator of random numbers, to be saved, restored and kept from harm."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """All generators as byte tensors."""
    numpy_state: Any = np.random.get_state(legacy=False)
    inner = {name: _plain(value) for name, value in numpy_state["state"].items()}
    host = {"python": random.getstate(), "numpy": {**numpy_state, "state": inner}}
    state = {
        "host": torch.frombuffer(bytearray(json.dumps(host).encode()), dtype=torch.uint8),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["device"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Bring all generators to a state that ``random_state`` gave."""
    host = json.loads(bytes(state["host"].tolist()))
    version, numbers, gauss = host["python"]
    random.setstate((version, tuple(numbers), gauss))
    numpy_state = host["numpy"]
    numpy_state["state"]["key"] = np.array(numpy_state["state"]["key"], dtype=np.uint32)
    np.random.set_state(numpy_state)
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "device" in state:
        torch.cuda.set_rng_state(state["device"], device)
    elif device.type == "mps" and "device" in state:
        torch.mps.set_rng_state(state["device"])


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Whatever happens inside, the generators go on afterwards as if it had not."""
    state = random_state(device)
    try:
        yield
    finally:
        set_random_state(state, device)


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
