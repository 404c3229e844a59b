"""Segment a slide tile by tile, on all cores, going on where an earlier run was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

from ...devices import cpu_count
from ...progress import Progress, ProgressCallback, silent
from ...slide.slide import Slide
from ...slide.tissue_regions import TissueRegions
from ..parts import OF_SUPERPIXELS
from ..segmenter import Segmenter
from ..segments import Segments
from .joining import join_pieces
from .layout import Tile, TileLayout
from .pieces import Pieces, PiecesFolder, pieces_of

#: Tiles at once: each takes about 150 MB while superpixels are found.
MOST_AT_ONCE = 4


def segment_tiles(
    slide: Slide,
    tissue: TissueRegions,
    layout: TileLayout,
    segmenter: Segmenter,
    *,
    folder: Path,
    key: str,
    workers: int | None = None,
    progress: ProgressCallback = silent,
) -> Segments:
    """Segment each tile on its own, and join what belongs together over the borders of tiles.

    Memory does not grow with the slide beyond the packed masks: pixels are held of the tiles that are at work.

    Parameters
    ----------
    layout
        Of :func:`~sam_mil_engine.segment.tiled.layout.lay_tiles`.
    folder, key
        Where finished tiles wait, and what they depend on; the caller removes the folder when the segments are
        stored.
    workers
        Tiles at once; None takes all cores for segmenters of superpixels, and one for others, which use the cores
        or the GPU themselves. The result does not depend on it.
    progress
        Called after every tile by this thread; raising in it stops the run, and finished tiles stay.
    """
    kept = PiecesFolder(folder, key=key)
    tiles = [tile for tile in layout.tiles if not kept.has(tile)]
    if workers is None:
        workers = min(MOST_AT_ONCE, cpu_count()) if segmenter.name in OF_SUPERPIXELS else 1

    def run(tile: Tile) -> Pieces:
        return pieces_of(segmenter.segment(layout.image(slide, tissue, tile)), tile, layout)

    total = len(layout.tiles)
    done = total - len(tiles)
    progress(Progress("segments", done, total, unit="tiles"))
    for pieces in _finished(run, tiles, workers):
        kept.write(pieces)
        done += 1
        progress(Progress("segments", done, total, unit="tiles"))
    return join_pieces([kept.read(tile) for tile in layout.tiles], layout)


def _finished(run: Callable[[Tile], Pieces], tiles: Iterable[Tile], workers: int) -> Iterator[Pieces]:
    """Yield what ``run`` makes of each tile, in the order in which they end, ``workers`` at a time."""
    if workers == 1:
        yield from map(run, tiles)
        return
    rest = iter(tiles)
    with ThreadPoolExecutor(workers, "tiles") as pool:
        waiting = {pool.submit(run, tile) for tile in islice(rest, workers)}
        try:
            while waiting:
                ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                waiting |= {pool.submit(run, tile) for tile in islice(rest, len(ended))}
                for future in ended:
                    yield future.result()
        finally:
            for future in waiting:
                future.cancel()
