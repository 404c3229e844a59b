"""Several slides as one bag: what stays apart, and what a model sees of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.bag.joining import join_bags
from sam_mil_engine.errors import BagError
from sam_mil_engine.mil.bag_tensors import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.patch_graph import window_graph
from sam_mil_engine.settings import ModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]


def slides(make_bag: MakeBag) -> list[FeatureBag]:
    """Three slides: one with groups on a grid of 512, one without groups, one with groups on a grid of 256."""
    first, last = make_bag(40, 5), make_bag(30, 4)
    plain = replace(make_bag(20, 0), groups=None, group_features=None)
    return [
        replace(first, attrs={"step_px0": (512.0, 512.0), "path": "first.h5"}),
        replace(plain, attrs={"step_px0": (512.0, 512.0)}),
        replace(last, coords_px0=last.coords_px0 // 2, attrs={"step_px0": (256.0, 256.0)}),
    ]


def test_patches_and_groups_of_all_slides_are_in_the_bag_and_stay_apart(make_bag: MakeBag) -> None:
    bags = slides(make_bag)
    joined = join_bags("P1", bags).check()
    assert (joined.slide_id, len(joined)) == ("P1", 90)
    np.testing.assert_array_equal(joined.features, np.concatenate([bag.features for bag in bags]))
    groups = joined.groups
    assert groups is not None
    assert len(groups) == len(bags[0].groups) + len(bags[2].groups)
    slide = np.repeat([0, 1, 2], [len(bag) for bag in bags])
    of_group = [set(slide[groups.patches(k)]) for k in range(len(groups))]
    assert of_group == [{0}] * len(bags[0].groups) + [{2}] * len(bags[2].groups), "no group crosses two slides"
    assert (groups.group_of_patch[slide == 1] == -1).all()
    for number, start, offset in ((0, 0, 0), (2, 60, len(bags[0].groups))):
        own = bags[number].groups
        for k in range(len(own)):
            assert groups.patches(offset + k).tolist() == (own.patches(k) + start).tolist()
        inside = own.group_of_patch >= 0
        found = groups.group_of_patch[slide == number]
        assert found[inside].tolist() == (own.group_of_patch[inside] + offset).tolist()
        assert (found[~inside] == -1).all()
    np.testing.assert_allclose(joined.group_features, groups.mean_features(joined.features), atol=1e-3)
    assert len(set(groups.segment_of_group.tolist())) == len(groups)
    assert "path" not in joined.attrs


@pytest.mark.parametrize("window", [5, 31])
def test_no_neighbourhood_crosses_two_slides_and_each_is_as_it_was(window: int, make_bag: MakeBag) -> None:
    bags = slides(make_bag)
    joined = BagTensors.of(join_bags("P1", bags))
    graph = window_graph(joined.coords_px0, joined.step_px0, window=window)
    found = set(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    expected, start = set(), 0
    for bag in bags:
        own = BagTensors.of(bag)
        edges = window_graph(own.coords_px0, own.step_px0, window=window)
        pairs = zip(edges.source.tolist(), edges.target.tolist(), strict=True)
        expected |= {(source + start, target + start) for source, target in pairs}
        start += len(bag)
    assert found == expected


def test_one_slide_is_the_bag_itself(make_bag: MakeBag) -> None:
    bag = make_bag(12, 3)
    joined = join_bags("P2", [bag])
    assert joined == replace(bag, slide_id="P2")


def test_a_pooling_sees_the_patches_of_all_slides(make_bag: MakeBag) -> None:
    bags = slides(make_bag)
    model = build_aggregator(ModelSettings(name="mean", hidden=8), dim=bags[0].width, n_classes=2).eval()
    logits = [model(BagTensors.of(bag)).logits for bag in bags]
    weights = torch.tensor([40.0, 20.0, 30.0])[:, None] / 90
    joined = model(BagTensors.of(join_bags("P1", bags))).logits
    torch.testing.assert_close(joined, (torch.stack(logits) * weights).sum(dim=0), atol=1e-5, rtol=1e-4)


def test_slides_of_different_encoders_are_refused(make_bag: MakeBag) -> None:
    with pytest.raises(BagError, match="features of different widths: 5, 12"):
        join_bags("P1", [make_bag(8, 0), make_bag(8, 0, dim=5)])
