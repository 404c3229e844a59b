"""Slides of several files: what must lie next to the file that is opened.

Such a file often holds a thumbnail or a label, which must never be taken for the slide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import SlideError

_CONVERT = "Convert it to OME-TIFF, for example with QuPath, or with Bio-Formats' bfconvert"
#: Endings of formats that no reader here reads, and their names.
UNREAD = {
    ".czi": "Zeiss CZI",
    ".ims": "Imaris",
    ".isyntax": "Philips iSyntax",
    ".i2syntax": "Philips iSyntax",
    ".kfb": "KFBio",
    ".lif": "Leica LIF",
    ".mds": "Motic",
    ".nd2": "Nikon ND2",
    ".oir": "Olympus OIR",
    ".sdpc": "Sdpc",
    ".tmap": "Unic TMAP",
    ".zvi": "Zeiss ZVI",
}


def check_complete(path: Path) -> None:
    """Refuse a slide whose parts are missing, and a format of which only a thumbnail could be read.

    Raises
    ------
    SlideError
        Naming what is missing, or what to convert the slide with.
    """
    suffix = path.suffix.lower()
    if suffix in UNREAD:
        raise SlideError(f"{UNREAD[suffix]} is not read", where=path, hint=_CONVERT)
    if suffix == ".vsi":
        _refuse_vsi(path)
    elif suffix in _PARTS:
        missing = [part for part in _PARTS[suffix](path) if not part.exists()]
        if missing:
            names = ", ".join(part.name for part in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise SlideError(
                f"{names}{more} should lie next to it, and {'is' if len(missing) == 1 else 'are'} missing",
                where=path,
                hint="Copy the slide with all its files and folders",
            )


def companions_of(path: Path) -> frozenset[Path]:
    """Return the files and folders that belong to a slide of several files, whether they are there or not."""
    suffix = path.suffix.lower()
    if suffix == ".vsi":
        return frozenset({_vsi_folder(path)})
    if suffix not in _PARTS:
        return frozenset()
    try:
        return frozenset(_PARTS[suffix](path))
    except SlideError:  # damaged: opening it says so
        return frozenset()


def _refuse_vsi(path: Path) -> None:
    """Olympus keeps the pixels in ``_NAME_/stack*/*.ets``; the .vsi itself is a TIFF of label and overview."""
    folder = _vsi_folder(path)
    if not any(folder.glob("stack*/*.ets")):
        raise SlideError(
            f"its pixels should lie in the folder {folder.name} next to it, and are missing",
            where=path,
            hint="Copy the .vsi file with that folder",
        )
    raise SlideError(
        "Olympus VSI is not read; the file itself holds only a label and an overview", where=path, hint=_CONVERT
    )


def _vsi_folder(path: Path) -> Path:
    return path.with_name(f"_{path.stem}_")


def _mirax(path: Path) -> Iterator[Path]:
    folder = path.with_suffix("")
    yield folder
    yield folder / "Slidedat.ini"


def _hamamatsu(path: Path) -> Iterator[Path]:
    """Yield the files that a .vms or .vmu names: its keys ImageFile, MapFile, OptimisationFile and the like."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise SlideError(
            f"it cannot be read ({error.strerror})", where=path, hint="Check the permissions"
        ) from error
    for line in lines:
        key, equals, value = line.partition("=")
        name = value.strip().replace("\\", "/").rsplit("/", maxsplit=1)[-1]
        if equals and name and key.strip().split("(")[0] in {"ImageFile", "MapFile", "MacroImage"}:
            yield path.with_name(name)


#: Ending -> the files and folders that a slide of that format consists of, besides the file itself.
_PARTS: dict[str, Callable[[Path], Iterator[Path]]] = {
    ".mrxs": _mirax,
    ".vms": _hamamatsu,
    ".vmu": _hamamatsu,
}
