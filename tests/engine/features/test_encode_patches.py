from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.errors import Cancelled, EncoderError, SlideError
from sam_mil_engine.features.encode import encode_patches
from sam_mil_engine.features.patch_stream import PatchStream
from sam_mil_engine.settings import FeatureSettings
from sam_mil_engine.slide.tile_grid import TileGrid


class FakeSlide:
    """Tile number n is filled with n; one of them may be unreadable."""

    path = Path("fake.svs")

    def __init__(self, broken=None):
        self.broken, self.reads, self.lock = broken, [], threading.Lock()

    def read_region(self, location_px0, level, size):
        number = location_px0[0] // 8
        with self.lock:
            self.reads.append(number)
        if number == self.broken:
            raise SlideError("the tile is damaged", where="fake.svs")
        return np.full((size[1], size[0], 3), number % 256, dtype=np.uint8)


class FakeEncoder:
    """The feature of a patch is its colour, times a factor."""

    name, version, weights_sha256, dim, preprocessing = "fake", "1", "", 2, "none"

    def __init__(self, factor=1.0, watch=lambda: None):
        self.factor, self.watch, self.batches = factor, watch, []

    def encode(self, batch):
        self.watch()
        self.batches.append(len(batch))
        return batch[:, 0, 0, :2].astype(np.float32) * np.float32(self.factor)


def grid(count):
    coords = np.stack([np.arange(count) * 8, np.zeros(count)], axis=1).astype(np.int32)
    return TileGrid(coords, (8.0, 8.0), 0, (8, 8), 8, (8.0, 8.0))


def encode(slide, tiles, encoder, *, settings, start=0, progress=lambda report: None):
    """One encoder: (number of the first patch, block) after block."""
    options = {"batch": settings.batch_size, "block": settings.block, "threads": settings.readers or 2}
    with closing(PatchStream(slide, tiles, start=start, **options)) as stream:
        for first, (block,) in encode_patches(stream, [encoder], settings=settings, progress=progress):
            yield first, block


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("tiles")]


@settings(max_examples=60)
@given(
    count=st.integers(0, 40),
    start=st.integers(0, 45),
    batch=st.integers(1, 9),
    block=st.integers(1, 17),
    readers=st.integers(1, 4),
)
def test_every_patch_comes_once_and_in_order(count, start, batch, block, readers):
    options = FeatureSettings(batch_size=batch, block=block, readers=readers)
    slide, encoder = FakeSlide(), FakeEncoder()
    blocks = list(encode(slide, grid(count), encoder, settings=options, start=start))
    rows = [first for first, _ in blocks]
    assert rows == list(range(start, count, block))
    assert all(len(features) <= block and features.dtype == np.float32 for _, features in blocks)
    values = np.concatenate([features[:, 0] for _, features in blocks]) if blocks else np.zeros(0)
    assert values.tolist() == list(range(start, count))
    assert sorted(slide.reads) == list(range(start, count))
    assert max(encoder.batches, default=0) <= min(batch, block)
    assert not reading_threads()


def test_progress_starts_where_the_last_run_stopped():
    reports = []
    options = FeatureSettings(batch_size=4, block=8)
    list(encode(FakeSlide(), grid(20), FakeEncoder(), settings=options, start=8, progress=reports.append))
    assert [report.done for report in reports] == [8, 12, 16, 20]
    assert {(report.stage, report.unit, report.total) for report in reports} == {("features", "tiles", 20)}


def test_float16_on_disk():
    options = FeatureSettings(dtype="float16")
    ((_, features),) = encode(FakeSlide(), grid(5), FakeEncoder(), settings=options)
    assert features.dtype == np.float16


def test_a_number_too_large_for_float16_names_the_patch():
    options = FeatureSettings(dtype="float16", batch_size=2)
    with pytest.raises(EncoderError, match=r"patch 7 .*too large for float16.*float32"):
        list(encode(FakeSlide(), grid(20), FakeEncoder(factor=1e4), settings=options))
    assert not reading_threads()


def test_a_number_that_is_none_is_an_error():
    with pytest.raises(EncoderError, match="patch 0 is not finite"):
        list(encode(FakeSlide(), grid(3), FakeEncoder(factor=np.nan), settings=FeatureSettings()))


def test_a_damaged_tile_comes_after_the_blocks_before_it():
    blocks = encode(FakeSlide(broken=5), grid(20), FakeEncoder(), settings=FeatureSettings(batch_size=2, block=4))
    assert next(blocks)[0] == 0
    with pytest.raises(SlideError, match="damaged"):
        next(blocks)
    assert not reading_threads()


def test_cancelling_ends_the_threads():
    def stop(report):
        if report.done:
            raise Cancelled("stop")

    slide = FakeSlide()
    blocks = encode(slide, grid(5000), FakeEncoder(), settings=FeatureSettings(batch_size=4), progress=stop)
    with pytest.raises(Cancelled):
        next(blocks)
    assert not reading_threads()
    assert len(slide.reads) <= 3 * 4


def test_closing_ends_the_threads_and_reading_stays_two_batches_ahead():
    slide = FakeSlide()
    options = FeatureSettings(batch_size=4, block=4)
    blocks = encode(slide, grid(5000), FakeEncoder(), settings=options)
    next(blocks)
    blocks.close()
    assert not reading_threads()
    assert 4 <= len(slide.reads) <= 3 * 4


def test_tiles_are_read_while_the_encoder_works():
    slide = FakeSlide()
    seen = []
    read_on = threading.Event()

    def watch():
        # The second batch is read although the encoder holds the first: wait for that, not for a time.
        for _ in range(200):
            if len(slide.reads) > 4:
                break
            read_on.wait(0.01)
        seen.append(len(slide.reads))

    list(encode(slide, grid(8), FakeEncoder(watch=watch), settings=FeatureSettings(batch_size=4)))
    assert seen[0] > 4


def test_a_real_slide(cmu_slide):
    from sam_mil_engine.features.loading import load_encoder
    from sam_mil_engine.slide.reader import open_slide
    from sam_mil_engine.slide.tiling import read_patch

    slide = open_slide(cmu_slide)
    coords = np.array([(512, 512), (1024, 1024), (1024, 1536)], dtype=np.int32)
    tiles = TileGrid(coords, (512.0, 512.0), 0, (512, 512), 128, (512.0, 512.0), 1.996)
    encoder = load_encoder(device="cpu")
    ((first, features),) = encode(slide, tiles, encoder, settings=FeatureSettings())
    assert (first, features.shape) == (0, (3, 1280))
    alone = encoder.encode(np.stack([read_patch(slide, tiles, 2)]))
    np.testing.assert_allclose(features[2:], alone, rtol=1e-3, atol=1e-4)
    assert not np.allclose(features[0], features[2], atol=0.1)
