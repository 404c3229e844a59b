"""CLAM's folders (Lu et al. 2021): ``patches``, ``h5_files`` and ``pt_files``, in and out.

::

    patches/SLIDE.h5    coords (N, 2) with the attributes patch_size, patch_level, downsample, level_dim, name, ...
    h5_files/SLIDE.h5   features (N, D) float32 and coords (N, 2), without attributes
    pt_files/SLIDE.pt   the features as a tensor

A patch is read at ``patch_level`` with ``patch_size`` pixels of that level; coordinates are level-0 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ..errors import BagError
from ..slide.tile_grid import TileGrid
from ..tables.cells import nfc
from .feature_bag import FeatureBag
from .foreign import ForeignBag, Known, PatchFacts, SlideFiles, make_bag, without_batch_axis
from .hdf5_checks import open_checked
from .hdf5_writing import written_hdf5
from .names import file_name, find_existing
from .torch_files import load_pt, save_pt


def find(folder: Path, *, patches: Path | None = None) -> list[SlideFiles]:
    """List the slides whose features lie in ``folder``, which is CLAM's feature folder or one of its two parts.

    ``patches`` is the folder of coordinates; where it is None, ``patches`` inside and next to ``folder`` are tried.
    """
    if folder.is_file():
        return [SlideFiles(folder.stem, folder, find_patches(folder.parent, patches, folder.stem))]
    features: dict[str, Path] = {}
    for name, ending in (("pt_files", "pt"), ("h5_files", "h5")):
        place = folder / name if (folder / name).is_dir() else folder
        features.update({nfc(path.stem): path for path in visible(place, ending)})
    return [
        SlideFiles(slide_id, features[slide_id], find_patches(folder, patches, slide_id))
        for slide_id in sorted(features)
    ]


def visible(folder: Path, ending: str) -> list[Path]:
    """Files of an ending in a folder, sorted, without hidden ones."""
    return sorted(path for path in folder.glob(f"*.{ending}") if path.is_file() and not path.name.startswith("."))


def find_patches(folder: Path, patches: Path | None, slide_id: str) -> Path | None:
    """Return the file of a slide's coordinates, named as CLAM or TRIDENT names it, or None."""
    if patches is not None:
        places = [patches, patches / "patches"]
    else:
        places = [place / "patches" for place in (folder, folder.parent, folder.parent.parent)]
    names = (f"{slide_id}.h5", f"{slide_id}_patches.h5")
    files = (find_existing(place / name) for place in places for name in names)
    return next((path for path in files if path.is_file()), None)


def read(files: SlideFiles, known: Known) -> ForeignBag:
    """Read one slide.

    Raises
    ------
    BagError
        If a file is missing or damaged, or coordinates and features differ in length.
    """
    coords, features, facts = read_arrays(files)
    return make_bag(files, coords, features, facts, known)


def read_arrays(files: SlideFiles) -> tuple[npt.NDArray[Any], npt.NDArray[Any], PatchFacts]:
    """Coordinates (N, 2), features (N, D) and what is said of the patches, as they stand in the files."""
    coords: npt.NDArray[Any] | None = None
    attributes: dict[str, Any] = {}
    if files.patches is not None:
        coords, attributes = read_coords(files.patches)
    if files.features.suffix == ".pt":
        features = without_batch_axis(load_pt(files.features))
    else:
        with open_checked(files.features) as file:
            _need(file, "features", files.features)
            features = without_batch_axis(file["features"][:])
            if "coords" in file:  # these belong to the features, row by row; the patches may have been filtered
                coords = without_batch_axis(file["coords"][:])
                attributes = {**attributes, **dict(file["coords"].attrs)}
    if coords is None:
        raise BagError(
            "the coordinates of the patches are missing",
            where=files.features,
            hint="Give the folder of the coordinate files with --patches",
            window_hint="Import the features together with their coordinate files",
        )
    if len(coords) != len(features):
        raise BagError(
            f"there are {len(features)} features, but {len(coords)} coordinates"
            + (f" in {files.patches}" if files.patches else ""),
            where=files.features,
            hint="Use the coordinates that the features were extracted with",
        )
    return coords, features, patch_facts(attributes)


def read_coords(path: Path) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """Coordinates of a patch file, and its attributes."""
    with open_checked(path) as file:
        _need(file, "coords", path)
        return without_batch_axis(file["coords"][:]), dict(file["coords"].attrs)


def _need(file: h5py.File, name: str, path: Path) -> None:
    if not isinstance(file.get(name), h5py.Dataset):
        raise BagError(f"there is no /{name} in it, but {list(file)}", where=path, hint="Name a file of features")


def patch_facts(attributes: Mapping[str, Any]) -> PatchFacts:
    """Understand the attributes of coordinates that CLAM wrote; other attributes say nothing."""
    if "patch_size" not in attributes or "patch_level" not in attributes:
        return PatchFacts()
    size, level = int(attributes["patch_size"]), int(attributes["patch_level"])
    downsample = float(np.ravel(attributes.get("downsample", 1.0 if level == 0 else np.nan))[0])
    # level_dim is the size of the level that was read; CLAM places patches by whole downsamples
    width, height = (int(side) for side in attributes.get("level_dim", (0, 0)))
    return PatchFacts(
        size_px0=size * int(downsample) if downsample >= 1 else None,
        output_size=size,
        read_level=level,
        read_size=size,
        slide_size_px0=(width, height) if level == 0 and width else None,
    )


def write(
    folder: Path, bag: FeatureBag, grid: TileGrid, *, slide_size_px0: tuple[int, int] | None = None
) -> list[Path]:
    """Write one slide's three files; returns their paths.

    Raises
    ------
    DataError
        If the slide's name is not a valid file name.
    ProjectError
        If a file cannot be written.
    """
    patches = write_patches(folder, bag, grid, slide_size_px0=slide_size_px0)
    return [patches, *write_features(folder, bag.slide_id, bag.features, bag.coords_px0)]


def write_patches(
    folder: Path, bag: FeatureBag, grid: TileGrid, *, slide_size_px0: tuple[int, int] | None = None
) -> Path:
    """Write ``patches/SLIDE.h5``.

    CLAM reads ``patch_size`` pixels at ``patch_level`` and resizes them afterwards, so that ``patch_size`` is what
    was read and not what the encoder saw.
    """
    name = file_name(bag.slide_id)
    downsample = grid.read_downsample
    size = slide_size_px0 or tuple((bag.coords_px0.max(axis=0) + np.ceil(grid.size_px0)).astype(int).tolist())
    level_size = tuple(np.floor_divide(size, downsample).astype(int).tolist())
    attributes = {
        "patch_size": grid.read_size[0],
        "patch_level": grid.read_level,
        "downsample": downsample,
        "downsampled_level_dim": level_size,
        "level_dim": level_size,
        "name": name,
        "save_path": "patches",
    }
    path = folder / "patches" / f"{name}.h5"
    write_growing(path, {"coords": bag.coords_px0.astype(np.int64)}, {"coords": attributes})
    return path


def write_features(
    folder: Path, slide_id: str, features: npt.NDArray[np.floating], coords_px0: npt.NDArray[np.int32]
) -> list[Path]:
    """Write ``h5_files/SLIDE.h5`` and ``pt_files/SLIDE.pt``, both in float32, CLAM's type."""
    name = file_name(slide_id)
    h5_file, pt_file = folder / "h5_files" / f"{name}.h5", folder / "pt_files" / f"{name}.pt"
    write_growing(h5_file, {"features": features.astype(np.float32), "coords": coords_px0}, {})
    save_pt(pt_file, features)
    return [h5_file, pt_file]


def write_growing(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], attributes: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write datasets whose first axis may grow, as these tools' own writers leave them: some of them append."""
    with written_hdf5(path) as file:
        for name, array in arrays.items():
            rows = (min(max(len(array), 1), 512),)
            data = file.create_dataset(
                name, data=array, chunks=rows + array.shape[1:], maxshape=(None, *array.shape[1:])
            )
            for key, value in attributes.get(name, {}).items():
                data.attrs[key] = value
