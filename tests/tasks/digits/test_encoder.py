"""Images as a network reads them: by rows, columns, both or pixels, permuted, and moved about in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rondo.errors import DataError, ModelError, UsageError
from rondo.tasks.digits.changes import ImageChanges
from rondo.tasks.digits.encoder import ImageEncoder

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 4)).astype(np.uint8)
WIDE = IMAGES.reshape(5, 2, 8)


def plain(order: Any, permute: int | None = None, images: Any = IMAGES) -> ImageEncoder:
    """An encoder that leaves the values as they are."""
    encoder = ImageEncoder.train(images, order, permute=permute)
    encoder.centre, encoder.spread = 0.0, 1.0
    return encoder


def test_the_steps_are_what_was_asked_for() -> None:
    image = WIDE[0]
    np.testing.assert_array_equal(plain("rows", images=WIDE).encode(image), image)
    np.testing.assert_array_equal(plain("columns", images=WIDE).encode(image), image.T)
    np.testing.assert_array_equal(plain("pixels", images=WIDE).encode(image), image.reshape(16, 1))
    np.testing.assert_array_equal(plain("both").encode(IMAGES[0]), np.concatenate([IMAGES[0], IMAGES[0].T], 1))
    with pytest.raises(UsageError, match="--order both is for square images, not for 2 x 8"):
        plain("both", images=WIDE)


def test_pixels_are_scaled_all_alike() -> None:
    encoder = ImageEncoder.train(IMAGES, "rows")
    found = np.stack([encoder.encode(image) for image in IMAGES])
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert found.std() == pytest.approx(1, abs=1e-5)
    assert np.isfinite(ImageEncoder.train(np.zeros((3, 2, 2)), "rows").encode(np.zeros((2, 2)))).all()


def test_a_permutation_is_drawn_with_its_seed_and_is_the_same_for_all_images() -> None:
    found = plain("pixels", permute=3).encode(IMAGES[0])[:, 0]
    assert sorted(found) == sorted(IMAGES[0].ravel())
    assert not np.array_equal(found, IMAGES[0].ravel())
    places = np.arange(16, dtype=np.uint8).reshape(4, 4)
    order = plain("pixels", permute=3).encode(places)[:, 0].astype(int)
    np.testing.assert_array_equal(found, IMAGES[0].ravel()[order])
    assert not np.array_equal(found, plain("pixels", permute=4).encode(IMAGES[0])[:, 0])


@pytest.mark.parametrize("permute", [None, 3])
@pytest.mark.parametrize("order", ["rows", "columns", "both", "pixels"])
def test_sequences_become_the_images_again(order: Any, permute: int | None) -> None:
    encoder = plain(order, permute)
    images = torch.from_numpy(IMAGES.astype(np.float32))
    sequences = encoder.sequences(images)
    assert sequences.shape[2] == encoder.input_size
    torch.testing.assert_close(encoder.images(sequences), images)
    twice = 2 if order == "both" else 1
    torch.testing.assert_close(encoder.spread_out(sequences), twice * images)


@pytest.mark.parametrize("permute", [None, 5])
def test_it_is_the_same_again_from_its_description(permute: int | None, tmp_path: Path) -> None:
    encoder = ImageEncoder.train(IMAGES, "columns", permute=permute)
    again = ImageEncoder.load(tmp_path, json.loads(json.dumps(encoder.to_json())))
    np.testing.assert_array_equal(again.encode(IMAGES[1]), encoder.encode(IMAGES[1]))


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0}, {"width": 10**9}, {"height": "4"}, {"order": "diagonal"}, {"spread": 0}, {"centre": None},
        {"spread": 10**400}, {"permutation": [0, 1]}, {"permutation": [0] * 16}, {"permutation": "all"},
        {"order": "both", "width": 8}, None, 5,
    ],
    ids=lambda change: str(change)[:40],
)  # fmt: skip
def test_a_description_that_is_none(change: Any, tmp_path: Path) -> None:
    saved = {**ImageEncoder.train(IMAGES, "rows").to_json(), **change} if isinstance(change, dict) else change
    with pytest.raises(ModelError, match=r"config\.json is damaged"):
        ImageEncoder.load(tmp_path, saved)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match="item 3: an image of 2 x 8 pixels; the model learned from 4 x 4"):
        plain("rows").check(WIDE[0], "item 3")


def moved(images: torch.Tensor, order: Any = "rows", seed: int = 0, **changes: float) -> torch.Tensor:
    encoder = plain(order, images=images.numpy())
    change = ImageChanges(encoder, **{"shift": 0.0, "rotate": 0.0, "zoom": 0.0, **changes})
    lengths = torch.full((len(images),), images.shape[1])
    return encoder.images(change(encoder.sequences(images), lengths, np.random.default_rng(seed)))


def dot(height: int = 11, width: int = 11) -> torch.Tensor:
    """Twenty images with one bright pixel off their middle."""
    images = torch.zeros(20, height, width)
    images[:, height // 2, width // 2 + 2] = 1.0
    return images


def centres(images: torch.Tensor) -> torch.Tensor:
    """Where the ink is, (N, 2): down and right."""
    down, right = torch.meshgrid(torch.arange(images.shape[1]), torch.arange(images.shape[2]), indexing="ij")
    weight = images.sum((1, 2))
    return torch.stack([(images * place).sum((1, 2)) / weight for place in (down, right)], 1)


@pytest.mark.parametrize("order", ["rows", "columns", "both", "pixels"])
def test_images_are_moved_by_at_most_so_many_pixels(order: Any) -> None:
    way = centres(moved(dot(), order, shift=2.0)) - centres(dot())
    assert way.abs().max() <= 2.01
    assert way.abs().max() > 1
    assert way.std(0).min() > 0.3  # down and to the sides


def test_images_are_turned_about_their_middle() -> None:
    for height, width in ((11, 11), (11, 19)):
        there = centres(moved(dot(height, width), rotate=90.0)) - torch.tensor([height // 2, width // 2])
        torch.testing.assert_close(there.norm(dim=1), torch.full((20,), 2.0), rtol=0.1, atol=0.1)
        assert there[:, 0].abs().max() > 1.5


def test_images_grow_and_shrink() -> None:
    distance = centres(moved(dot(), zoom=0.5))[:, 1] - 5
    assert 0.9 < distance.min() < 1.5
    assert 2.5 < distance.max() <= 3.1


def test_nothing_changes_without_changes_and_each_seed_is_another() -> None:
    images = torch.from_numpy(IMAGES.astype(np.float32))
    torch.testing.assert_close(moved(images), images, rtol=1e-4, atol=1e-3)
    assert torch.equal(moved(images, shift=1.0), moved(images, shift=1.0))
    assert not torch.equal(moved(images, shift=1.0), moved(images, shift=1.0, seed=1))
