"""The script that makes ``tissue-sam``, run in small; what it writes goes through the code of any SAM."""

from __future__ import annotations

import json
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from segment_anything.modeling import Sam

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.predictor import SamPrompter
from sam_mil_engine.segment.tissue_sam.bundle import WEIGHTS
from sam_mil_engine.segment.tissue_sam.model import build_tissue_sam
from sam_mil_engine.settings import SegmentSettings
from warm_commands import run_script

FOLDER = Path(__file__).parents[3] / "training" / "tissue_sam"


@pytest.fixture(scope="module")
def made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("tissue-sam")
    run_script(FOLDER / "train.py", work, "--data", shared_data, "--short")
    return work


@pytest.fixture(scope="module")
def sam(made: Path) -> Sam:
    built = build_tissue_sam()
    weights = {name: value.float() for name, value in load_file(made / WEIGHTS).items()}
    built.load_state_dict(weights, strict=True)
    return built


def test_the_loss_falls(made: Path) -> None:
    found = json.loads((made / "history.json").read_text())
    assert len(found["history"]) == 12
    before, after = found["losses"]
    assert after < 0.95 * before


def test_drawn_things_are_nested(made: Path) -> None:
    for path in made.glob("train-*.npz"):
        with np.load(path) as kept:
            levels, taught = kept["truth"], kept["kind"] == "taught"
        assert levels.shape == (4, 256, 256)
        for inner, outer in pairwise(levels):
            # what is in a thing is in exactly one thing of the next level
            inside = inner > 0
            assert (outer[inside] > 0).all()
            pairs = np.unique(np.stack([inner[inside], outer[inside]]), axis=1)
            assert taught or len(pairs[0]) == len(np.unique(pairs[0]))


def test_the_calibration_keeps_the_order_of_each_answer(made: Path) -> None:
    lines = json.loads((made / "history.json").read_text())["lines"]
    assert len(lines) == 3
    assert all(slope > 0 for slope, _ in lines)


def test_the_weights_are_small_enough_to_ship(made: Path) -> None:
    assert (made / WEIGHTS).stat().st_size < 8e6


def test_prompts_enter_in_space(sam: Sam) -> None:
    encoder = sam.prompt_encoder
    _, maps = encoder(points=(torch.tensor([[[99.5, 203.5]]]), torch.ones(1, 1)), boxes=None, masks=None)
    assert maps.shape == (1, 9, 64, 64)
    assert divmod(int(maps[0, 0].argmax()), 64) == (25, 12)
    assert not maps[0, 3:].any()
    _, maps = encoder(points=None, boxes=torch.tensor([[80.0, 160.0, 240.0, 400.0]]), masks=None)
    assert maps[0, 6].sum() == 20 * 30
    assert not maps[0, :6].any()


def test_it_answers_prompts_as_any_sam(sam: Sam) -> None:
    image = np.random.default_rng(0).integers(0, 255, (120, 200, 3), dtype=np.uint8)
    prompter = SamPrompter(sam)
    prompter.set_image(image)
    masks, scores = prompter.predict([[50, 60]])
    assert masks.shape == (3, 120, 200)
    assert (np.diff(scores) <= 0).all()
    assert prompter.predict(box_raster=[20, 30, 90, 100])[0].shape == (1, 120, 200)


def test_it_makes_automatic_masks_as_any_sam(sam: Sam) -> None:
    image = np.random.default_rng(0).integers(0, 255, (120, 200, 3), dtype=np.uint8)
    tissue_image = SegmentationImage(image, Frame(), np.ones((120, 200), dtype=bool))
    # hardly trained as it is, it is sure of nothing: made to answer with everything, and every mask is taken
    sam = deepcopy(sam)
    with torch.no_grad():
        sam.mask_decoder.prior.fill_(100.0)
    settings = SegmentSettings(points_per_side=2, crop_n_layers=0, pred_iou_thresh=0, stability_score_thresh=0)
    segments = AutomaticSegmenter(sam, name="tissue-sam", version="", settings=settings).segment(tissue_image)
    # all twelve answers are one
    assert segments.area.tolist() == [120 * 200]
