"""Areas and boxes at full resolution, without the pixels, against Meta's with all pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_anything.utils.amg import batched_mask_to_box, calculate_stability_score
from torch.nn import functional as nnf

from sam_mil_engine.segment.mask_filters import FullResolution

CPU = torch.device("cpu")


def enlarged(logits, side, used, size):
    """As ``Sam.postprocess_masks`` does it."""
    large = nnf.interpolate(logits[None], (side, side), mode="bilinear", align_corners=False)
    return nnf.interpolate(large[..., : used[0], : used[1]], size, mode="bilinear", align_corners=False)[0]


def blots(n_masks, n, seed, noise):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, n_masks, max(2, n // 8), max(2, n // 8), generator=generator)
    smooth = nnf.interpolate(coarse, (n, n), mode="bicubic")[0]
    return 5 * smooth - 2 + noise * torch.randn(n_masks, n, n, generator=generator)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1000),
    grid=st.sampled_from([(64, 256), (16, 64), (16, 40)]),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    noise=st.sampled_from([0.0, 0.5, 5.0]),
)
def test_stability_and_boxes_are_those_of_all_pixels(seed, grid, shares, size, noise):
    (n, side), threshold = grid, 0.7 if seed % 2 else 0.0
    used = (max(1, int(shares[0] * side)), max(1, int(shares[1] * side)))
    logits = blots(5, n, seed, noise)
    logits[3], logits[4] = -9.0, 9.0
    full = FullResolution(n, side, used, size, CPU)
    rows, columns = full.needed
    measured = full.measure(logits[:, :rows, :columns], threshold=threshold)
    pixels = enlarged(logits, side, used, size)
    high, low = (pixels > threshold + 1).sum((1, 2)), (pixels > threshold - 1).sum((1, 2))
    # Rounding may move a pixel whose logit is the threshold itself, here one in ten thousand.
    slack = (1 + 1e-4 * pixels[0].numel()) / low.clamp(min=1)
    stability = calculate_stability_score(pixels, threshold, 1.0)
    assert torch.equal(stability.isnan(), measured.stability.isnan())
    assert ((stability - measured.stability).abs() <= slack)[~stability.isnan()].all()
    assert measured.stability[4] == 1
    assert (high <= low).all()
    assert (measured.boxes - batched_mask_to_box(pixels > threshold)).abs().max() <= 1
    assert measured.boxes[3].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [(256, 256), (171, 256), (300, 90)])
def test_a_mask_is_remade_from_the_logits_under_its_box(size):
    logits = blots(6, 64, 3, 0.2)
    full = FullResolution(64, 256, (256, 200), size, CPU)
    boxes = full.measure(logits[:, : full.needed[0], : full.needed[1]], threshold=0.0).boxes.tolist()
    for mask, pixels, (left, top, right, bottom) in zip(
        logits, enlarged(logits, 256, (256, 200), size), boxes, strict=True
    ):
        crop, row, column = full.crop(mask, (left, top, right, bottom))
        found = full.enlarge(crop, row, column, (left, top, right, bottom))
        torch.testing.assert_close(found, pixels[top : bottom + 1, left : right + 1], atol=1e-4, rtol=1e-4)
        assert crop.numel() <= mask.numel()


def test_padding_of_the_input_needs_no_logits():
    full = FullResolution(64, 256, (256, 100), (512, 200), CPU)
    # Pixel 99 of the input lies between logits 24 and 25.
    assert full.needed == (64, 26)


def test_areas_of_large_images_are_counted_to_the_pixel():
    logits = torch.full((1, 16, 16), 5.0)
    logits[0, 0, 0] = -5.0
    size = (4200, 4200)
    full = FullResolution(16, 64, (64, 64), size, CPU)
    pixels = enlarged(logits, 64, (64, 64), size)[0].numpy()
    expected = np.float32((pixels > 1).sum()) / np.float32((pixels > -1).sum())
    assert (pixels > 1).sum() > 2**24
    assert float(full.measure(logits, threshold=0.0).stability) == pytest.approx(expected, abs=2e-7)
