"""The stage ``features``: every patch is read once, and goes through every encoder that lacks it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..bag import h5
from ..bag.partial import PartialFeatures, rows_at_hand
from ..devices import pick_device, reading_threads
from .slide_job import SlideJob

if TYPE_CHECKING:
    from ..features.encoder import Encoder
    from ..features.tile_stream import TileStream


@dataclass(frozen=True, slots=True)
class _Missing:
    """Features that a bag does not hold, and the key of the settings they are made with."""

    job: SlideJob
    key: str


def _missing(job: SlideJob) -> list[_Missing]:
    """List what the encoders still have to do; empty before the tiles are laid."""
    laid = h5.read_stages(job.bag)
    if "tiles" not in laid:
        return []
    found: list[_Missing] = []
    for one in job.of_every_encoder():
        key = job.tools.stage_key("features", "", laid, encoder=one.encoder)
        if h5.read_stages(one.bag).get("features") != key:
            found.append(_Missing(one, key))
    return found


def begin_reading(job: SlideJob) -> TileStream | None:
    """Read the first patches that have to be encoded, before the encoder asks; None where there are none.

    The caller closes the stream.
    """
    missing, grid = _missing(job), h5.read_grid(job.bag)
    if not missing or grid is None:
        return None
    start = min(rows_at_hand(one.job.bag, key=one.key) for one in missing)
    return _stream(job, start) if start < len(grid) else None


def _stream(job: SlideJob, start: int) -> TileStream:
    from ..features.tile_stream import TileStream

    settings = job.tools.settings.features
    threads = settings.readers or reading_threads(pick_device(job.tools.device))
    return TileStream(
        job.slide, job.grid(), start=start, batch=settings.batch_size, block=settings.block, threads=threads
    )


def encode_stage(job: SlideJob, key: str) -> None:
    """Encode the patches, block by block, by every encoder that lacks them, and store what this job's made.

    Goes on where an earlier run was killed. What the other encoders made waits beside their bags until it is their
    turn; then there is nothing left to read.
    """
    missing, settings = _missing(job), job.tools.settings.features
    encoders = [job.tools.encoder_named(one.job.encoder) for one in missing]
    parts = [
        PartialFeatures(one.job.bag, key=one.key, width=encoder.dim, dtype=settings.dtype)
        for one, encoder in zip(missing, encoders, strict=True)
    ]
    _encode(job, encoders, parts)
    own = [one.job.side for one in missing].index(job.side)
    encoder = encoders[own]
    attributes = {
        "encoder": encoder.name,
        "encoder_version": encoder.version,
        "weights_sha256": encoder.weights_sha256,
        "preprocessing": encoder.preprocessing,
    }
    with h5.edit_bag(job.bag) as file:
        h5.put_features(file, parts[own].read(), attributes)
        h5.mark_stage(file, "features", key)
    parts[own].discard()


def _encode(job: SlideJob, encoders: list[Encoder], parts: list[PartialFeatures]) -> None:
    from ..features.encode import encode_tiles

    settings, starts = job.tools.settings.features, [part.rows for part in parts]
    tiles = job.tiles
    if tiles is None or tiles.start != min(starts):
        tiles = _stream(job, min(starts))
    with closing(tiles):
        for _, blocks in encode_tiles(tiles, encoders, settings=settings, starts=starts, progress=job.progress):
            for part, block in zip(parts, blocks, strict=True):
                if len(block):
                    part.append(block)
