"""Bags as tables: ``SLIDE.patches.csv`` with x, y, group and features f0, f1, ... of every patch, in and out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BagError, DataError
from ..files import atomic_write
from ..tables.reading import read_frame
from ..tables.writing import csv_frame
from .feature_bag import FeatureBag
from .foreign import ForeignBag, Known, PatchFacts, SlideFiles, make_bag
from .names import file_name

if TYPE_CHECKING:
    import pandas as pd

_ENDING = ".patches.csv"


def find(folder: Path, *, patches: Path | None = None) -> list[SlideFiles]:
    """List the tables of patches in a folder."""
    found = [folder] if folder.is_file() else sorted(folder.glob(f"*{_ENDING}"))
    return [SlideFiles(path.name.removesuffix(_ENDING), path) for path in found if not path.name.startswith(".")]


def read(files: SlideFiles, known: Known) -> ForeignBag:
    """Read one slide; the column ``group`` is ignored, since a patch may lie in several.

    Raises
    ------
    BagError
        If the table is damaged, or lacks positions or features.
    """
    table = _table(files.features)
    columns = [name for name in table.columns if name[:1] == "f" and name[1:].isdecimal()]
    if not columns or not {"x", "y"} <= set(table.columns):
        raise BagError("its columns are not x, y, f0, f1, ...", where=files.features, hint="Rename the columns")
    try:
        features = table[columns].to_numpy(dtype=np.float32)
        coords = table[["x", "y"]].to_numpy(dtype=np.float64)
    except ValueError as error:
        raise BagError(
            f"a cell is not a number ({error})", where=files.features, hint="Correct the table"
        ) from error
    return make_bag(files, coords, features, PatchFacts(), known)


def _table(path: Path) -> pd.DataFrame:
    try:
        return read_frame(path)
    except DataError as error:
        raise BagError(error.what, where=path, hint=error.hint, window_hint=error.window_hint) from error


def write(folder: Path, bag: FeatureBag) -> list[Path]:
    """Write the table of patches and, where there are groups, ``SLIDE.groups.csv``.

    Raises
    ------
    DataError
        If the slide's name is not a valid file name.
    ProjectError
        If a file cannot be written.
    """
    import pandas as pd

    name, groups = file_name(bag.slide_id), bag.groups
    columns = {"x": bag.coords_px0[:, 0], "y": bag.coords_px0[:, 1]}
    if groups is not None:
        columns["group"] = groups.group_of_patch
    numbers = pd.DataFrame(bag.features.astype(np.float32), columns=[f"f{d}" for d in range(bag.width)])
    written = [folder / f"{name}{_ENDING}"]
    atomic_write(written[0], csv_frame(pd.concat([pd.DataFrame(columns), numbers], axis=1)))
    if groups is not None:
        rows = {
            "group": np.arange(len(groups)),
            "segment": groups.segment_of_group,
            "patches": groups.sizes,
            "area_raster": groups.area_raster,
            "area_um2": groups.area_um2,
        }
        written.append(folder / f"{name}.groups.csv")
        atomic_write(written[1], csv_frame(pd.DataFrame(rows)))
    return written
