"""What was found in one tile, and the folder in which the tiles of a slide wait for each other."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...files import atomic_write
from ..packed import PackedMasks
from ..segments import Segments
from .layout import Tile, TileLayout


@dataclass(frozen=True, slots=True)
class Pieces:
    """The masks of one tile, packed; boxes (K, 4) are x, y, width, height on the raster of the slide."""

    tile: Tile
    boxes_raster: npt.NDArray[np.int32]
    masks: PackedMasks
    area: npt.NDArray[np.int64]
    predicted_iou: npt.NDArray[np.float32]
    stability: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.masks)


def pieces_of(segments: Segments, tile: Tile, layout: TileLayout) -> Pieces:
    """Return the segments of a tile on the raster of the slide, without those that a neighbour sees whole.

    A mask that touches an inner edge of the tile and lies within the strip that is shared there is cut off by the
    edge; the neighbour has all of it.
    """
    x, y, width, height = segments.boxes_raster.T.astype(np.int64)
    side, shared, here = layout.side, layout.overlap, set(layout.tiles)
    cut_off = np.zeros(len(segments), dtype=bool)
    for rows, columns, edge in (
        (0, -1, (x == 0) & (x + width <= shared)),
        (0, 1, (x + width == side) & (x >= side - shared)),
        (-1, 0, (y == 0) & (y + height <= shared)),
        (1, 0, (y + height == side) & (y >= side - shared)),
    ):
        if Tile(tile.row + rows, tile.column + columns) in here:
            cut_off |= edge
    chosen = np.flatnonzero(~cut_off)
    corner = np.array([*layout.corner(tile), 0, 0], dtype=np.int32)
    return Pieces(
        tile=tile,
        boxes_raster=segments.boxes_raster[chosen] + corner,
        masks=PackedMasks.of(segments.crops[number] for number in chosen.tolist()),
        area=segments.area[chosen],
        predicted_iou=segments.predicted_iou[chosen],
        stability=segments.stability[chosen],
    )


class PiecesFolder:
    """The tiles that are done, one file each, so that a run that was stopped goes on.

    Parameters
    ----------
    folder
        Made if it does not exist; what lies there of another key is removed.
    key
        Of everything that the masks of a tile depend on.
    """

    def __init__(self, folder: Path, *, key: str):
        self._folder = folder
        mark = folder / "key.json"
        known = json.loads(mark.read_text(encoding="utf-8")) if mark.is_file() else None
        if known != key:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            atomic_write(mark, json.dumps(key))

    def _path(self, tile: Tile) -> Path:
        return self._folder / f"{tile.name}.npz"

    def has(self, tile: Tile) -> bool:
        """Whether a tile is done."""
        return self._path(tile).is_file()

    def write(self, pieces: Pieces) -> None:
        """Keep what was found in a tile; the file appears whole or not at all."""
        packed = [pieces.masks.packed(number) for number in range(len(pieces))]
        buffer = io.BytesIO()
        np.savez(
            buffer,
            boxes=pieces.boxes_raster,
            area=pieces.area,
            predicted_iou=pieces.predicted_iou,
            stability=pieces.stability,
            sizes=np.array([len(one) for one in packed], dtype=np.int64),
            packed=np.frombuffer(b"".join(packed), dtype=np.uint8),
        )
        atomic_write(self._path(pieces.tile), buffer.getvalue())

    def read(self, tile: Tile) -> Pieces:
        """Return what was found in a tile that is done."""
        with np.load(self._path(tile), allow_pickle=False) as file:
            boxes, data = file["boxes"], file["packed"].tobytes()
            ends = np.cumsum(file["sizes"]).tolist()
            packed = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
            return Pieces(
                tile=tile,
                boxes_raster=boxes,
                masks=PackedMasks([(int(h), int(w)) for _, _, w, h in boxes], packed),
                area=file["area"],
                predicted_iou=file["predicted_iou"],
                stability=file["stability"],
            )


def remove_pieces(folder: Path) -> None:
    """Remove the folder of the tiles of a slide, if there is one."""
    shutil.rmtree(folder, ignore_errors=True)
