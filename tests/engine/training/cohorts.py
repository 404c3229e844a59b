"""Bags with a known truth, and the native file written with h5py alone: what the tests of training share."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.segment.groups import Groups


def witness_bag(slide_id: str, positive: bool, *, seed: int, n: int = 60, dim: int = 8) -> FeatureBag:
    """Gaussian patches in three groups; a positive bag has a few patches that are shifted, all in one group."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, dim)).astype(np.float32)
    home = np.repeat(np.arange(4), -(-n // 4))[:n] - 1
    if positive:
        features[np.flatnonzero(home == 1)[:6], 0] += 4
    bag = FeatureBag(
        slide_id=slide_id,
        coords_px0=np.stack([np.arange(n) * 512, np.zeros(n)], axis=1).astype(np.int32),
        features=features,
        attrs={"encoder": "fake", "patch_size": 512, "tile_mpp": 0.5, "segmenter": "regions"},
    )
    sizes = np.bincount(home[home >= 0], minlength=3)
    groups = Groups(
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        indices=np.flatnonzero(home >= 0)[np.argsort(home[home >= 0], kind="stable")].astype(np.int32),
        area_raster=np.array([500.0, 2000.0, 8000.0]),
        area_um2=np.full(3, np.nan),
        group_of_patch=home.astype(np.int32),
        segment_of_group=np.arange(3, dtype=np.int32),
    )
    return bag.with_groups(groups)


def write_bag(folder: Path, bag: FeatureBag) -> Path:
    path = folder / f"{bag.slide_id}.h5"
    with h5py.File(path, "w") as file:
        file["coords"], file["features"] = bag.coords_px0, bag.features
        file["coords"].attrs.update({"step_px0": (512.0, 512.0), "size_px0": (512.0, 512.0)})
        for name, value in {"slide_id": bag.slide_id, **bag.attrs}.items():
            file.attrs[name] = value
        groups = bag.groups
        if groups is not None:
            for name, value in {
                "features": bag.group_features,
                "area": groups.area_raster,
                "area_um2": groups.area_um2,
                "indptr": groups.indptr,
                "indices": groups.indices,
                "of_patch": groups.group_of_patch,
                "segment": groups.segment_of_group,
            }.items():
                file[f"groups/{name}"] = value
    return path
