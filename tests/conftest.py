"""Fixtures that every test may use: the folder of real slides, and small made-up ones."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

ROOT = Path(__file__).resolve().parents[1]


def _shared_data() -> Path | None:
    candidates = [os.environ.get("SAM_MIL_TEST_DATA"), ROOT.parent / "shared" / "data"]
    return next((Path(path) for path in candidates if path and Path(path).is_dir()), None)


SHARED = _shared_data()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real slides; where it is missing, tests that need it are skipped and say so."""
    if SHARED is None:
        pytest.skip("real slides are not here: set SAM_MIL_TEST_DATA to the folder that holds MANIFEST.tsv")
    return SHARED


@pytest.fixture(scope="session")
def cmu_slide(shared_data: Path) -> Path:
    """CMU-1-Small-Region.svs (2220 x 2967 px, 0.499 µm a pixel, CC0)."""
    return shared_data / "slides" / "aperio" / "CMU-1-Small-Region.svs"


def write_tiny_slide(path: Path, *, seed: int = 0, tissue: bool = True, size: tuple[int, int] = (640, 512)) -> Path:
    """A tiled TIFF of 0.5 µm a pixel with one pink blob that holds darker blobs, or with nothing but white."""
    rng = np.random.default_rng(seed)
    width, height = size
    image = np.full((height, width, 3), 244, np.uint8)
    if tissue:
        centre, axes = (width // 2, height // 2), (width * 2 // 5, height * 2 // 5)
        cv2.ellipse(image, centre, axes, 0, 0, 360, (225, 150, 190), -1)
        for _ in range(12):
            spot = rng.normal(centre, np.asarray(axes) / 3).astype(int)
            cv2.circle(image, spot.tolist(), int(rng.integers(8, 30)), (120, 60, 150), -1)
        image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    tifffile.imwrite(
        path,
        image,
        tile=(128, 128),
        photometric="rgb",
        compression="deflate",
        resolution=(20000, 20000),
        resolutionunit=3,
    )
    return path


@pytest.fixture
def tiny_slide(tmp_path: Path) -> Path:
    """One tiny slide with tissue."""
    return write_tiny_slide(tmp_path / "tiny.tiff")
