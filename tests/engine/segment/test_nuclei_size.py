"""The estimate of a resolution from nuclei, on real tissue of known resolution."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sam_mil_engine.segment.nuclei_size import (
    NUCLEUS_UM,
    UNCERTAINTY,
    MppEstimate,
    estimate_mpp,
    nucleus_diameter_px,
)
from sam_mil_engine.settings import TISSUE_PRESETS
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.tissue import find_tissue


def test_a_scanned_slide_lies_in_the_range_and_its_usual_resolution_is_suggested(cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as slide:
        estimate = estimate_mpp(slide, find_tissue(slide, TISSUE_PRESETS["biopsy"]))
    assert estimate is not None
    assert estimate.low < 0.499 < estimate.high
    assert estimate.usual == 0.5
    assert estimate.nuclei > 1000


def test_colon_at_twenty_times(shared_data: Path) -> None:
    """GlaS: 0.62 µm per pixel; the median over the images is right to a fifth, six of seven to the stated range."""
    found = []
    for path in sorted((shared_data / "glas" / "images").glob("*.jpg"))[::4]:
        diameter = nucleus_diameter_px(np.asarray(Image.open(path).convert("RGB")))
        if diameter is not None:
            found.append(NUCLEUS_UM / diameter[0])
    assert np.median(found) == pytest.approx(0.62, rel=0.2)
    assert np.mean([0.62 / UNCERTAINTY < one < 0.62 * UNCERTAINTY for one in found]) >= 0.85


def test_glioma_at_forty_times(shared_data: Path) -> None:
    for path in sorted((shared_data / "nuclei_lgg").glob("*_crop.png")):
        diameter = nucleus_diameter_px(np.asarray(Image.open(path).convert("RGB")))
        assert diameter is not None
        assert MppEstimate(NUCLEUS_UM / diameter[0], 0, 1, 99).usual == 0.25


def test_an_image_of_half_the_size_has_nuclei_of_half_the_size() -> None:
    rng, image = np.random.default_rng(0), np.full((900, 900, 3), (235, 205, 225), np.uint8)
    for x, y in rng.integers(30, 870, (120, 2)):
        cv2.circle(image, (int(x), int(y)), 16, (90, 60, 140), -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.5)
    whole = nucleus_diameter_px(image)
    half = nucleus_diameter_px(cv2.resize(image, (450, 450), interpolation=cv2.INTER_AREA))
    assert whole is not None
    assert half is not None
    assert whole[0] == pytest.approx(32, rel=0.2)
    assert whole[0] / half[0] == pytest.approx(2, rel=0.15)


def test_nothing_is_suggested_where_there_are_no_nuclei() -> None:
    assert nucleus_diameter_px(np.full((200, 200, 3), 244, np.uint8)) is None


@pytest.mark.parametrize(("mpp", "usual"), [(0.21, 0.25), (0.5, 0.5), (0.75, 0.5), (1.2, 1.0), (3.2, 3.2)])
def test_the_usual_resolution_of_an_estimate(mpp: float, usual: float) -> None:
    assert MppEstimate(mpp, mpp / 2, mpp * 2, 99).usual == usual
