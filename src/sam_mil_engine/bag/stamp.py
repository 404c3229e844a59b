"""STAMP's feature files (El Nahhas et al. 2024), in.

``coords`` (N, 2) are micrometres, ``feats`` (N, D) float16; attributes of the file: ``unit`` = "um",
``tile_size_um`` (since 2.1; ``tile_size`` before), ``tile_size_px``, ``extractor``, ``stamp_version``. Files from
before version 2 have no unit: their coordinates count 224 to a tile of 256 µm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BagError
from ..geometry import um_to_px0
from .foreign import ForeignBag, Known, PatchFacts, SlideFiles, make_bag, without_batch_axis
from .hdf5_checks import open_checked

_OLD_TILE_PX, _OLD_TILE_UM = 224, 256.0


def find(folder: Path, *, patches: Path | None = None) -> list[SlideFiles]:
    """List the feature files in ``folder`` and the folders in it, which mirror those of the slides."""
    found = [folder] if folder.is_file() else sorted(folder.rglob("*.h5"))
    return [SlideFiles(path.stem, path) for path in found if not path.name.startswith(".")]


def read(files: SlideFiles, known: Known) -> ForeignBag:
    """Read one slide; its resolution must be known, because STAMP keeps positions in micrometres only.

    Raises
    ------
    BagError
        If the file is damaged, holds no tiles, or the resolution is not known.
    """
    path = files.features
    with open_checked(path) as file:
        absent = [name for name in ("feats", "coords") if name not in file]
        if absent or file.attrs.get("feat_type", "tile") != "tile":
            raise BagError(
                f"there is no /{absent[0]} in it" if absent else "it holds slide features, not patch features",
                where=path,
                hint="Name the folder that `stamp preprocess` wrote",
                window_hint="Choose the folder that the preprocessing of STAMP wrote",
            )
        coords, features = (without_batch_axis(file[name][:]) for name in ("coords", "feats"))
        attributes = dict(file.attrs)
    coords_um, tile_um, tile_px = _in_um(coords, attributes, path)
    if known.mpp is None:
        raise BagError(
            "its coordinates are in micrometres, and the resolution of the slide is not known",
            where=path,
            hint="Give the slides with --slides, or their resolution with --source-mpp",
            window_hint="Import the features together with their slides",
        )
    facts = PatchFacts(size_px0=tile_um / float(np.mean(known.mpp)), output_size=tile_px)
    attrs = {"encoder": attributes.get("extractor")}
    return make_bag(files, np.round(um_to_px0(coords_um, known.mpp)), features, facts, known, attrs=attrs)


def _in_um(
    coords: npt.NDArray[Any], attributes: dict[str, Any], path: Path
) -> tuple[npt.NDArray[Any], float, int | None]:
    """Coordinates in µm, side of a tile in µm, and in pixels where the file says it."""
    pixels = attributes.get("tile_size_px")
    tile_px = None if pixels is None else int(pixels)
    if attributes.get("tile_size_um"):
        return coords, float(attributes["tile_size_um"]), tile_px
    if attributes.get("tile_size") and attributes.get("unit") == "um":
        return coords, float(attributes["tile_size"]), tile_px
    steps = np.concatenate([np.diff(np.unique(axis)) for axis in coords.T]) if coords.ndim == 2 else np.zeros(0)
    if round(float(attributes.get("tile_size", steps.min() if len(steps) else 0))) == _OLD_TILE_PX:
        return coords / _OLD_TILE_PX * _OLD_TILE_UM, _OLD_TILE_UM, _OLD_TILE_PX
    raise BagError(
        "the unit of its coordinates is not stated", where=path, hint="Extract the features with STAMP 2 or later"
    )
