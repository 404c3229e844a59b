"""Facts that other tools' files hold about a slide, for import into a native bag."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BagError
from ..segment.segments import Segments
from ..slide.tile_grid import TileGrid
from ..tables.cells import nfc
from .feature_bag import FeatureBag, FloatFeatures

#: Sides between which a patch is one, in level-0 pixels.
_SMALLEST_PX0, _LARGEST_PX0 = 1.0, 2.0**20


@dataclass(frozen=True, slots=True)
class SlideFiles:
    """The files of one slide in another tool's folder.

    Attributes
    ----------
    slide_id
        Name of the slide: the file's, without extension, in one Unicode form.
    features
        HDF5 or ``.pt`` file with the patch features.
    patches
        HDF5 file with the patch coordinates and what is known of the patches, or None.
    segments
        SAM-MIL's ``Segments/SLIDE.pkl``, or None.
    members
        SAM-MIL's ``seg_files/SLIDE.h5``: the patches of every group, or None.
    sam_info
        SAM-MIL's ``sam_info/SLIDE.h5``, or None.
    """

    slide_id: str
    features: Path
    patches: Path | None = None
    segments: Path | None = None
    members: Path | None = None
    sam_info: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "slide_id", nfc(self.slide_id))

    @property
    def all(self) -> list[Path]:
        """Every file that there is."""
        files = (self.features, self.patches, self.segments, self.members, self.sam_info)
        return [path for path in files if path is not None]


@dataclass(frozen=True, slots=True)
class Known:
    """Facts that the user knows and the files may not hold; None: not known.

    Attributes
    ----------
    patch_size_px0
        Side of a patch in level-0 pixels.
    mpp
        Micrometres per level-0 pixel (x, y).
    level_downsamples
        Of the slide's levels, for SAM-MIL's segments.
    encoder
        Name of the encoder that made the features.
    """

    patch_size_px0: float | None = None
    mpp: tuple[float, float] | None = None
    level_downsamples: tuple[tuple[float, float], ...] | None = None
    encoder: str | None = None


@dataclass(frozen=True, slots=True)
class PatchFacts:
    """Facts that a file holds about its patches; None where it does not say.

    Attributes
    ----------
    size_px0
        Side in level-0 pixels.
    output_size
        Side in pixels after resampling.
    overlap_px0
        Pixels that neighbours share.
    read_level, read_size
        Where the pixels were read, and how many.
    power
        Magnification of level 0.
    slide_size_px0
        Width and height of the slide.
    """

    size_px0: float | None = None
    output_size: int | None = None
    overlap_px0: float = 0.0
    read_level: int = 0
    read_size: int | None = None
    power: float | None = None
    slide_size_px0: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ForeignBag:
    """A slide as another tool described it.

    Attributes
    ----------
    bag
        Patches, features and, where the files have them, groups.
    grid
        How the patches lie.
    segments
        Masks, or None.
    power, slide_size_px0
        Magnification and size of level 0, or None.
    notes
        What was assumed or left out, in sentences.
    """

    bag: FeatureBag
    grid: TileGrid
    segments: Segments | None = None
    power: float | None = None
    slide_size_px0: tuple[int, int] | None = None
    notes: tuple[str, ...] = field(default=())


def without_batch_axis(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Drop a leading axis of length 1: (1, N, D), as slide encoders take it, becomes (N, D)."""
    return values[0] if values.ndim == 3 and len(values) == 1 else values


def make_bag(
    files: SlideFiles,
    coords_px0: npt.NDArray[Any],
    features: npt.NDArray[Any],
    facts: PatchFacts,
    known: Known,
    *,
    attrs: dict[str, Any] | None = None,
    notes: Iterable[str] = (),
) -> ForeignBag:
    """Put the parts together and check them.

    Raises
    ------
    BagError
        If coordinates and features do not fit together, or are no numbers that a bag can hold.
    """
    coords = integer_coords(coords_px0, where=files.patches or files.features)
    grid, said = make_grid(coords, facts, known, where=files.features)
    values = {"encoder": known.encoder, "mpp": known.mpp, "path": str(files.features), **(attrs or {})}
    if known.encoder is not None:
        values["encoder"] = known.encoder
    bag = FeatureBag(
        files.slide_id,
        coords,
        checked_features(features, where=files.features),
        attrs={name: value for name, value in values.items() if value is not None},
    ).check()
    return ForeignBag(
        bag=bag,
        grid=grid,
        segments=None,
        power=facts.power,
        slide_size_px0=facts.slide_size_px0,
        notes=(*notes, *said),
    )


def make_grid(
    coords_px0: npt.NDArray[np.int32], facts: PatchFacts, known: Known, *, where: Path
) -> tuple[TileGrid, list[str]]:
    """Lay out the patches, and note what had to be assumed; a :class:`BagError` if their size is not known."""
    notes = []
    size = known.patch_size_px0 or facts.size_px0
    if size is None:
        size = _spacing(coords_px0)
        if size is None:
            raise BagError(
                "the patch size is not known",
                where=where,
                hint="Give the coordinate files with --patches, or the size with --patch-size-px0",
                window_hint="Import the features together with their coordinate files",
            )
        notes.append(f"patches are taken to be {size:g} px wide at level 0, the distance between neighbours")
    if not _SMALLEST_PX0 <= size <= _LARGEST_PX0:
        raise BagError(
            f"a patch size of {size:g} level-0 pixels makes no sense", where=where, hint="Export it again"
        )
    output = facts.output_size or max(1, round(size))
    step = size - facts.overlap_px0
    apart = None if facts.overlap_px0 else _spacing(coords_px0)
    if apart is not None and 1 <= apart < size - 1:  # CLAM's step_size stands in no file
        step = apart
        notes.append(f"patches overlap: neighbours are {apart:g} px apart at level 0")
    mpp = None if known.mpp is None else float(np.mean(known.mpp)) * size / output
    at_level = facts.read_size if facts.read_level else None
    read = at_level or max(1, round(size))
    return (
        TileGrid(
            coords_px0,
            size_px0=(float(size), float(size)),
            read_level=facts.read_level if at_level else 0,
            read_size=(read, read),
            output_size=output,
            step_px0=(float(step), float(step)),
            mpp=mpp,
        ),
        notes,
    )


def _spacing(coords_px0: npt.NDArray[np.int32]) -> float | None:
    """Most frequent distance of two patches that follow each other in a row or a column, or None."""
    distances = []
    for first, second in ((0, 1), (1, 0)):
        ordered = coords_px0[np.lexsort((coords_px0[:, first], coords_px0[:, second]))].astype(np.int64)
        same = np.diff(ordered[:, second]) == 0
        distances.append(np.diff(ordered[:, first])[same])
    found, count = np.unique(np.concatenate(distances), return_counts=True)
    return float(found[np.argmax(count)]) if len(found) else None


def integer_coords(coords_px0: npt.NDArray[Any], *, where: Path) -> npt.NDArray[np.int32]:
    """Return coordinates (N, 2) as int32; raises :class:`BagError` if they are not valid."""
    whole = np.issubdtype(coords_px0.dtype, np.integer) or (
        np.issubdtype(coords_px0.dtype, np.floating) and bool((coords_px0 == np.round(coords_px0)).all())
    )
    if not whole or coords_px0.ndim != 2 or coords_px0.shape[1] != 2:
        raise BagError(
            f"coords have shape {coords_px0.shape} and type {coords_px0.dtype}, not (patches, 2) integers",
            where=where,
            hint="Export the coordinates again",
        )
    if len(coords_px0) and np.abs(coords_px0).max() > np.iinfo(np.int32).max:
        raise BagError("a coordinate is larger than any slide", where=where, hint="Export the coordinates again")
    return coords_px0.astype(np.int32)


def checked_features(features: npt.NDArray[Any], *, where: Path) -> FloatFeatures:
    """Return features (N, D) as float16 or float32; raises :class:`BagError` if they are not valid."""
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
        raise BagError(
            f"features have shape {features.shape} and type {features.dtype}, not (patches, numbers)",
            where=where,
            hint="Name the folder or file of patch features, not of slide features",
        )
    return features if features.dtype == np.float16 else features.astype(np.float32, copy=False)
