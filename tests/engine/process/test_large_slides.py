"""Slides far larger than what may be in memory at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam_mil_engine.bag import h5
from sam_mil_engine.features import loading
from sam_mil_engine.process.job import Tools
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.settings import FeatureSettings, ProcessSettings, SegmentSettings, TileSettings
from sam_mil_engine.slide.reader import open_slide
from sparse_slides import MPP, write_sparse_slide

SIDE = 40_000
PIECES = ((0.2, 0.2), (0.8, 0.7))
#: The pixels alone would take 4.8 GB, and those of level 1 as much as this.
CEILING_MIB = 300
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

SETTINGS = ProcessSettings(
    tiles=TileSettings(patch_size=256),
    segments=SegmentSettings(segmenter="regions", superpixels=64, cuts=(2, 4)),
    features=FeatureSettings(batch_size=8, block=64),
)


class Brightness:
    """Mean brightness."""

    name, version, weights_sha256, dim, preprocessing = "brightness", "1", "", 1, "none"

    def encode(self, batch: np.ndarray) -> np.ndarray:
        return batch.mean(axis=(1, 2, 3), dtype=np.float32)[:, None]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write_sparse_slide(tmp_path / "large.tiff", side=SIDE, radius=1500, pieces=PIECES)


def mib(name: str) -> float:
    line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith(f"{name}:"))
    return float(line.split()[1]) / 1024


def test_a_sparse_slide_is_what_it_says(large: Path) -> None:
    assert large.stat().st_size < 5e6
    with open_slide(large) as slide:
        assert slide.info.size_px0 == (SIDE, SIDE)
        assert slide.info.mpp == pytest.approx((MPP, MPP), rel=1e-3)
        assert len(slide.info.level_sizes) >= 3
        centre = (int(0.2 * SIDE) - 64, int(0.2 * SIDE) - 64)
        tissue, nothing = (slide.read_region(place, 0, (128, 128)) for place in (centre, (30_000, 3_000)))
        assert np.ptp(tissue.reshape(-1, 3), axis=0).min() > 50
        assert nothing.min() > 230
        image, frame = slide.thumbnail(400)
        x, y = (int(value) for value in frame.from_px0(np.array([[0.8 * SIDE, 0.7 * SIDE]]))[0])
        assert image[y, x, 1] < 200


@pytest.mark.skipif(not RESET.exists(), reason="peak memory is read from /proc")
def test_peak_memory_is_far_below_the_slide(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_encoder", lambda name, **options: Brightness())
    tools = Tools(SETTINGS, device="cpu")
    small = write_sparse_slide(tmp_path / "small.tiff", side=2048, radius=700, pieces=((0.5, 0.5),))
    process_slide(small, tmp_path / "p", tools=tools)  # libraries take their memory
    RESET.write_text("5", encoding="utf-8")
    before = mib("VmRSS")
    done = process_slide(large, tmp_path / "p", tools=tools)
    assert mib("VmHWM") - before < CEILING_MIB
    assert done.tiles is not None
    assert 150 < done.tiles < 400
    assert done.groups
    bag = h5.read_bag(done.bag_path).check()
    assert np.ptp(bag.coords_px0, axis=0).min() > 0.4 * SIDE
