"""Looking at classifiers: what drove them, which class was taken for which, whether probabilities say the truth."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch

from rondo.evaluation.calibration import reliability
from rondo.inspect import Evidence, Report
from rondo.inspect.class_plots import MOST_CHANNELS, confusion_matrix, reliability_diagram, signal_with_influence
from rondo.inspect.report_blocks import evidence
from rondo.inspect.saliency import contributions, influence
from rondo.models.classifier import (
    NumberClassifierOptions,
    TokenClassifierOptions,
    number_classifier,
    token_classifier,
)

SMALL = {"cell": "gru", "layers": 1, "hidden": 7, "output_dropout": 0.5}


def reader(**options: object) -> Any:
    torch.manual_seed(0)
    network = token_classifier(9, 3, TokenClassifierOptions(**{**SMALL, "embedding": 5, **options})).double()
    with torch.no_grad():
        for member in network.members:
            member.input.embedding.weight.mul_(20)
    return network


@pytest.mark.parametrize("kind", ["tokens", "numbers", "convolved"])
def test_influence_is_input_times_gradient(kind: str) -> None:
    torch.manual_seed(0)
    options = NumberClassifierOptions(**SMALL, conv_channels=4 if kind == "convolved" else 0)
    network = reader() if kind == "tokens" else number_classifier(2, 3, options).double()
    sequence = (
        np.array([3, 1, 4, 1, 5], np.uint16) if kind == "tokens" else np.random.default_rng(0).normal(size=(5, 2))
    )
    found = influence(network, sequence, 2, 0)

    network.eval()
    x = torch.from_numpy(sequence.astype(np.int64) if kind == "tokens" else sequence)[None]
    values = network.input.embedding(x).detach() if kind == "tokens" else x

    def gap(scale: torch.Tensor) -> torch.Tensor:
        scaled = values * scale[None, :, None]
        logits = (network.read(scaled, None) if kind == "tokens" else network(scaled))[0]
        return logits[2] - logits[0]

    ones = torch.ones(5, dtype=torch.float64)  # the derivative by a factor on each step
    for step in range(5):
        more, less = ones.clone(), ones.clone()
        more[step], less[step] = 1 + 1e-5, 1 - 1e-5
        slope = (gap(more) - gap(less)).item() / 2e-5
        assert found[step] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert np.abs(found).min() > 0
    np.testing.assert_allclose(influence(network, sequence, 0, 2), -found)


def test_influence_on_an_ensemble_is_the_mean_of_that_on_its_members() -> None:
    network, sequence = reader(ensemble=2), np.array([3, 1, 4, 1, 5], np.uint16)
    one, other = (influence(member, sequence, 2, 0) for member in network.members)
    assert not np.allclose(one, other)
    assert influence(network, sequence, 2, 0) == pytest.approx((one + other) / 2, rel=1e-12)


def test_influence_on_one_class_alone_and_of_nothing() -> None:
    network = reader().train()
    sequence = np.array([3, 1, 4], np.int64)
    total = influence(network, sequence, 2, 0)
    np.testing.assert_allclose(influence(network, sequence, 2) - influence(network, sequence, 0), total)
    assert network.training
    assert len(influence(network, sequence[:0], 2)) == 0
    assert all(parameter.grad is None for parameter in network.parameters())


COUNTS = np.array([[8, 2, 0], [1, 3, 1], [0, 0, 0]])


def test_a_confusion_matrix_shows_counts_and_the_share_of_the_row() -> None:
    drawn = confusion_matrix(COUNTS, ["<b>", "a name that is too long for an axis", "c"])
    (cells,) = drawn.data
    np.testing.assert_allclose(cells.z, [[0.8, 0.2, 0], [0.2, 0.6, 0.2], [0, 0, 0]])
    assert [note.text for note in drawn.layout.annotations] == [str(n) for n in COUNTS.ravel()]
    assert drawn.layout.xaxis.ticktext == ("&lt;b&gt;", "a name that is to…", "c")
    assert (drawn.layout.xaxis.title.text, drawn.layout.yaxis.title.text) == ("Said", "Truth")
    assert drawn.layout.yaxis.autorange == "reversed"
    assert confusion_matrix(COUNTS, list("abc"), language="zh").layout.yaxis.title.text == "实为"


def test_many_classes_are_shown_without_numbers() -> None:
    many = np.eye(40, dtype=np.int64)
    drawn = confusion_matrix(many, [str(n) for n in range(40)])
    assert not drawn.layout.annotations
    assert drawn.layout.height <= 720


def test_a_reliability_diagram_shows_the_bins_that_there_are() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 400)
    probabilities = np.stack([sure, 1 - sure], 1)
    true = (rng.random(400) > sure).astype(int)
    bins = reliability(probabilities, true, bins=10)
    drawn = reliability_diagram({"this model": bins})
    honest, ours = drawn.data
    assert (honest.x, honest.y) == ((0, 1), (0, 1))
    there = bins.counts > 0
    np.testing.assert_allclose(ours.x, bins.confidence[there])
    np.testing.assert_allclose(ours.y, bins.right[there])
    assert ours.marker.size[int(np.argmax(bins.counts[there]))] == max(ours.marker.size)
    assert all(math.isfinite(value) for value in ours.y)


def test_evidence_is_shaded_by_what_it_speaks_for() -> None:
    page = evidence(
        [Evidence(["<a>", "b", "c", "d", "e"], [1.0, -0.5, 0.0, 0.25, 0.01], label="said x", note="line 3")]
    )
    assert 'rgba(192,95,23,0.60)"><b>&lt;a&gt;</b></span>' in page
    assert 'rgba(43,98,176,0.30)"><b>b</b></span>' in page
    assert 'rgba(192,95,23,0.15)"><b>d</b></span>' in page
    assert re.search(r"</span> c <span", page)
    assert page.count("<b>") == 3
    assert "<h3>said x</h3>" in page
    assert "line 3" in page
    assert page.endswith("</article>")


def test_evidence_in_chinese_has_no_blanks_between_and_says_its_language() -> None:
    page = evidence([Evidence(list("很好"), [0.0, 0.0], spaced=False)], caption="What **counts**")
    assert '<p lang="zh">很好</p>' in page
    assert "<strong>counts</strong>" in page


@pytest.mark.parametrize("weights", [[0.0, 0.0], [math.nan, math.nan], [math.inf, 1.0]], ids=str)
def test_evidence_without_weight_is_plain_text(weights: list[float]) -> None:
    assert "a" in evidence([Evidence(["a", "b"], weights)])
    assert "nan" not in evidence([Evidence(["a", "b"], weights)])
    assert evidence([Evidence([], [])]).count("<p></p>") == 1


def test_a_section_takes_evidence() -> None:
    report = Report("x")
    report.section("Mistakes").evidence([Evidence(["good", "bad"], [1.0, -1.0])], caption="how")
    assert '<article class="evidence">' in report.html()


def test_contributions_add_up_to_the_influence_of_a_step() -> None:
    torch.manual_seed(0)
    network = number_classifier(3, 4, NumberClassifierOptions(hidden=5, layers=1, conv_channels=4))
    sequence = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    every = contributions(network, sequence, 1, 2)
    assert every.shape == (7, 3)
    assert (every != 0).all()
    np.testing.assert_allclose(every.sum(1), influence(network, sequence, 1, 2))


def test_a_signal_is_drawn_with_what_its_steps_spoke_for() -> None:
    signal = np.random.default_rng(0).normal(size=(9, MOST_CHANNELS + 2))
    weights = np.array([1.0, -2, 0, 3, 0, 0, -1, 0, 0])
    drawn = signal_with_influence(signal, weights)
    lines, bars = drawn.data[:-1], drawn.data[-1]
    assert len(lines) == MOST_CHANNELS
    np.testing.assert_array_equal(lines[2].y, signal[:, 2])
    np.testing.assert_array_equal(bars.y, weights)
    assert bars.marker.color[0] != bars.marker.color[1]
    assert bars.marker.color[0] == bars.marker.color[3]
