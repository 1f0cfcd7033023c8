"""One step at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rondo.models.language_model import LanguageModel, LanguageModelOptions
from rondo.testing.speed.streaming import INPUT, VOCABULARY, PlainSteps, advance, measure_model, measure_step
from rondo.testing.speed.timing import QUICK


def test_the_plain_model_computes_what_rondo_s_does() -> None:
    model = LanguageModel(VOCABULARY, LanguageModelOptions(cell="gru", layers=2, hidden=12, embedding=INPUT)).eval()
    plain, state = PlainSteps(12).eval(), None
    plain.load(model)
    with torch.no_grad():
        for token in (3, 50, 7):
            expected, state = model.step(torch.tensor([token]), state)
            assert torch.allclose(plain(torch.tensor([token])), expected, atol=1e-6)


def test_a_step_goes_on_from_the_one_before() -> None:
    class Counter(nn.Module):
        def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
            self.seen = (state or 0) + 1
            return x, self.seen

    counter = Counter()
    run, how = advance(counter, torch.zeros(1, 2))
    for _ in range(3):
        run()
    assert (counter.seen, how) == (3, "step()")


def test_a_stepper_is_taken_where_there_is_one() -> None:
    class Stepping(nn.Module):
        def stepper(self) -> Any:
            self.called = 0

            def step(x: Tensor) -> Tensor:
                self.called += 1
                return x

            return step

    layer = Stepping()
    run, how = advance(layer, torch.zeros(1, 2))
    run()
    run()
    assert (layer.called, how) == (2, "stepper()")


def test_rows_of_steps() -> None:
    layer, model = measure_step(8, QUICK).to_dict(), measure_model(8, QUICK).to_dict()
    assert layer["baseline"] in ("torch.nn.GRUCell", "torch.nn.GRU")
    assert set(layer["seconds"]) == {"rondo", "torch.nn.GRUCell", "torch.nn.GRU"}
    assert (layer["key"], model["key"]) == ("stream/gru/8", "stream/model/8")
    for row in (layer, model):
        assert row["microseconds"] == 1e6 * row["seconds"]["rondo"]["median"] > 0
