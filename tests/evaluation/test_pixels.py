"""Baselines for images: what they find, what they choose by, and that their file gives them back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from rondo.data.images import as_images
from rondo.data.labelled import Labelled
from rondo.errors import DataError, ModelError
from rondo.evaluation import pixels
from rondo.evaluation.pixels import NearestImage, PixelRegression, baselines_for_images
from rondo.evaluation.rivals_file import parse_rivals, rival_bytes

BUNCH = load_digits()


def part(start: int, stop: int, *, parity: bool = False) -> Labelled:
    digits = BUNCH.target[start:stop]
    return as_images(BUNCH.images[start:stop], [str(digit % 2 if parity else digit) for digit in digits])


TRAIN, VALID, TEST = part(0, 300), part(300, 360), part(360, 560)


def right(rival: Any, test: Labelled = TEST) -> float:
    labels, _ = rival.predict(test.items)
    return float(np.mean([one == other for one, other in zip(labels, test.labels or [], strict=True)]))


def test_they_find_what_pixels_say() -> None:
    found = {rival.name: right(rival.fit(TRAIN, VALID)) for rival in baselines_for_images()}
    assert found["majority class"] < 0.2
    assert found["logistic regression"] > 0.8
    assert found["nearest neighbour"] > 0.85


@pytest.mark.parametrize("parity", [False, True], ids=["ten classes", "two classes"])
def test_probabilities_are_those_of_scikit_learn(parity: bool) -> None:
    train, valid, test = (part(*ends, parity=parity) for ends in ((0, 300), (300, 360), (360, 400)))
    rival = PixelRegression().fit(train, valid)
    strength = float(rival.about.partition("C = ")[2].split()[0])
    flat, codes = BUNCH.data[:360] / 16, [int(label) for label in [*(train.labels or []), *(valid.labels or [])]]
    usual = pixels._regression(strength).fit(flat, codes)
    _, sure = rival.predict(test.items)
    np.testing.assert_allclose(sure, usual.predict_proba(BUNCH.data[360:400] / 16), atol=0.02)


def test_the_validation_part_chooses() -> None:
    shuffled = Labelled(VALID.items, list(reversed(VALID.labels or [])), None, VALID.origins)
    assert "C = 0.001 " in PixelRegression().fit(TRAIN, shuffled).about or right(
        PixelRegression().fit(TRAIN, shuffled)
    ) != right(PixelRegression().fit(TRAIN, VALID))


def test_of_many_images_some_are_taken_to_choose_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "CHOOSE_FROM", 100)
    assert "with every 3th image" in PixelRegression().fit(TRAIN, VALID).about


def test_their_file_gives_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    rivals = [rival.fit(TRAIN, VALID) for rival in (PixelRegression(), NearestImage())]
    data = rival_bytes(rivals)
    kinds = (PixelRegression, NearestImage)
    again = parse_rivals("m", data, kinds)
    assert [rival.about for rival in again] == [rival.about for rival in rivals]
    for one, other in zip(again, rivals, strict=True):
        assert one.predict(TEST.items)[0] == other.predict(TEST.items)[0]
    monkeypatch.setattr(pixels, "MOST_KEPT", 100)
    assert [rival.name for rival in parse_rivals("m", rival_bytes(rivals), kinds)] == ["logistic regression"]
    with pytest.raises(ModelError, match="holds no baselines"):
        parse_rivals("m", data[:-30], kinds)


def test_one_class_and_no_labels_are_refused() -> None:
    with pytest.raises(DataError, match="all items are of one class"):
        PixelRegression().fit(as_images(np.zeros((3, 2, 2)), ["a"] * 3), as_images(np.zeros((1, 2, 2)), ["a"]))
