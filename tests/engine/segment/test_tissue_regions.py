"""Regions merged by what tissue-sam sees."""

from __future__ import annotations

import numpy as np
import pytest
from segment_anything.modeling import Sam

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.loading import load_segmenter
from sam_mil_engine.segment.regions import adjacency
from sam_mil_engine.segment.tissue_regions import beside
from sam_mil_engine.segment.tissue_sam.merging import embedding_statistics
from sam_mil_engine.segment.tissue_sam.model import load_tissue_sam
from sam_mil_engine.settings import SegmentSettings


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_tissue_sam(device="cpu")


def two_tissues() -> np.ndarray:
    """Above fine grain, below coarse grain of the same mean colour: (160, 240, 3)."""
    rng = np.random.default_rng(0)
    fine = rng.normal(0, 30, (160, 240, 1))
    coarse = np.kron(rng.normal(0, 30, (20, 30, 1)), np.ones((8, 8, 1)))
    grain = np.where(np.arange(160)[:, None, None] < 80, fine, coarse)
    return np.clip(np.array((190, 130, 180)) + grain, 0, 255).astype(np.uint8)


def squares(side: int) -> np.ndarray:
    return np.arange(160)[:, None] // side * (240 // side) + np.arange(240)[None, :] // side


def test_the_embedding_tells_grains_apart(sam: Sam) -> None:
    labels = squares(20)
    found = embedding_statistics(sam, two_tissues(), labels, adjacency(labels))
    assert found.shape == (96, 32)
    above, below = found[:36], found[60:]
    between = np.linalg.norm(above.mean(axis=0) - below.mean(axis=0))
    assert between > 1.5 * max(np.linalg.norm(half - half.mean(axis=0), axis=1).mean() for half in (above, below))


def test_both_kinds_of_statistics_count_alike() -> None:
    rng = np.random.default_rng(0)
    one, other = 1000 * rng.normal(size=(50, 3)) + 7, rng.normal(size=(50, 9))
    found = beside(one, other)
    assert np.allclose((found[:, :3] ** 2).sum(axis=1).mean(), (found[:, 3:] ** 2).sum(axis=1).mean())
    assert np.isfinite(beside(np.ones((4, 2)), other[:4])).all()


def test_they_nest_and_cover_the_tissue() -> None:
    tissue = np.zeros((160, 240), dtype=bool)
    tissue[10:150, 10:230] = True
    settings = SegmentSettings(superpixels=150, cuts=(2, 6))
    segmenter = load_segmenter("tissue-regions", settings=settings, device="cpu")
    found = segmenter.segment(SegmentationImage(two_tissues(), Frame(), tissue))
    masks = [found.mask(number) for number in range(len(found))]
    for one in masks:
        assert all((one & other).sum() in (0, one.sum(), other.sum()) for other in masks)
    assert np.any(masks, axis=0)[tissue].mean() > 0.9
    assert not np.any(masks, axis=0)[~tissue].any()
    assert segmenter.name == "tissue-regions"
    assert segmenter.version.startswith("1-")
