"""What the tests of segmenters share."""

from __future__ import annotations

import numpy as np
import pytest
from segment_anything.modeling import Sam

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.image import SegmentationImage
from small_sams import build_small_sam


@pytest.fixture(scope="session")
def small_sam() -> Sam:
    return build_small_sam()


@pytest.fixture(scope="session")
def tissue_image() -> SegmentationImage:
    """120 x 160 px: blobs of three colours on white; the left third is no tissue."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :160]
    image = np.full((120, 160, 3), 240, dtype=np.uint8)
    for colour in ((180, 90, 150), (110, 60, 140), (220, 150, 190)):
        for _ in range(4):
            y, x, radius = rng.integers(0, 120), rng.integers(40, 160), rng.integers(10, 25)
            image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = colour
    noise = rng.integers(-6, 7, size=image.shape)
    image = np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)
    return SegmentationImage(rgb=image, frame=Frame((64.0, 32.0), (8.0, 8.0)), tissue=columns >= 53)
