"""Bags made up in memory, for the tests of models, training and prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.segment.groups import Groups


def random_bag(n: int, n_groups: int, *, dim: int = 12, seed: int = 0, unsegmented: float = 0.2) -> FeatureBag:
    """N patches in L possibly overlapping groups; group k's segment grows with k."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    cells = np.stack([np.arange(n) % side, np.arange(n) // side], axis=1)
    bag = FeatureBag(
        slide_id=f"slide-{seed}",
        coords_px0=(cells * 512).astype(np.int32),
        features=rng.standard_normal((n, dim)).astype(np.float32),
        attrs={"step_px0": (512.0, 512.0), "encoder": "fake", "patch_size": 512, "tile_mpp": 0.5},
    )
    if n_groups == 0:
        return bag
    home = rng.integers(n_groups, size=n)
    home[rng.random(n) < unsegmented] = -1
    home[: min(n, n_groups)] = np.arange(min(n, n_groups))
    members = [np.union1d(np.flatnonzero(home == k), rng.integers(n, size=2)) for k in range(n_groups)]
    groups = Groups(
        indptr=np.concatenate([[0], np.cumsum([len(part) for part in members])]).astype(np.int64),
        indices=np.concatenate(members).astype(np.int32),
        area_raster=10.0 ** np.linspace(1, 5, n_groups),
        area_um2=np.full(n_groups, np.nan),
        group_of_patch=home.astype(np.int32),
        segment_of_group=np.arange(n_groups, dtype=np.int32),
    )
    return bag.with_groups(groups)


@pytest.fixture(scope="session")
def make_bag() -> Callable[..., FeatureBag]:
    return random_bag


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Small tensors are faster on one thread, above all where other programs use the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
