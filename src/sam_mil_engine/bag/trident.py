"""TRIDENT's folders (Zhang et al. 2025), in and out.

::

    20x_256px_0px_overlap/patches/SLIDE_patches.h5      coords (N, 2) int64, with the attributes below
    20x_256px_0px_overlap/features_ENCODER/SLIDE.h5     features (N, D) and the same coords

Attributes of ``coords``: ``patch_size`` (pixels at the target magnification), ``patch_size_level0``,
``level0_magnification``, ``target_magnification``, ``overlap``, ``name``, ``savetodir``, ``level0_width``,
``level0_height``. The features carry ``encoder``. Coordinates are level-0 pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BagError
from ..slide.tile_grid import TileGrid
from ..tables.cells import nfc
from . import clam
from .feature_bag import FeatureBag
from .foreign import ForeignBag, Known, PatchFacts, SlideFiles, make_bag
from .hdf5_checks import open_checked
from .magnification import magnification
from .names import file_name, safe_name

_GRID = re.compile(r"^[\d.]+x_\d+px_\d+px_overlap$")
_FEATURES = "features_"


def is_grid(folder: Path) -> bool:
    """Whether the folder has the name that TRIDENT gives the folder of one grid of patches."""
    return bool(_GRID.match(folder.name))


def find(folder: Path, *, patches: Path | None = None) -> list[SlideFiles]:
    """List the slides of a job folder, of the folder of one grid, or of one folder of features.

    Raises
    ------
    BagError
        If there are several folders of features: one must be named.
    """
    if folder.is_file():
        return [SlideFiles(folder.stem, folder, clam.find_patches(folder.parent, patches, folder.stem))]
    grids = [folder] if is_grid(folder) else sorted(path for path in folder.iterdir() if is_grid(path))
    places = [path for grid in grids for path in sorted(grid.glob(f"{_FEATURES}*")) if path.is_dir()] or [folder]
    if len(places) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in places)
        raise BagError(f"there are several folders of features: {names}", where=folder, hint="Name one of them")
    place = places[0]
    features = {nfc(path.stem): path for ending in ("pt", "h5") for path in clam.visible(place, ending)}
    return [SlideFiles(name, features[name], clam.find_patches(place, patches, name)) for name in sorted(features)]


def read(files: SlideFiles, known: Known) -> ForeignBag:
    """Read one slide.

    Raises
    ------
    BagError
        If a file is missing or damaged, or coordinates and features differ in length.
    """
    coords, features, _ = clam.read_arrays(files)
    attributes: dict[str, Any] = {}
    encoder = files.features.parent.name.removeprefix(_FEATURES)
    if files.patches is not None:
        attributes.update(clam.read_coords(files.patches)[1])
    if files.features.suffix == ".h5":
        with open_checked(files.features) as file:
            attributes.update(file["coords"].attrs if "coords" in file else {})
            encoder = str(file["features"].attrs.get("encoder", encoder))
    return make_bag(files, coords, features, patch_facts(attributes), known, attrs={"encoder": encoder})


def patch_facts(attributes: Mapping[str, Any]) -> PatchFacts:
    """Understand the attributes of coordinates that TRIDENT wrote (``None`` is kept as the text "None")."""
    values = {name: value for name, value in attributes.items() if str(value) != "None"}
    if "patch_size" not in values or "patch_size_level0" not in values:
        return clam.patch_facts(attributes)
    output, size = int(values["patch_size"]), float(values["patch_size_level0"])
    power, target = (values.get(f"{name}_magnification") for name in ("level0", "target"))
    if power is not None and target:  # patch_size_level0 is rounded down
        size = output * float(power) / float(target)
    slide = (int(values.get("level0_width", 0)), int(values.get("level0_height", 0)))
    return PatchFacts(
        size_px0=float(round(size)),
        output_size=output,
        overlap_px0=round(float(values.get("overlap", 0)) * size / output),
        power=None if power is None else float(power),
        slide_size_px0=slide if min(slide) > 0 else None,
    )


def write(
    folder: Path,
    bag: FeatureBag,
    grid: TileGrid,
    *,
    slide_size_px0: tuple[int, int] | None = None,
    power: float | None = None,
) -> list[Path]:
    """Write one slide's two files into the folders that its magnification, patches and encoder ask for.

    Raises
    ------
    BagError
        If neither the magnification nor the resolution of the slide is known.
    DataError
        If the slide's or the encoder's name is not a valid file name.
    ProjectError
        If a file cannot be written.
    """
    name = file_name(bag.slide_id)
    mpp = bag.attrs.get("mpp")
    level0 = magnification(None if mpp is None else float(mpp[0]), power)
    if level0 is None:
        raise BagError(
            "neither the magnification nor the resolution of the slide is known, and TRIDENT needs one of them",
            where=name,
            hint="Process or import the slide with --source-mpp",
            window_hint="Enter the resolution in the Analyze dock and press Segment/Classify",
        )
    target = level0 * grid.output_size / grid.size_px0[0]
    overlap = round((grid.size_px0[0] - grid.step_px0[0]) * grid.output_size / grid.size_px0[0])
    place = folder / f"{target:g}x_{grid.output_size}px_{overlap}px_overlap"
    encoder = str(bag.attrs.get("encoder") or "unknown")
    features = place / (_FEATURES + safe_name(encoder))
    size = slide_size_px0 or tuple((bag.coords_px0.max(axis=0) + np.ceil(grid.size_px0)).astype(int).tolist())
    attributes = {
        "patch_size": grid.output_size,
        "patch_size_level0": round(grid.size_px0[0]),
        "level0_magnification": _whole(level0),
        "target_magnification": _whole(target),
        "overlap": overlap,
        "name": name,
        "savetodir": place.name,
        "level0_width": size[0],
        "level0_height": size[1],
    }
    coords = bag.coords_px0.astype(np.int64)
    patch_file, feature_file = place / "patches" / f"{name}_patches.h5", features / f"{name}.h5"
    clam.write_growing(patch_file, {"coords": coords}, {"coords": attributes})
    clam.write_growing(
        feature_file,
        {"features": bag.features, "coords": coords},
        {"features": {"name": name, "savetodir": features.name, "encoder": encoder}, "coords": attributes},
    )
    return [patch_file, feature_file]


def _whole(number: float) -> int | float:
    return int(number) if number == int(number) else number
