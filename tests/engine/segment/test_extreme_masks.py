"""One huge mask, a hundred thousand small ones, none at all: defined results all the way to the prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.geometry import Frame
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.segment.membership import assign_groups
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.settings import ModelSettings

SIDE, DOWNSAMPLE = 512, 8.0
FRAME = Frame((0.0, 0.0), (DOWNSAMPLE, DOWNSAMPLE))
#: 4 x 4 patches that cover the raster.
PATCH = SIDE * DOWNSAMPLE / 4
COORDS = np.stack(np.meshgrid(np.arange(4), np.arange(4)), axis=-1).reshape(-1, 2).astype(np.int32) * int(PATCH)


def bag_of(segments: Segments) -> FeatureBag:
    features = np.random.default_rng(0).standard_normal((len(COORDS), 12), dtype=np.float32)
    groups = assign_groups(segments, COORDS, (PATCH, PATCH))
    return FeatureBag("s", COORDS, features).with_groups(groups).check()


def probabilities(bag: FeatureBag, name: str) -> torch.Tensor:
    torch.manual_seed(0)
    model = build_aggregator(ModelSettings(name=name, hidden=16, attention=8), dim=12, n_classes=2)
    loss = model.train().loss(BagTensors.of(bag), torch.tensor(1))
    torch.autograd.backward(loss.total)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    with torch.inference_mode():
        return torch.softmax(model.eval()(BagTensors.of(bag)).logits, dim=0)


def masks_at(corners: np.ndarray) -> Segments:
    boxes = [(int(x), int(y), 2, 2) for x, y in corners]
    one = np.ones((2, 2), dtype=bool)
    return Segments.from_crops([one] * len(boxes), boxes, frame=FRAME, size_raster=(SIDE, SIDE))


def test_a_hundred_thousand_masks() -> None:
    corners = np.random.default_rng(1).integers(0, SIDE - 1, (100_000, 2))
    segments = masks_at(corners)
    bag = bag_of(segments)
    assert len(bag.groups) == 100_000
    inside = (corners[0] * DOWNSAMPLE // PATCH).astype(int)
    assert inside[1] * 4 + inside[0] in bag.groups.patches(0)
    assert segments.label_image().max() <= 100_000
    assert probabilities(bag, "sam-mil").isfinite().all()


def test_one_mask_over_everything() -> None:
    whole = Segments.from_masks([np.ones((SIDE, SIDE), dtype=bool)], frame=FRAME, size_raster=(SIDE, SIDE))
    bag = bag_of(whole)
    assert [len(bag.groups), len(bag.groups.patches(0))] == [1, len(COORDS)]
    np.testing.assert_allclose(bag.group_features[0], bag.features.mean(axis=0), atol=1e-6)
    assert probabilities(bag, "sam-mil").isfinite().all()


def test_no_mask_at_all() -> None:
    bag = bag_of(Segments.empty(FRAME, (SIDE, SIDE)))
    assert bag.groups is None or len(bag.groups) == 0
    torch.testing.assert_close(probabilities(bag, "sam-mil"), probabilities(bag, "abmil"))


@pytest.mark.parametrize("count", [1, 1000])
def test_the_same_mask_many_times_is_as_many_groups(count: int) -> None:
    bag = bag_of(masks_at(np.full((count, 2), 7)))
    assert len(bag.groups) == count
    assert {tuple(bag.groups.patches(k)) for k in range(count)} == {(0,)}
