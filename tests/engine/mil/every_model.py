"""Every registered model, small, for the laws that hold for all of them alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy.sparse import csr_array

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import Aggregator, BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.membership import smallest_group
from sam_mil_engine.settings import ModelSettings

MakeBag = Callable[..., FeatureBag]
DIM = 12
#: Name for a test, whose first word is the model's, and the settings that differ.
MODELS: dict[str, dict[str, object]] = {
    "max": {},
    "mean": {},
    "abmil": {},
    "abmil gated": {"gated": True},
    "abmil+groups": {},
    "dsmil": {},
    "dsmil+groups": {},
    "clam-sb": {},
    "clam-mb": {},
    "transmil": {},
    "transmil+groups": {},
    "dtfd": {},
    "dtfd by MaxMinS": {"dtfd": {"distill": "MaxMinS"}},
    "dtfd+groups": {},
    "ibmil": {},
    "mhim": {},
    "mhim+groups": {},
    "mhim on transmil": {"mhim": {"base": "transmil", "low": 0.3}},
    "srmil": {},
    "sam-mil": {},
}
#: Those whose paper has no order of the patches; TransMIL lays them in a square as they come.
ORDERLESS = [name for name in MODELS if "transmil" not in name]
#: Those whose logits are no sum over the tokens, and that say so.
NO_EVIDENCE = ["transmil", "transmil+groups", "mhim on transmil", "srmil"]
LINEAR = [name for name in MODELS if name not in NO_EVIDENCE]
#: Those without attention, and those that attend again for every class.
NO_ATTENTION = ["max", "mean"]
CLASS_ATTENTION = ["dsmil", "dsmil+groups", "clam-mb"]
SMALL: dict[str, object] = {
    "hidden": 16,
    "attention": 8,
    "transmil": {"landmarks": 32},
    "clam": {"attention": 8},
    "srmil": {"width": 24},
}


def build(name: str, n_classes: int = 2, **options: object) -> Aggregator:
    torch.manual_seed(1)
    settings = ModelSettings.parse({"name": name.partition(" ")[0], **SMALL, **MODELS[name], **options})
    model = build_aggregator(settings, dim=DIM, n_classes=n_classes).eval()
    for parameter in model.parameters():  # biases too, since a bias of zero hides a mistake
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def into(model: Aggregator, stage: str, bags: list[BagTensors]) -> Aggregator:
    """As the training loop enters a stage."""
    model.enter_stage(stage)
    with torch.no_grad():
        model.eval().prepare_stage(bags)
    return model.train()


def trained(name: str, n_classes: int, bags: list[BagTensors]) -> Aggregator:
    """After a few steps in every stage."""
    model = build(name, n_classes)
    for stage in model.stages:
        into(model, stage, bags)
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
        for number, bag in enumerate(bags):
            optimizer.zero_grad()
            torch.autograd.backward(model.loss(bag, torch.tensor(number % n_classes)).total)
            optimizer.step()
            model.after_step()
    return model.eval()


def some_bags(make_bag: MakeBag, count: int = 6, n: int = 20) -> list[BagTensors]:
    return [BagTensors.of(make_bag(n, 4, dim=DIM, seed=seed)) for seed in range(count)]


def reordered(bag: BagTensors, order: np.ndarray) -> BagTensors:
    """The same bag with its patches in another order; positions and groups go with them."""
    new_row = torch.from_numpy(np.argsort(order))
    return replace(
        bag,
        tokens=torch.cat([bag.features[order], bag.group_features]),
        coords_px0=bag.coords_px0[order],
        group_of_patch=bag.group_of_patch[order],
        member_patch=new_row[bag.member_patch],
    )


def made_again(bag: FeatureBag, stays: np.ndarray) -> FeatureBag:
    """The bag of the patches that stay, made from features and segments as if the others had never been there."""
    rest = csr_array(bag.groups.matrix().toarray()[:, stays])
    alive = np.flatnonzero(np.diff(rest.indptr))
    rest = rest[alive]
    sizes, area = np.diff(rest.indptr), bag.groups.area_raster[alive]
    ungrouped = replace(bag, groups=None, group_features=None)
    bare = replace(ungrouped, coords_px0=bag.coords_px0[stays], features=bag.features[stays])
    return bare.with_groups(
        Groups(
            indptr=rest.indptr.astype(np.int64),
            indices=rest.indices.astype(np.int32),
            area_raster=area,
            area_um2=bag.groups.area_um2[alive],
            group_of_patch=smallest_group(area, sizes, rest.indices, len(bare)),
            segment_of_group=bag.groups.segment_of_group[alive],
        )
    )


def nested_bag(make_bag: MakeBag, n: int = 60, n_groups: int = 4, **options: object) -> FeatureBag:
    """Groups that overlap, one that holds most patches and one inside another; a patch's group is the smallest."""
    bag = make_bag(n, n_groups, dim=DIM, **options)
    members = bag.groups.matrix().toarray()
    members[-1, : int(0.8 * n)] = 1  # the largest segment
    members[1] = np.maximum(members[1], members[0])
    rows = csr_array(members)
    sizes = np.diff(rows.indptr)
    groups = replace(
        bag.groups,
        indptr=rows.indptr.astype(np.int64),
        indices=rows.indices.astype(np.int32),
        group_of_patch=smallest_group(bag.groups.area_raster, sizes, rows.indices, n),
    )
    return bag.with_groups(groups)
