"""SAM 2.1 through transformers: a small random one of the true architecture, against transformers' own pipeline."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator

from sam_mil_engine.errors import SegmentError
from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.models.registry import available
from sam_mil_engine.models.segmenters import SEGMENTERS
from sam_mil_engine.segment import candidates, checkpoints
from sam_mil_engine.segment.loading import load_segmenter
from sam_mil_engine.segment.predictor import load_prompter
from sam_mil_engine.segment.sam2 import shapes
from sam_mil_engine.segment.scaling import scaling_of
from sam_mil_engine.settings import SegmentSettings
from small_sam2 import SMALL, build_model, metas_state


@pytest.fixture(scope="module")
def model():
    return build_model()


@pytest.fixture
def checkpoint(model, tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, "SHAPES", (*shapes.SHAPES, SMALL))
    path = tmp_path / "sam2.pt"
    torch.save({"model": metas_state(model)}, path)
    return path


def reference(model, rgb, **prompts):
    """Logits at the image's size and scores, by transformers' own processor and model."""
    from transformers import Sam2ImageProcessor, Sam2Processor

    processor = Sam2Processor(Sam2ImageProcessor(size={"height": SMALL.side, "width": SMALL.side}))
    inputs = processor(images=rgb, return_tensors="pt", **prompts)
    single = "input_boxes" in prompts or len(prompts["input_points"][0][0]) > 1
    with torch.inference_mode():
        out = model(**{k: v for k, v in inputs.items() if k != "original_sizes"}, multimask_output=not single)
    (logits,) = processor.post_process_masks(out.pred_masks, inputs["original_sizes"], binarize=False)
    return logits[0].numpy(), out.iou_scores[0, 0].numpy()


def test_metas_checkpoint_becomes_the_model_with_every_weight(model, checkpoint):
    loaded = checkpoints.load_sam(checkpoint, device="cpu")
    expected, found = model.state_dict(), loaded.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not loaded.training


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"input_points": [[[[50, 40]]]]}, {"points_raster": [[50, 40]]}),
        (
            {"input_points": [[[[50, 40], [120, 90]]]], "input_labels": [[[1, 0]]]},
            {"points_raster": [[50, 40], [120, 90]], "labels": [1, 0]},
        ),
        ({"input_boxes": [[[20, 30, 90, 80]]]}, {"box_raster": [20, 30, 90, 80]}),
        (
            {"input_points": [[[[50, 40]]]], "input_labels": [[[0]]], "input_boxes": [[[20, 30, 90, 80]]]},
            {"points_raster": [[50, 40]], "labels": [0], "box_raster": [20, 30, 90, 80]},
        ),
    ],
    ids=["one click", "two clicks", "box", "box and click"],
)
def test_prompts_are_answered_as_by_transformers(model, checkpoint, tissue_image, theirs, ours):
    logits, scores = reference(model, tissue_image.rgb, **theirs)
    prompter = load_prompter(str(checkpoint), device="cpu")
    prompter.set_image(tissue_image.rgb)
    masks, found = prompter.predict(**ours)
    order = np.argsort(-scores, kind="stable")
    np.testing.assert_allclose(found, scores[order], atol=1e-3)
    assert len(masks) == len(logits)
    assert 0.02 < masks.mean() < 0.98
    # The images are scaled by other libraries: pixels whose logits are nearly 0 may differ.
    sure = np.abs(logits[order]) > 0.05 * np.abs(logits).max()
    assert (masks == (logits[order] > 0))[sure].mean() > 0.999


def test_automatic_masks_are_those_of_metas_generator(checkpoint, tissue_image, monkeypatch):
    # random masks fill the image: all of them would be duplicates
    monkeypatch.setattr(candidates, "_DUPLICATE", 1.0)
    image = replace(tissue_image, tissue=np.ones_like(tissue_image.tissue))
    settings = SegmentSettings(
        points_per_side=4, pred_iou_thresh=0, stability_score_thresh=0, crop_n_layers=1, segmenter="sam2-tiny"
    )
    found = load_segmenter(str(checkpoint), settings=settings, device="cpu").segment(image)
    sam = checkpoints.load_sam(checkpoint, device="cpu")
    generator = SamAutomaticMaskGenerator(
        sam,
        points_per_side=4,
        pred_iou_thresh=0,
        stability_score_thresh=0,
        crop_n_layers=1,
        box_nms_thresh=1.0,
        crop_nms_thresh=1.0,
    )
    generator.predictor.transform = scaling_of(sam)
    expected = [record for record in generator.generate(image.rgb) if record["area"]]
    assert len(found) == len(expected) >= 40
    for number, record in enumerate(expected):
        assert np.mean(found.mask(number) != record["segmentation"]) < 1e-3
    np.testing.assert_allclose(found.predicted_iou, [r["predicted_iou"] for r in expected], rtol=1e-4)
    np.testing.assert_allclose(found.stability, [r["stability_score"] for r in expected], rtol=1e-2)


def test_bfloat16_runs_and_stays_close(checkpoint, tissue_image):
    def scores(precision):
        settings = SegmentSettings(
            points_per_side=2,
            pred_iou_thresh=0,
            stability_score_thresh=0,
            crop_n_layers=0,
            precision=precision,
        )
        found = load_segmenter(str(checkpoint), settings=settings, device="cpu").segment(tissue_image)
        return np.sort(found.predicted_iou)[::-1]

    exact, close = scores("float32"), scores("bfloat16")
    assert len(close)
    assert abs(exact[0] - close[0]) < 0.02


def test_on_apples_devices_it_runs_on_the_cpu_and_says_so(checkpoint, monkeypatch):
    monkeypatch.setattr(checkpoints, "pick_device", lambda _name: torch.device("mps"))
    with pytest.warns(UserWarning, match=r"SAM 2\.1 runs on the CPU"):
        assert checkpoints.load_sam(checkpoint).device.type == "cpu"


def test_an_image_encoder_of_no_published_size_is_refused(checkpoint, monkeypatch):
    monkeypatch.setattr(shapes, "SHAPES", shapes.SHAPES[:-1])
    with pytest.raises(SegmentError, match=r"matches no SAM 2\.1.*96 x 12"):
        checkpoints.load_sam(checkpoint)


def test_a_missing_weight_is_named(model, checkpoint):
    state = metas_state(model)
    del state["image_encoder.neck.convs.0.conv.bias"]
    torch.save({"model": state}, checkpoint)
    with pytest.raises(SegmentError, match=r"do not fit SAM.*neck\.convs\.0\.bias"):
        checkpoints.load_sam(checkpoint)


@pytest.mark.parametrize("name", ["sam2-tiny", "sam2-small", "sam2-base-plus", "sam2-large"])
def test_without_the_package_the_error_names_the_extra(name, tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    monkeypatch.setattr("sam_mil_engine.models.card.find_spec", lambda _module: None)
    assert name not in [card.name for card in available("segmenter")]
    with pytest.raises(SegmentError, match=r"SAM 2\.1 .* needs the package transformers") as caught:
        load_segmenter(name)
    assert "pip install 'napari-sam-mil[sam2]'" in str(caught.value)


def test_without_the_package_a_checkpoint_by_path_says_the_same(tmp_path, monkeypatch):
    state = {f"image_encoder.trunk.blocks.{block}.norm1.weight": torch.zeros(1) for block in range(12)}
    state["image_encoder.trunk.patch_embed.proj.weight"] = torch.zeros(96, 3, 7, 7)
    torch.save({"model": state}, tmp_path / "sam2.1_hiera_tiny.pt")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SegmentError, match=r"needs the package transformers.*napari-sam-mil\[sam2\]"):
        checkpoints.load_sam(tmp_path / "sam2.1_hiera_tiny.pt")


def test_the_cards_pin_address_size_and_checksum():
    for name in ("sam2-tiny", "sam2-small", "sam2-base-plus", "sam2-large"):
        card = SEGMENTERS[name]
        assert card.source.startswith("https://dl.fbaipublicfiles.com/segment_anything_2/092824/sam2.1_hiera_")
        assert (len(card.sha256), card.licence, card.extra) == (64, "Apache-2.0", "sam2")
        assert card.size > 150e6
