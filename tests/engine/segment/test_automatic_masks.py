from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator

from sam_mil_engine.errors import Cancelled, SegmentError
from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.settings import SegmentSettings


def segmenter(sam, **settings):
    values = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "crop_n_layers": 0}
    return AutomaticSegmenter(sam, name="small", version="1", settings=SegmentSettings(**values | settings))


def everywhere(image):
    return replace(image, tissue=np.ones_like(image.tissue))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"crop_n_layers": 1},
        {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2, "points_per_batch": 3},
        {"pred_iou_thresh": 0.7, "stability_score_thresh": 0.8},
        {"min_mask_region_area": 50},
    ],
)
def test_the_masks_are_those_of_metas_generator(small_sam, tissue_image, options):
    image = everywhere(tissue_image)
    settings = segmenter(small_sam, **options).settings
    reference = SamAutomaticMaskGenerator(
        small_sam,
        points_per_side=settings.points_per_side,
        points_per_batch=settings.points_per_batch or 64,
        pred_iou_thresh=settings.pred_iou_thresh,
        stability_score_thresh=settings.stability_score_thresh,
        crop_n_layers=settings.crop_n_layers,
        crop_n_points_downscale_factor=settings.crop_n_points_downscale_factor,
        min_mask_region_area=settings.min_mask_region_area,
    ).generate(image.rgb)
    reference = [record for record in reference if record["area"]]

    found = segmenter(small_sam, **options).segment(image)

    assert len(found) == len(reference) >= 8
    for number, record in enumerate(reference):
        np.testing.assert_array_equal(found.mask(number), record["segmentation"])
    np.testing.assert_array_equal(found.area, [record["area"] for record in reference])
    np.testing.assert_allclose(found.predicted_iou, [record["predicted_iou"] for record in reference])
    np.testing.assert_allclose(found.stability, [record["stability_score"] for record in reference])


def test_only_masks_that_touch_tissue_are_kept(small_sam, tissue_image):
    all_of_them = segmenter(small_sam).segment(everywhere(tissue_image))
    kept = segmenter(small_sam).segment(tissue_image)
    touching = [n for n in range(len(all_of_them)) if (all_of_them.mask(n) & tissue_image.tissue).any()]
    assert 0 < len(kept) == len(touching) < len(all_of_them)
    assert kept.frame == tissue_image.frame
    assert kept.size_raster == (160, 120)


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_no_surviving_mask_is_an_empty_result(small_sam, tissue_image, layers):
    # Meta's own generator raises IndexError here as soon as there are crops.
    found = segmenter(small_sam, pred_iou_thresh=1.0, crop_n_layers=layers).segment(tissue_image)
    assert len(found) == 0


def test_metas_generator_needs_this(small_sam, tissue_image):
    generator = SamAutomaticMaskGenerator(small_sam, points_per_side=4, pred_iou_thresh=1.0, crop_n_layers=1)
    with pytest.raises(IndexError):
        generator.generate(tissue_image.rgb)


def test_without_tissue_the_result_is_empty(small_sam, tissue_image):
    nothing = replace(tissue_image, tissue=np.zeros_like(tissue_image.tissue))
    assert len(segmenter(small_sam).segment(nothing)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (1, 200), (20, 40)])
def test_tiny_images(small_sam, tissue_image, shape):
    tiny = replace(tissue_image, rgb=np.full((*shape, 3), 150, dtype=np.uint8), tissue=np.ones(shape, dtype=bool))
    found = segmenter(small_sam, crop_n_layers=2).segment(tiny)
    assert found.size_raster == (shape[1], shape[0])


@pytest.mark.parametrize("shape", [(1, 1025, 3), (0, 4, 3), (10, 10), (10, 10, 4)])
def test_images_that_sam_cannot_take(small_sam, tissue_image, shape):
    odd = replace(tissue_image, rgb=np.zeros(shape, dtype=np.uint8))
    with pytest.raises(SegmentError, match="image"):
        segmenter(small_sam).segment(odd)


def test_progress_counts_points_and_reports_inside_the_encoder(small_sam, tissue_image):
    reports = []
    segmenter(small_sam, crop_n_layers=1, points_per_batch=8).segment(tissue_image, progress=reports.append)
    # 16 points on the image and, half as many a side, 4 on each of four crops.
    assert {(report.stage, report.unit, report.total) for report in reports} == {("segments", "points", 32)}
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert done[-1] == 32
    # On 5 images one for each of the encoder's 2 layers and one before the points; one for each of 2 + 4 batches.
    assert len(reports) == 5 * (2 + 1) + 2 + 4


def test_cancelling_leaves_the_model_usable(small_sam, tissue_image):
    def stop(report):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        segmenter(small_sam).segment(tissue_image, progress=stop)
    assert all(not block._forward_pre_hooks for block in small_sam.image_encoder.blocks)
    assert len(segmenter(small_sam).segment(tissue_image))


def decoder_with_room_for(n_points, small_sam, monkeypatch):
    forward, sizes = small_sam.mask_decoder.forward, []

    def limited(**inputs):
        sizes.append(len(inputs["sparse_prompt_embeddings"]))
        if sizes[-1] > n_points:
            raise torch.OutOfMemoryError("no room")
        return forward(**inputs)

    monkeypatch.setattr(small_sam.mask_decoder, "forward", limited)
    return sizes


def test_out_of_memory_halves_the_batch_and_changes_no_mask(small_sam, tissue_image, monkeypatch):
    expected = segmenter(small_sam).segment(tissue_image)
    sizes = decoder_with_room_for(3, small_sam, monkeypatch)
    found = segmenter(small_sam, points_per_batch=16).segment(tissue_image)
    assert sizes == [16, 8, 4, *[2] * 8]
    assert len(found) == len(expected)
    np.testing.assert_array_equal(found.boxes_raster, expected.boxes_raster)


def test_no_room_for_one_point_is_an_error(small_sam, tissue_image, monkeypatch):
    decoder_with_room_for(0, small_sam, monkeypatch)
    with pytest.raises(SegmentError, match="too little memory for SAM, even with one of the points"):
        segmenter(small_sam).segment(tissue_image)


def test_prompts_on_tissue_only(small_sam, tissue_image):
    reports = []
    found = segmenter(small_sam, crop_n_layers=1, points_per_side=6, prompts_on_tissue=True).segment(
        tissue_image, progress=reports.append
    )
    # Of 6 x 6 points on the image the two left columns are beside the tissue, of the crops' columns the first.
    everything = segmenter(small_sam, crop_n_layers=1, points_per_side=6).settings
    assert reports[-1].done == reports[-1].total < 36 + 4 * 36
    assert everything.prompts_on_tissue is False
    assert len(found) > 0
