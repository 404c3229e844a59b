"""The fast SAM against Meta's own, with Meta's classes throughout and random weights that give dozens of masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam

from sam_mil_engine.errors import SegmentError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment import cross_attention, fast_decoder
from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.segment.cores import Cores
from sam_mil_engine.segment.fast_decoder import FastDecoder, PlainDecoder
from sam_mil_engine.segment.fast_encoder import FastEncoder
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.settings import SegmentSettings
from whole_sams import build_whole_sam


@pytest.fixture(scope="module")
def sam() -> Sam:
    return build_whole_sam()


@pytest.fixture(scope="module")
def image() -> SegmentationImage:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:150, :200]
    image = np.full((150, 200, 3), 240, dtype=np.uint8)
    for colour in ((180, 90, 150), (110, 60, 140), (220, 150, 190)):
        for _ in range(6):
            y, x, radius = rng.integers(0, 150), rng.integers(0, 200), rng.integers(12, 30)
            image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = colour
    return SegmentationImage(rgb=image, frame=Frame((0.0, 0.0), (1.0, 1.0)), tissue=np.ones((150, 200), bool))


def ours(sam, image, **settings) -> Segments:
    values = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.6, "points_per_side": 12}
    return AutomaticSegmenter(sam, name="s", version="1", settings=SegmentSettings(**values | settings)).segment(
        image
    )


def metas(sam, image, **settings) -> list[dict]:
    values = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.6, "points_per_side": 12, "crop_n_layers": 1}
    values["crop_n_points_downscale_factor"] = 2
    records = SamAutomaticMaskGenerator(sam, **values | settings).generate(image.rgb)
    return [record for record in records if record["area"]]


@pytest.mark.parametrize(
    ("options", "at_least"),
    [
        ({"crop_n_layers": 0}, 15),
        ({"crop_n_layers": 1}, 40),
        ({"crop_n_layers": 1, "pred_iou_thresh": 0.6, "points_per_batch": 5}, 10),
        ({"crop_n_layers": 1, "min_mask_region_area": 40}, 20),
    ],
)
def test_the_same_masks_in_the_same_order(sam, image, options, at_least):
    reference, found = metas(sam, image, **options), ours(sam, image, **options)
    assert len(found) == len(reference) >= at_least
    for number, record in enumerate(reference):
        mask, expected = found.mask(number), record["segmentation"]
        assert (mask & expected).sum() / (mask | expected).sum() >= 0.99
    boxes = np.array([record["bbox"] for record in reference])
    # Meta's width is that from the first to the last pixel, ours counts both; one pixel of a small mask may flip.
    np.testing.assert_allclose(found.boxes_raster - [0, 0, 1, 1], boxes, atol=1)
    np.testing.assert_allclose(found.predicted_iou, [record["predicted_iou"] for record in reference], atol=1e-4)
    np.testing.assert_allclose(found.stability, [record["stability_score"] for record in reference], atol=0.01)


def test_more_than_a_hundred_masks(image):
    sam, options = build_whole_sam(channels=256), {"points_per_side": 16, "stability_score_thresh": 0.3}
    reference, found = metas(sam, image, **options), ours(sam, image, **options)
    assert len(found) == len(reference) > 100
    shared = [(found.mask(n) & record["segmentation"]).sum() for n, record in enumerate(reference)]
    joined = [(found.mask(n) | record["segmentation"]).sum() for n, record in enumerate(reference)]
    assert np.mean(np.divide(shared, joined)) > 0.999


def test_masks_differ_so_that_equality_means_something(sam, image):
    found = ours(sam, image)
    assert len({tuple(box) for box in found.boxes_raster.tolist()}) == len(found)
    assert found.area.max() > 10 * found.area.min()


@pytest.mark.parametrize("size", [(256, 256), (256, 170)])
@torch.inference_mode()
def test_the_embedding_is_metas(sam, size):
    pixels = torch.zeros(2, 3, 256, 256)
    pixels[..., : size[0], : size[1]] = torch.randn(2, 3, *size)
    expected, reports = sam.image_encoder(pixels), []
    with Cores(torch.device("cpu")) as cores:
        found = FastEncoder(sam)(pixels, cores, lambda: reports.append(1))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert len(reports) == len(sam.image_encoder.blocks)


def test_the_encoder_works_without_relative_positions(sam):
    for block in sam.image_encoder.blocks:
        block.attn.use_rel_pos = False
    try:
        with torch.inference_mode(), Cores(torch.device("cpu")) as cores:
            pixels = torch.randn(1, 3, 256, 256)
            found = FastEncoder(sam)(pixels, cores, lambda: None)
            torch.testing.assert_close(found, sam.image_encoder(pixels), atol=1e-5, rtol=1e-5)
    finally:
        for block in sam.image_encoder.blocks:
            block.attn.use_rel_pos = True


@torch.inference_mode()
def decoded(decoder, needed=(64, 64), min_iou=0.0):
    torch.manual_seed(0)
    embedding, points = torch.randn(128, 16, 16), 256 * torch.rand(9, 2)
    return decoder.on(embedding)(points, needed=needed, min_iou=min_iou)


def test_the_logits_are_metas(sam):
    expected, found = decoded(PlainDecoder(sam)), decoded(FastDecoder(sam))
    assert expected.logits.shape == (27, 64, 64)
    largest = expected.logits.abs().max()
    assert (found.logits - expected.logits).abs().max() <= 1e-5 * largest
    torch.testing.assert_close(found.predicted_iou, expected.predicted_iou, atol=1e-5, rtol=1e-5)


def test_all_prompts_at_once_give_the_same_logits_as_one_by_one(sam, monkeypatch):
    expected = decoded(FastDecoder(sam), needed=(49, 64), min_iou=0.5)
    for module in (cross_attention, fast_decoder):  # as on a GPU
        monkeypatch.setattr(module, "one_by_one", lambda images: [slice(None)])
        monkeypatch.setattr(module, "strips", lambda images, n, width=1: [slice(0, n)])
    found = decoded(FastDecoder(sam), needed=(49, 64), min_iou=0.5)
    assert 0 < len(found.logits) < 27
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("tokens", [1, 100])
def test_strips_of_any_length_give_the_same_logits(sam, monkeypatch, tokens):
    expected = decoded(FastDecoder(sam), needed=(49, 64))
    monkeypatch.setattr(cross_attention, "_TOKENS", tokens)
    found = decoded(FastDecoder(sam), needed=(49, 64))
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-4, rtol=1e-5)


def test_only_what_is_needed_is_decoded(sam):
    everything, some = decoded(FastDecoder(sam)), decoded(FastDecoder(sam), needed=(64, 37))
    assert some.logits.shape == (27, 64, 37)
    torch.testing.assert_close(some.logits, everything.logits[:, :, :37], atol=1e-4, rtol=1e-5)
    level = float(everything.predicted_iou.median())
    assert level > 0
    passed = everything.predicted_iou > level
    few = decoded(FastDecoder(sam), min_iou=level)
    assert torch.equal(few.predicted_iou, everything.predicted_iou[passed])
    torch.testing.assert_close(few.logits, everything.logits[passed], atol=1e-4, rtol=1e-5)


def test_bfloat16_gives_nearly_the_same_masks(sam, image):
    exact, close = ours(sam, image), ours(sam, image, precision="bfloat16")
    assert 0.6 * len(exact) <= len(close) <= 1.6 * len(exact)
    flat = [np.array([s.mask(n).ravel() for n in range(len(s))], dtype=np.float32) for s in (exact, close)]
    shared = flat[0] @ flat[1].T
    iou = shared / (flat[0].sum(1)[:, None] + flat[1].sum(1) - shared)
    assert np.median(iou.max(axis=1)) > 0.8


def test_the_weights_stay_as_they_are(sam, image):
    before = {name: value.clone() for name, value in sam.state_dict().items()}
    ours(sam, image, precision="bfloat16")
    ours(sam, image)
    assert all(torch.equal(before[name], value) for name, value in sam.state_dict().items())
    SamPredictor(sam).set_image(image.rgb)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3, 2), (40, 17)])
def test_tiny_images_give_a_result(sam, image, shape):
    tiny = replace(image, rgb=np.full((*shape, 3), 150, dtype=np.uint8), tissue=np.ones(shape, dtype=bool))
    found = ours(sam, tiny, crop_n_layers=2)
    assert found.size_raster == (shape[1], shape[0])


@pytest.mark.parametrize("shape", [(0, 0, 3), (20, 20), (20, 20, 1), (20, 20, 4), (1, 2000, 3)])
def test_empty_grey_rgba_and_thin_images_are_refused(sam, image, shape):
    odd = replace(image, rgb=np.zeros(shape, dtype=np.uint8), tissue=np.ones(shape[:2], dtype=bool))
    with pytest.raises(SegmentError, match="image"):
        ours(sam, odd)


def test_no_surviving_mask_where_metas_generator_fails(sam, image):
    with pytest.raises(IndexError):
        metas(sam, image, pred_iou_thresh=50.0)
    assert len(ours(sam, image, stability_score_thresh=1.0, pred_iou_thresh=1.0)) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_gives_the_same_masks(sam, image):
    on_cpu = ours(sam, image)
    on_gpu = ours(build_whole_sam().to("cuda"), image)
    assert abs(len(on_gpu) - len(on_cpu)) <= 2
