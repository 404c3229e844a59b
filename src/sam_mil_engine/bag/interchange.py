"""The formats of other tools by name, and how a folder's format is recognised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import h5py

from .. import layout
from ..errors import BagError, SettingsError, values_of
from . import clam, csv_files, native, sam_mil, stamp, trident
from .foreign import ForeignBag, Known, SlideFiles
from .hdf5_checks import open_checked


class Find(Protocol):
    """List the slides of a folder."""

    def __call__(self, folder: Path, *, patches: Path | None = None) -> list[SlideFiles]:
        """``patches`` is where the coordinate files lie, if not next to the features."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its name, how its slides are found and how one of them is read."""

    name: str
    find: Find
    reader: Callable[[SlideFiles, Known], ForeignBag]

    def read(self, files: SlideFiles, known: Known) -> ForeignBag:
        """Read one slide.

        Raises
        ------
        BagError
            If a file is missing or damaged, or holds values that make no sense.
        """
        with values_of(BagError, where=files.features, hint="The file is damaged: create it again"):
            return self.reader(files, known)


#: What can be read.
FORMATS: dict[str, Format] = {
    item.name: item
    for item in (
        Format("clam", clam.find, clam.read),
        Format("trident", trident.find, trident.read),
        Format("sam-mil", sam_mil.find, sam_mil.read),
        Format("stamp", stamp.find, stamp.read),
        Format("csv", csv_files.find, csv_files.read),
        Format("native", native.find, native.read),
    )
}


def find_slides(
    path: str | Path, *, format: str = "auto", patches: Path | None = None
) -> tuple[Format, list[SlideFiles]]:
    """List the slides of another tool's folder or file.

    Parameters
    ----------
    path
        A folder, or one file of features.
    format
        ``clam``, ``trident``, ``sam-mil``, ``stamp``, ``csv``, ``native``, or ``auto``: by what is there.
    patches
        Where the coordinate files lie, if not next to the features.

    Raises
    ------
    BagError
        If there is nothing, or nothing that is recognised.
    SettingsError
        If there is no such format.
    """
    path = Path(path)
    if not path.exists():
        raise BagError("there is no such file or folder", where=path, hint="Name the folder of the features")
    if format != "auto" and format not in FORMATS:
        raise SettingsError(f"there is no format {format!r}", hint=f"Choose one of: auto, {', '.join(FORMATS)}")
    chosen = FORMATS[recognise(path) if format == "auto" else format]
    found = chosen.find(path, patches=patches)
    if not found:
        raise BagError(
            f"there is no slide in the format of {chosen.name} here",
            where=path,
            hint="Name the folder of the features",
        )
    return chosen, found


def recognise(path: Path) -> str:
    """Return the name of the format of a folder or file; raises :class:`BagError` where it is none."""
    if path.is_file():
        return {".pt": "clam", ".csv": "csv"}.get(path.suffix) or _of_file(path)
    root = path.parent if path.name in ("h5_files", "pt_files") else path
    inside = [item for item in path.iterdir() if item.is_dir()]
    folders = {
        "native": layout.has_bags(path),
        "sam-mil": any((root / name).is_dir() for name in ("sam_info", "seg_files")),
        "clam": any((path / name).is_dir() for name in ("h5_files", "pt_files")),
        "trident": any(trident.is_grid(item) for item in (path, path.parent, *inside)),
    }
    by_folder = next((name for name, fits in folders.items() if fits), None)
    if by_folder is not None:
        return by_folder
    files = (
        clam.visible(path, "h5")
        or sorted(path.rglob("*.h5"))
        or [
            *clam.visible(path, "pt"),
            *clam.visible(path, "patches.csv"),
        ]
    )
    if not files:
        raise BagError(
            "there are neither features of CLAM, TRIDENT, SAM-MIL or STAMP nor bags here",
            where=path,
            hint="Name the folder of the features",
        )
    return recognise(files[0])


def _of_file(path: Path) -> str:
    with open_checked(path) as file:
        if "format_version" in file.attrs:
            return "native"
        if "feats" in file:
            return "stamp"
        if not isinstance(file.get("features"), h5py.Dataset):
            raise BagError(
                f"holds no features, but {list(file)}", where=path, hint="Name the folder of the features"
            )
        coords = file.get("coords")
        if "encoder" in file["features"].attrs or (coords is not None and "patch_size_level0" in coords.attrs):
            return "trident"
        return "sam-mil" if coords is not None and (coords[-1:] == -1).all() and len(coords) else "clam"
