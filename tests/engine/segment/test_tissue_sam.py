"""The small SAM that comes with the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sam_mil_engine.errors import SegmentError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.loading import load_segmenter
from sam_mil_engine.segment.predictor import SamPrompter, load_prompter
from sam_mil_engine.segment.tissue_sam import bundle
from sam_mil_engine.segment.tissue_sam.model import load_tissue_sam
from sam_mil_engine.settings import SegmentSettings

CENTRES = ((110, 120), (330, 140), (180, 340))
RADIUS = 58


def pink_with_purple_discs() -> np.ndarray:
    """Three discs, as glands lie in stroma: (440, 440, 3) uint8."""
    rng = np.random.default_rng(0)
    image = np.full((440, 440, 3), (225, 160, 195)) + rng.integers(-18, 19, (440, 440, 1))
    for inside in discs():
        image[inside] = np.array((120, 70, 150)) + rng.integers(-25, 26, (np.count_nonzero(inside), 1))
    return np.clip(image, 0, 255).astype(np.uint8)


def discs() -> list[np.ndarray]:
    rows, columns = np.mgrid[:440, :440]
    return [(columns - x) ** 2 + (rows - y) ** 2 <= RADIUS**2 for x, y in CENTRES]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


@pytest.fixture(scope="module")
def prompter() -> SamPrompter:
    found = load_prompter(bundle.NAME, device="cpu")
    found.set_image(pink_with_purple_discs())
    return found


@pytest.mark.parametrize("number", range(3))
def test_a_box_and_clicks_outline_what_is_there(prompter: SamPrompter, number: int) -> None:
    x, y = CENTRES[number]
    truth = discs()[number]
    box, _ = prompter.predict(box_raster=[x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS])
    assert iou(box[0], truth) > 0.8
    clicks, _ = prompter.predict([[x, y], [x - 30, y + 10], [x + RADIUS + 20, y]], [1, 1, 0])
    assert iou(clicks[0], truth) > 0.6
    one, scores = prompter.predict([[x, y]])
    assert one.shape == (3, 440, 440)
    assert (np.diff(scores) <= 0).all()
    assert max(iou(mask, truth) for mask in one) > 0.6


def test_masks_without_prompts_hold_the_discs() -> None:
    segmenter = load_segmenter(bundle.NAME, device="cpu")
    assert (segmenter.name, segmenter.version) == ("tissue-sam", f"{bundle.digest()[:16]}+stain-regions-1")
    image = SegmentationImage(
        pink_with_purple_discs(), Frame((0.0, 0.0), (1.0, 1.0)), np.ones((440, 440), dtype=bool)
    )
    found = segmenter.segment(image)
    assert len(found)
    best = [max(iou(found.mask(k), truth) for k in range(len(found))) for truth in discs()]
    assert np.mean(best) > 0.4


def test_what_ships_is_small_and_carded() -> None:
    assert (bundle.folder() / bundle.WEIGHTS).stat().st_size < 8e6
    card = (bundle.folder() / bundle.CARD).read_text()
    assert "Not for diagnosis" in card.replace("\n", " ")
    assert "GlaS" in card


def test_its_own_grid_gives_way_to_the_users() -> None:
    chosen = json.loads((bundle.folder() / bundle.GRID).read_text())
    own = bundle.with_bundled_thresholds(SegmentSettings())
    assert {name: getattr(own, name) for name in chosen} == chosen
    assert chosen["points_per_side"] != 24
    asked = bundle.with_bundled_thresholds(SegmentSettings(points_per_side=24))
    assert asked == own.model_copy(update={"points_per_side": 24})


def test_damaged_weights_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sam_mil_engine.segment.tissue_sam.model.folder", lambda: tmp_path)
    with pytest.raises(SegmentError, match=r"model\.safetensors: the weights of tissue-sam cannot be read"):
        load_tissue_sam(device="cpu")
    (tmp_path / bundle.WEIGHTS).write_bytes(b"\x08" + bytes(20))
    with pytest.raises(SegmentError, match="Install napari-sam-mil again"):
        load_tissue_sam(device="cpu")
