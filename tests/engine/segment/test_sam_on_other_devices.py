"""What SAM does on a GPU and on Apple's devices, on stand-ins that every machine has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from sam_mil_engine.errors import SegmentError
from sam_mil_engine.segment import automatic, batches
from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.segment.batches import Batches, NoRoomError
from sam_mil_engine.segment.cores import Cores
from sam_mil_engine.segment.fast_decoder import build_decoder
from sam_mil_engine.segment.fast_encoder import build_encoder
from sam_mil_engine.segment.sam2.model import Sam2
from sam_mil_engine.segment.tissue_sam.model import load_tissue_sam
from sam_mil_engine.settings import SegmentSettings
from small_sam2 import build_model
from stand_in_devices import WithoutFloat64, as_mps, take_the_way_of_a_gpu
from whole_sams import build_whole_sam


@pytest.fixture(scope="module")
def sam():
    return build_whole_sam(side=128, width=16, channels=64, depth=3, mlp=64)


def segmenter(sam, **settings):
    values = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "crop_n_layers": 1}
    return AutomaticSegmenter(sam, name="s", version="1", settings=SegmentSettings(**values | settings))


def assert_same(found, expected):
    assert len(found) == len(expected) >= 5
    np.testing.assert_array_equal(found.boxes_raster, expected.boxes_raster)
    np.testing.assert_allclose(found.predicted_iou, expected.predicted_iou, atol=1e-4)
    for number in range(len(found)):
        assert np.mean(found.mask(number) != expected.mask(number)) < 1e-3


def test_the_way_of_a_gpu_gives_the_masks_of_a_processor(sam, tissue_image, monkeypatch):
    expected = segmenter(sam).segment(tissue_image)
    take_the_way_of_a_gpu(monkeypatch)
    assert_same(segmenter(sam).segment(tissue_image), expected)


def test_several_images_at_once_give_what_each_gives_alone(sam, tissue_image, monkeypatch):
    flipped = replace(tissue_image, rgb=np.ascontiguousarray(tissue_image.rgb[::-1]))
    none = replace(tissue_image, tissue=np.zeros_like(tissue_image.tissue))
    images = [tissue_image, none, flipped]
    expected = [segmenter(sam).segment(image) for image in images]
    take_the_way_of_a_gpu(monkeypatch)
    seen = []
    encoder = segmenter(sam)
    encode = encoder._encoder
    encoder._encoder = lambda pixels, *rest: seen.append(len(pixels)) or encode(pixels, *rest)
    found = encoder.segment_many(images)
    assert seen == [4, 4, 2], "the image and its four crops, of two images, four at a time"
    assert len(found[1]) == 0
    assert_same(found[0], expected[0])
    assert_same(found[2], expected[2])


def test_a_batch_that_does_not_fit_is_halved_for_good(monkeypatch):
    asked, freed = [], []
    monkeypatch.setattr(batches, "free_cache", freed.append)

    def run(items):
        asked.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return sum(items)

    work = Batches(8, unit="points", device=torch.device("cuda"))
    assert list(work.over(run, range(5))) == [1, 5, 4]
    assert list(work.over(run, range(4))) == [1, 5]
    assert asked == [5, 4 // 2, 2, 1, 2, 2]
    assert freed == [torch.device("cuda")]


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def run(_items):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        list(Batches(8, unit="points", device=torch.device("cpu")).over(run, range(5)))


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("no room"), RuntimeError("MPS backend out of memory (MPS allocated: 18.13 GB)")],
    ids=["cuda", "mps"],
)
def test_one_point_that_does_not_fit_on_a_gpu_continues_on_the_cpu_with_a_warning(
    sam, tissue_image, monkeypatch, error
):
    expected = segmenter(sam).segment(tissue_image)
    device = {"gpu": True}
    monkeypatch.setattr(automatic, "on_processor", lambda _device: not device["gpu"])
    found = segmenter(sam)
    decode = found._decoder.on

    def on(embedding):
        def fail(*_points, **_options):
            raise error

        return fail if device["gpu"] else decode(embedding)

    def to(*_place):
        device["gpu"] = False
        return sam

    monkeypatch.setattr(found._decoder, "on", on)
    monkeypatch.setattr(sam, "to", to)
    with pytest.warns(UserWarning, match=r"one of the points does not fit on cpu.*continuing on the CPU"):
        masks = found.segment(tissue_image)
    assert_same(masks, expected)


def test_no_room_on_the_cpu_is_an_error_that_says_what_to_do(sam, tissue_image, monkeypatch):
    found = segmenter(sam)

    def masks(*_given):
        raise NoRoomError("crops")

    monkeypatch.setattr(found, "_masks", masks)
    with pytest.raises(SegmentError, match=r"even with one of the crops at a time.*Use a smaller SAM"):
        found.segment(tissue_image)


def test_without_float64_sam_gives_the_same_masks(sam, tissue_image, monkeypatch):
    expected = segmenter(sam).segment(tissue_image)
    with WithoutFloat64(), pytest.raises(TypeError, match="float64"):
        segmenter(sam).segment(tissue_image)
    as_mps(monkeypatch)
    with WithoutFloat64():
        found = segmenter(sam).segment(tissue_image)
    assert_same(found, expected)
    np.testing.assert_array_equal(found.stability, expected.stability)


def test_bfloat16_on_the_way_of_a_gpu(sam, tissue_image, monkeypatch):
    take_the_way_of_a_gpu(monkeypatch)
    exact, close = (segmenter(sam, precision=name).segment(tissue_image) for name in ("float32", "bfloat16"))
    assert 0.5 * len(exact) <= len(close) <= 2 * len(exact)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_encoder_and_decoder_keep_every_array_on_a_cuda_device(dtype):
    """Fake arrays have shape, dtype and device: an array that stayed behind is an error, without a GPU."""
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        with torch.device("cuda"):
            sam = build_fake_sam()
        encoder, decoder = build_encoder(sam, dtype=dtype), build_decoder(sam, dtype=dtype)
        embedding = encoder(torch.zeros(2, 3, 128, 128, device="cuda"), Cores(sam.device), lambda: None)
        assert (embedding.device.type, tuple(embedding.shape)) == ("cuda", (2, 64, 8, 8))
        image = decoder.on(embedding[0]).keywords["image"]
        tokens, pixels = decoder._two_way(torch.zeros(5, 7, 64, device="cuda"), image)
        assert (tokens.device.type, tuple(tokens.shape)) == ("cuda", (5, 4, 64))
        assert (pixels.device.type, tuple(pixels.shape), pixels.dtype) == ("cuda", (5, 64, 64), dtype)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["whole", "tissue-sam", "sam2"])
def test_a_real_gpu_gives_the_masks_of_the_cpu(name, precision, sam, tissue_image):
    model = {"whole": lambda: sam, "tissue-sam": load_tissue_sam, "sam2": lambda: Sam2(build_model())}[name]()
    expected = segmenter(model.cpu()).segment(tissue_image)
    found = segmenter(model.cuda(), precision=precision).segment_many([tissue_image, tissue_image])[1]
    model.cpu()
    share = 0.05 if precision == "float32" else 0.5
    assert abs(len(found) - len(expected)) <= max(2, share * len(expected))


def build_fake_sam():
    """The shapes of :func:`build_whole_sam`, whose preparation of weights needs real ones."""
    import whole_sams

    prepare = whole_sams.make_masks_vary
    whole_sams.make_masks_vary = lambda _sam: None
    try:
        return build_whole_sam(side=128, width=16, channels=64, depth=3, mlp=64)
    finally:
        whole_sams.make_masks_vary = prepare
