"""Slides of any size in a small file: a tiled JPEG pyramid TIFF in which equal tiles are stored once."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

TILE = 512
FACTOR = 4
MPP = 0.25
_BACKGROUND = (243, 242, 244)
_STAINS = ((222, 150, 190), (205, 128, 178), (190, 140, 200), (228, 172, 205))
_SHORT, _LONG, _RATIONAL = 3, 4, 5


def write_sparse_slide(path: Path, *, side: int, radius: int, pieces: Sequence[tuple[float, float]]) -> Path:
    """Write a square slide of 0.25 µm per pixel with round pieces of tissue on nothing.

    Parameters
    ----------
    path
        The TIFF: some MB, whatever ``side``.
    side
        Pixels of each side.
    radius
        Of a piece, in level-0 pixels.
    pieces
        Centres, as parts of ``side``.
    """
    textures = _textures()
    downsample, first_directory = 1, 0
    with path.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<I", 0))
        stored: dict[bytes, tuple[int, int]] = {}
        link = 4
        while True:
            size = -(-side // downsample)
            tiles = [
                _store(file, stored, cells, textures, downsample)
                for cells in _grid(side, downsample, radius, pieces)
            ]
            first_directory = _directory(file, size, tiles, downsample)
            end = file.tell()
            file.seek(link)
            file.write(struct.pack("<I", first_directory))
            link = end - 4
            file.seek(end)
            if size <= 2 * TILE:
                return path
            downsample *= FACTOR


def _textures() -> list[np.ndarray]:
    """Four tiles of tissue, each with nuclei on a stain of its own."""
    rng = np.random.default_rng(0)
    tiles = []
    for stain in _STAINS:
        tile = np.full((TILE, TILE, 3), stain, np.uint8)
        for x, y, size in zip(*rng.integers(0, TILE, (2, 250)), rng.integers(4, 9, 250), strict=True):
            cv2.circle(tile, (int(x), int(y)), int(size), (96, 60, 140), -1)
        tiles.append(np.clip(tile + rng.normal(0, 5, tile.shape), 0, 255).astype(np.uint8))
    return tiles


def _grid(side: int, downsample: int, radius: int, pieces: Sequence[tuple[float, float]]) -> Iterator[np.ndarray]:
    """Yield what each tile of a level shows: textures (d, d) of its level-0 tiles from 1 on, 0 for nothing."""
    count = -(-side // TILE)
    padded = -(-count // downsample) * downsample
    centres = (np.arange(padded) + 0.5) * TILE
    kind = np.zeros((padded, padded), dtype=np.uint8)
    for x, y in pieces:
        inside = (centres[None, :] - x * side) ** 2 + (centres[:, None] - y * side) ** 2 < radius**2
        angle = np.arctan2(centres[:, None] - y * side, centres[None, :] - x * side)
        kind[inside] = (np.floor((angle + np.pi) / (np.pi / 2)).astype(np.uint8) % 4 + 1)[inside]
    for row in range(0, padded, downsample):
        for column in range(0, padded, downsample):
            if row * TILE < side and column * TILE < side:
                yield kind[row : row + downsample, column : column + downsample]


def _store(
    file: BinaryIO,
    stored: dict[bytes, tuple[int, int]],
    cells: np.ndarray,
    textures: list[np.ndarray],
    downsample: int,
) -> tuple[int, int]:
    """Return offset and length of the tile, which is written where no equal one was."""
    key = struct.pack("<I", downsample if cells.any() else 0) + (cells.tobytes() if cells.any() else b"")
    if key not in stored:
        cell = max(1, TILE // downsample)
        shown = [np.full((cell, cell, 3), _BACKGROUND, np.uint8)]
        shown += [cv2.resize(texture, (cell, cell), interpolation=cv2.INTER_AREA) for texture in textures]
        image = np.concatenate([np.concatenate([shown[kind] for kind in row], axis=1) for row in cells], axis=0)
        image = cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        stored[key] = (file.tell(), len(data))
        file.write(data)
    return stored[key]


def _directory(file: BinaryIO, size: int, tiles: Sequence[tuple[int, int]], downsample: int) -> int:
    """Write one level's directory, ending with an empty link to the next; return where it lies."""
    per_centimetre = (round(1e4 / MPP * 1000 / downsample), 1000)
    tags: list[tuple[int, int, Sequence[int]]] = [
        (254, _LONG, [int(downsample > 1)]),
        (256, _LONG, [size]),
        (257, _LONG, [size]),
        (258, _SHORT, [8, 8, 8]),
        (259, _SHORT, [7]),  # JPEG
        (262, _SHORT, [6]),  # YCbCr
        (277, _SHORT, [3]),
        (282, _RATIONAL, per_centimetre),
        (283, _RATIONAL, per_centimetre),
        (284, _SHORT, [1]),
        (296, _SHORT, [3]),  # centimetres
        (322, _LONG, [TILE]),
        (323, _LONG, [TILE]),
        (324, _LONG, [offset for offset, _ in tiles]),
        (325, _LONG, [length for _, length in tiles]),
        (530, _SHORT, [2, 2]),
    ]
    entries = []
    for tag, kind, values in tags:
        data = struct.pack(f"<{len(values)}{'H' if kind == _SHORT else 'I'}", *values)
        if len(data) > 4:
            place = file.tell()
            file.write(data)
            data = struct.pack("<I", place)
        count = len(values) // 2 if kind == _RATIONAL else len(values)
        entries.append(struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0"))
    place = file.tell()
    file.write(struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0))
    return place
