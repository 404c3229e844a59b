"""Batches on their way: several encoders, encoders that work on their own, full memory, exact resolution."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from sam_mil_engine.bag import h5
from sam_mil_engine.devices import reading_threads
from sam_mil_engine.errors import EncoderError, SettingsError
from sam_mil_engine.features.encode import encode_patches
from sam_mil_engine.features.loading import load_encoder
from sam_mil_engine.features.patch_stream import BATCHES_AHEAD, PatchStream
from sam_mil_engine.features.torch_encoder import TorchEncoder
from sam_mil_engine.process.job import Tools
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.settings import FeatureSettings, ProcessSettings, TileSettings
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.tile_grid import TileGrid
from sam_mil_engine.slide.tiling import make_tile_grid, read_patch
from sam_mil_engine.slide.tissue_regions import TissueRegions
from tiny_slides import write_tiny_slide

SIDE = 8


class NumberedSlide:
    """Tile number n is filled with n."""

    def read_region(self, location_px0, level, size):
        return np.full((size[1], size[0], 3), location_px0[0] // SIDE, dtype=np.uint8)


class Numbers:
    """The feature of a patch is its number, times a factor."""

    version, weights_sha256, preprocessing = "1", "", "none"

    def __init__(self, name, dim=1):
        self.name, self.dim, self.seen = name, dim, []

    def encode(self, batch):
        self.seen += batch[:, 0, 0, 0].tolist()
        return np.repeat(batch[:, 0, 0, :1].astype(np.float32), self.dim, axis=1)


class Early(Numbers):
    """Works on its own: notes when batches were handed over and when they were asked for."""

    asynchronous = True

    def __init__(self):
        super().__init__("early")
        self.events = []

    def start(self, batch):
        first, features = int(batch[0, 0, 0, 0]), super().encode(batch)
        self.events.append(("start", first))

        def wait():
            self.events.append(("wait", first))
            return features

        return wait


def grid(count):
    coords = np.stack([np.arange(count) * SIDE, np.zeros(count)], axis=1).astype(np.int32)
    return TileGrid(coords, (SIDE, SIDE), 0, (SIDE, SIDE), SIDE, (SIDE, SIDE))


def blocks_of(count, encoders, *, batch=4, block=8, starts=None):
    starts = starts or [0] * len(encoders)
    stream = PatchStream(NumberedSlide(), grid(count), start=min(starts), batch=batch, block=block, threads=2)
    settings = FeatureSettings(batch_size=batch, block=block)
    try:
        return list(encode_patches(stream, encoders, settings=settings, starts=starts))
    finally:
        stream.close()


def test_a_stream_reads_ahead_before_anybody_asks_and_no_further():
    stream = PatchStream(NumberedSlide(), grid(100), batch=4, block=8, threads=2)
    assert len(stream._waiting) == BATCHES_AHEAD
    for _, batch, tiles in stream._waiting:
        for tile in tiles:
            tile.result()
        assert batch[0, 0, 0, 0] in (0, 4)
    first, batch = next(stream)
    assert (first, batch[:, 0, 0, 0].tolist()) == (0, [0, 1, 2, 3])
    assert len(stream._waiting) == BATCHES_AHEAD
    stream.close()
    stream.close()


def test_every_encoder_gets_what_it_lacks():
    one, two = Numbers("one"), Numbers("two", dim=3)
    blocks = blocks_of(22, [one, two], starts=[8, 16])
    assert [first for first, _ in blocks] == [8, 16]
    ones, twos = (np.concatenate([parts[number] for _, parts in blocks]) for number in (0, 1))
    assert ones[:, 0].tolist() == one.seen == list(range(8, 22))
    assert twos[:, 0].tolist() == two.seen == list(range(16, 22))
    assert twos.shape == (6, 3)


def test_a_start_within_a_batch():
    one, two = Numbers("one"), Numbers("two")
    blocks = blocks_of(10, [one, two], batch=4, block=8, starts=[0, 3])
    assert np.concatenate([parts[1] for _, parts in blocks])[:, 0].tolist() == list(range(3, 10))


def test_the_next_batch_is_handed_over_before_the_last_one_is_asked_for():
    early = Early()
    blocks = blocks_of(22, [early], batch=4, block=8)
    assert [first for first, _ in blocks] == [0, 8, 16]
    assert np.concatenate([part for _, (part,) in blocks])[:, 0].tolist() == list(range(22))
    order = ["start", "start", "wait", "start", "wait", "start", "wait", "start", "wait", "start", "wait", "wait"]
    assert [what for what, _ in early.events] == order
    assert [first for what, first in early.events if what == "wait"] == [0, 4, 8, 12, 16, 20]


class Mean(nn.Module):
    """(B, 3, S, S) -> (B, 3), the mean colour; a stated number of patches fits into memory."""

    def __init__(self, fits):
        super().__init__()
        self.fits, self.sizes = fits, []

    def forward(self, pixels):
        self.sizes.append(len(pixels))
        if len(pixels) > self.fits:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return pixels.mean(dim=(2, 3))


def around(model, **options):
    values = {"name": "mean", "version": "1", "weights_sha256": "", "dim": 3, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    return TorchEncoder(model, **values | options, device="cpu")


def test_out_of_memory_halves_the_batch_for_the_rest_of_the_slide():
    model = Mean(fits=3)
    blocks = blocks_of(40, [around(model)], batch=16, block=16)
    features = np.concatenate([part for _, (part,) in blocks])
    np.testing.assert_allclose(features[:, 0] * 255, np.arange(40), atol=1e-4)
    # 16, 8 and 4 fail once; from then on it is 2, in every batch that follows
    assert model.sizes == [16, 8, 4] + [2] * 20


def test_one_patch_that_does_not_fit_is_an_error_with_the_numbers():
    with pytest.raises(EncoderError, match=r"mean: one patch of 8 x 8 px does not fit into memory.*smaller"):
        blocks_of(4, [around(Mean(fits=0))])


def test_half_precision_is_asked_for_and_told():
    layer = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))
    full = around(layer, dim=5)
    half = around(layer, dim=5, precision="bfloat16")
    patches = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    one, other = full.encode(patches), half.encode(patches)
    assert one.dtype == other.dtype == np.float32
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one, other, rtol=0.05, atol=0.02)
    assert (full.version, half.version) == ("1", "1 bfloat16")
    with pytest.raises(EncoderError, match=r"float64.*Choose one of float32"):
        around(layer, precision="float64")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_batches_in_flight_on_cuda_give_the_features_of_the_cpu(precision):
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8) for _ in range(5)]
    there, here = load_encoder(device="cuda", precision=precision), load_encoder(device="cpu")
    assert there.asynchronous
    promises = [there.start(batch) for batch in batches]
    tolerance = 1e-2 if precision == "float32" else 0.2
    for batch, promise in zip(batches, promises, strict=True):
        np.testing.assert_allclose(promise(), here.encode(batch), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("mpp", [0.5, 0.7, 1.0, 1.37, 2.4])
def test_a_patch_at_an_mpp_covers_what_it_should(tmp_path: Path, mpp: float):
    """On a ramp, every pixel of a patch tells where it was taken from."""
    own, side, size = 0.5, 64, 1024
    ramp = np.linspace(0, 255, size)
    image = np.stack(
        [np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)), np.full((size, size), 128)], axis=2
    )
    path = tmp_path / "ramp.tiff"
    with tifffile.TiffWriter(path) as file:
        for factor in (1, 2):
            level = cv2.resize(image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
            options = {"tile": (128, 128), "photometric": "rgb", "subfiletype": int(factor > 1)}
            resolution = {"resolution": (20000 / factor, 20000 / factor), "resolutionunit": 3}
            file.write(np.rint(level).astype(np.uint8), **options, **resolution)
    everything = TissueRegions((((np.array([[0, 0], [size, 0], [size, size], [0, size]], float)), ()),), np.ones(1))
    with open_slide(path) as slide:
        tiles = make_tile_grid(slide.info, everything, TileSettings(patch_size=side, mpp=mpp))
        assert tiles.size_px0 == pytest.approx((side * mpp / own,) * 2)
        assert tiles.mpp == mpp
        inside = np.flatnonzero((tiles.coords_px0 + tiles.size_px0 <= size).all(axis=1))
        down = slide.info.level_downsamples[tiles.read_level][0]
        assert down <= mpp / own * 1.01
        for number in inside[[0, len(inside) // 2, -1]]:
            patch = read_patch(slide, tiles, int(number)).astype(float)
            assert patch.shape == (side, side, 3)
            centres = (np.arange(side) + 0.5) * mpp / own
            for axis, colour in ((0, patch[..., 0].mean(axis=0)), (1, patch[..., 1].mean(axis=1))):
                expected = tiles.coords_px0[number, axis] + centres - 0.5
                # half a grey step of the ramp, and the rounding of position and size to pixels of the level
                allowed = 0.5 * size / 255 + down
                np.testing.assert_allclose(colour / 255 * (size - 1), expected, atol=allowed)


def test_float16_on_disk_is_the_rounded_float32(tmp_path: Path):
    slide = write_tiny_slide(tmp_path / "tiny.tiff", size=(192, 192))
    found = {}
    for dtype in ("float32", "float16"):
        settings = ProcessSettings(tiles=TileSettings(patch_size=64), features=FeatureSettings(dtype=dtype))
        stages = ("tissue", "tiles", "features")
        done = process_slide(slide, tmp_path / dtype, tools=Tools(settings, device="cpu"), stages=stages)
        found[dtype] = h5.read_bag(done.bag_path).features
    assert found["float16"].dtype == np.float16
    np.testing.assert_array_equal(found["float32"].astype(np.float16), found["float16"])


def test_threads_that_feed_a_device():
    assert reading_threads(torch.device("cpu")) == 2
    assert 2 <= reading_threads(torch.device("cuda")) <= 16


def test_several_devices_in_one_name_are_told_how_to_work_together():
    with pytest.raises(SettingsError, match="scheduler local"):
        load_encoder(device="cuda:0,cuda:1")
