"""torch.compile over the stand-ins: let in by themselves, torch's own layers as torch has them."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch._dynamo.testing
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import rondo.nn
from rondo.backends.cpu.native import why_not
from rondo.nn.compiling import when_imported
from rondo.testing.tolerances import assert_close
from tests.backends.cpu.test_compile import counted, same

engine = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's compiler warns of itself
        yield
    torch._dynamo.reset()


class Model(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.first = nn.Linear(3, 5)
        self.middle = kind(5, 6, 2, batch_first=True, bidirectional=True)
        self.last = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.last(self.middle(self.first(x))[0]),)


@engine
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_no_graph_break_and_few_compilations(kind: str) -> None:
    """One more when the length first changes, one for T = 1, and no other."""
    model = Model(getattr(rondo.nn, kind))
    compiled, counter = counted(model)
    for T, compilations in ((7, 1), (9, 2), (12, 2), (1, 3), (5, 3)):
        same(compiled, model, torch.randn(4, T, 3))
        assert counter.frame_count == compilations, T


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_what_torch_jit_traces_is_not_of_one_shape(kind: str, gradients: bool, tmp_path: Path) -> None:
    model = Model(getattr(rondo.nn, kind))
    with torch.set_grad_enabled(gradients):
        traced = torch.jit.trace(model, torch.randn(4, 7, 3), check_trace=True)
    torch.jit.save(traced, tmp_path / "traced.pt")
    for program in (traced, torch.jit.load(tmp_path / "traced.pt")):
        for B, T in ((4, 7), (2, 11), (5, 1)):
            x = torch.randn(B, T, 3)
            expected, found = model(x)[0], program(x)[0]
            assert_close(found, expected, torch.float32)
            wanted, given = ([value for _, value in sorted(one.named_parameters())] for one in (model, program))
            theirs = torch.autograd.grad(expected.square().sum(), wanted)
            for one, other in zip(torch.autograd.grad(found.square().sum(), given), theirs, strict=True):
                assert_close(one, other, torch.float32, gradients=True)


@engine
def test_a_model_that_was_accelerated() -> None:
    model = Model(nn.GRU)
    x = torch.randn(2, 7, 3)
    before = model(x)[0]
    compiled, counter = counted(rondo.accelerate(model))
    assert_close(compiled(x)[0], before, torch.float32)
    assert counter.frame_count == 1


def test_torchs_own_layers_stay_where_they_were() -> None:
    """Also those beside one of Rondo's."""
    for model in (Model(nn.GRU), nn.Sequential(rondo.nn.GRU(3, 5), nn.GRU(5, 5))):
        with pytest.raises(torch._dynamo.exc.Unsupported, match="RNN, GRU, or LSTM"):
            counted(model)[0](torch.randn(2, 7, 3))
    assert torch._dynamo.config.allow_rnn is False


def test_where_torchs_own_layer_runs_it_is_called() -> None:
    layer = rondo.nn.LSTM(3, 6, batch_first=True)
    layer.backend = "vendor"
    x = torch.randn(2, 7, 3)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="RNN, GRU, or LSTM"):
        counted(layer)[0](x)
    torch._dynamo.reset()
    assert torch.equal(torch.compile(layer, backend="eager")(x)[0], layer(x)[0])


@engine
def test_packed_sequences() -> None:
    layer = rondo.nn.GRU(3, 6, batch_first=True)
    packed = pack_padded_sequence(torch.randn(3, 7, 3), torch.tensor([5, 7, 2]), batch_first=True, enforce_sorted=False)
    compiled = torch.compile(layer, backend="aot_eager")
    (ours, after), (theirs, before) = compiled(packed), layer(packed)
    assert_close(ours.data, theirs.data, torch.float32)
    assert_close(after, before, torch.float32)
    assert all(torch.equal(one, other) for one, other in zip(ours[1:], theirs[1:], strict=True))


def test_a_backend_that_is_not_there_is_said() -> None:
    layer = rondo.nn.GRU(3, 6)
    layer.backend = "no such backend"
    with pytest.raises(Exception, match="no such backend"):
        torch.compile(layer, backend="eager")(torch.randn(2, 7, 3))


def test_a_module_is_changed_when_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_later.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    seen: list[ModuleType] = []
    when_imported("imported_later", seen.append)
    assert not seen
    module = importlib.import_module("imported_later")
    assert seen == [module]
    assert module.value == 1
    assert sys.meta_path == finders
    importlib.reload(module)
    when_imported("imported_later", seen.append)
    assert seen == [module, module]
    when_imported("never_there", seen.append)
    with pytest.raises(ModuleNotFoundError, match="never_there"):
        importlib.import_module("never_there")
    assert sys.meta_path == finders


def test_nothing_is_imported_until_someone_compiles() -> None:
    """In a process of its own, as other tests have imported the compiler."""
    program = (
        "import sys, torch, rondo.nn\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "from torch._dynamo.variables.builder import VariableBuilder\n"
        "print(VariableBuilder.wrap_module.__module__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "rondo.nn.compiling\n"
