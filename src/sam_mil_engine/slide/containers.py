"""Slides of several files: what must lie next to the file that is opened. And formats that no reader supports.

Such a file often holds a thumbnail or a label, which must never be taken for the slide.
"""

from __future__ import annotations

import configparser
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from ..errors import SlideError

_CONVERT = "Convert it to OME-TIFF, for example with QuPath, or with Bio-Formats' bfconvert"
#: Suffixes of slides that the package fastslide reads, where it is installed.
FASTSLIDE_ENDINGS = frozenset({".czi", ".isyntax", ".i2syntax"})
_OR_CONVERT = "or convert it to OME-TIFF, for example with QuPath"
_WITH_FASTSLIDE = f"Install fastslide (pip install 'napari-sam-mil[fastslide]'), {_OR_CONVERT}"
_WITH_FASTSLIDE_IN_WINDOW = (
    f"Install the Python package fastslide in napari's environment and restart napari, {_OR_CONVERT}"
)
#: Suffixes of formats that no reader here supports, and their names.
UNREAD = {
    ".dyqx": "Sdpc",
    ".ets": "A part of an Olympus VSI slide",
    ".i2syntax": "Philips iSyntax",
    ".ims": "Imaris",
    ".isyntax": "Philips iSyntax",
    ".kfb": "KFBio",
    ".lif": "Leica LIF",
    ".mds": "Motic",
    ".mdsx": "Motic",
    ".nd2": "Nikon ND2",
    ".oir": "Olympus OIR",
    ".sdpc": "Sdpc",
    ".tmap": "Unic TMAP",
    ".zvi": "Zeiss ZVI",
}
#: What files start with that no reader opens, or not all of them: their name, and what to do.
_STARTS = {
    b"ZISRAWFILE": ("Zeiss CZI", _WITH_FASTSLIDE),
    b"SIS\0": ("A part of an Olympus VSI slide", _CONVERT),
    b"<DataObject ": ("Philips iSyntax", _WITH_FASTSLIDE),
    b"\x70\0\0\0": ("Leica LIF", _CONVERT),
    b"\xda\xce\xbe\x0a": ("Nikon ND2", _CONVERT),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("A file of Zeiss ZVI or Olympus OIB", _CONVERT),
    b"\0\0\0\x0cjP  \r\n\x87\n": ("JPEG 2000", _CONVERT),
    b"\x89HDF\r\n\x1a\n": (
        "HDF5",
        "A file of features is not a slide; an Imaris image can be converted to OME-TIFF",
    ),
    b"PK\x03\x04": ("A ZIP archive", "Unpack it and open the slide in it"),
    b"\x1f\x8b": ("A gzip archive", "Unpack it and open the slide in it"),
    b"%PDF": ("PDF", "Export its images as TIFF"),
    b"[NanoZoomer Digital Pathology Image Set]": (
        "A list of Hamamatsu slides",
        "Open the .ndpi files that it names",
    ),
}


def check_complete(path: Path) -> None:
    """Refuse a slide whose parts are missing, and a format of which only a thumbnail could be read.

    Raises
    ------
    SlideError
        Naming what is missing, or what to convert the slide with.
    """
    suffix = path.suffix.lower()
    if suffix in UNREAD and not (suffix in FASTSLIDE_ENDINGS and has_fastslide()):
        raise _unread(UNREAD[suffix], _WITH_FASTSLIDE if suffix in FASTSLIDE_ENDINGS else _CONVERT, where=path)
    if suffix == ".vsi":
        _refuse_vsi(path)
    elif suffix in _PARTS:
        missing = [part for part in dict.fromkeys(_PARTS[suffix](path)) if not part.exists()]
        if missing:
            names = ", ".join(part.name for part in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise SlideError(
                f"{names}{more} should be next to it, but {'is' if len(missing) == 1 else 'are'} missing",
                where=path,
                hint="Copy the slide with all its files and folders",
            )


def has_fastslide() -> bool:
    """Whether the package that reads CZI and iSyntax is installed."""
    return find_spec("fastslide") is not None


def _unread(name: str, hint: str, *, where: Path | None = None) -> SlideError:
    window_hint = _WITH_FASTSLIDE_IN_WINDOW if hint == _WITH_FASTSLIDE else None
    return SlideError(f"{name} is not read", where=where, hint=hint, window_hint=window_hint)


def has_parts(path: Path) -> bool:
    """Whether the pixels lie in other files: only OpenSlide finds them, others see the thumbnail in the file."""
    return path.suffix.lower() in _PARTS


def describe_start(start: bytes) -> SlideError | None:
    """Return an error that names the format of a file which no reader opens, or None where it is not known.

    Parameters
    ----------
    start
        The first bytes of the file.
    """
    for mark, (name, hint) in _STARTS.items():
        if start.startswith(mark):
            return _unread(name, hint)
    return None


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
            f"its pixels should be in the folder {folder.name} next to it, but are missing",
            where=path,
            hint="Copy the .vsi file with that folder",
        )
    raise SlideError(
        "Olympus VSI is not supported; the file itself holds only a label and an overview",
        where=path,
        hint=_CONVERT,
    )


def _vsi_folder(path: Path) -> Path:
    return path.with_name(f"_{path.stem}_")


def _mirax(path: Path) -> Iterator[Path]:
    """Yield the folder, its index, and the data files that the index names."""
    folder = path.with_suffix("")
    index = folder / "Slidedat.ini"
    yield folder
    yield index
    if not index.is_file():
        return
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True, delimiters=("=",))
    try:
        parser.read_string(_text(index))
    except configparser.Error:  # OpenSlide says what is wrong with it
        return
    named = [parser.get("HIERARCHICAL", "INDEXFILE", fallback=None)]
    if parser.has_section("DATAFILE"):
        named += [
            value for key, value in parser.items("DATAFILE") if key.startswith("file_") and key != "file_count"
        ]
    yield from (folder / name.strip() for name in named if name and name.strip())


def _hamamatsu(path: Path) -> Iterator[Path]:
    """Yield the files that a .vms or .vmu names: its keys ImageFile, MapFile, OptimisationFile and the like."""
    for line in _text(path).splitlines():
        key, equals, value = line.partition("=")
        name = value.strip().replace("\\", "/").rsplit("/", maxsplit=1)[-1]
        if equals and name and key.strip().split("(")[0] in {"ImageFile", "MapFile", "MacroImage"}:
            yield path.with_name(name)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise SlideError(
            f"it cannot be read ({error.strerror})", where=path, hint="Check the permissions"
        ) from error


#: Ending -> the files and folders that a slide of that format consists of, besides the file itself.
_PARTS: dict[str, Callable[[Path], Iterator[Path]]] = {
    ".mrxs": _mirax,
    ".vms": _hamamatsu,
    ".vmu": _hamamatsu,
}
