"""Find the slides in a folder, and say what else lies there."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import layout
from ..errors import DataError
from .containers import UNREAD, companions_of
from .dicom_files import is_dicom, one_file_a_series
from .info import slide_id_of
from .zarr_store import ZARR_ENDINGS, is_zarr

#: Endings of plain images. One next to a slide of the same name is a thumbnail of it.
IMAGE_EXTENSIONS: frozenset[str] = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
#: Endings of slide files, besides DICOM files, which may have none. Formats that are not read are among them, so
#: that each such slide is named with what to convert it with.
EXTENSIONS: frozenset[str] = IMAGE_EXTENSIONS | frozenset(
    {".svs", ".svslide", ".tif", ".tiff", ".btf", ".tf2", ".tf8", ".ptif", ".ptiff", ".qptiff", ".ndpi", ".mrxs"}
    | {".scn", ".bif", ".vms", ".vmu", ".vsi", ".czi", ".dcm", ".zarr", ".ozx", *UNREAD}
)
#: A folder that holds one of these files was written by this program: images in it and below are not slides.
_RESULTS = (layout.PROCESS_LIST, layout.PREDICTIONS, layout.METRICS)
#: What a project holds next to the slides, where both are in one folder.
_OF_A_PROJECT = (layout.BAGS, layout.MASKS, layout.SEGMENTS, layout.STITCHES, layout.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class FoundSlides:
    """What lies in a folder.

    Attributes
    ----------
    slides
        The slide files, sorted; of a DICOM series one file.
    notes
        One sentence for each kind of thing that was left out.
    """

    slides: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def has_slide_name(path: Path) -> bool:
    """Whether a file, or a folder of OME-Zarr, is named as a slide."""
    return path.suffix.lower() in EXTENSIONS or path.name.lower().endswith(ZARR_ENDINGS)


def slides_in(folder: Path) -> list[Path]:
    """Return the slide files below a folder: :func:`find_slides` without its notes."""
    return list(find_slides(folder).slides)


def find_slides(folder: Path) -> FoundSlides:
    """Return the slide files below ``folder``, and what was left out.

    Linked folders are followed, each once. Left out are hidden files, parts of slides of several files, results of
    this program, and plain images next to a slide of the same name.

    Raises
    ------
    SlideError
        If a DICOM file among them has a damaged header.
    """
    results: list[Path] = []
    files = sorted(path for path in _walk(folder, results) if has_slide_name(path))
    files = _without_parts(files)
    files, thumbnails = _without_thumbnails(files)
    dicom = [path for path in files if path.is_file() and is_dicom(path)]
    chosen = set(files) - set(dicom) | set(one_file_a_series(dicom))
    notes = [f"{path} holds results of this program, which were left out" for path in results]
    if thumbnails:
        named = ", ".join(str(path) for path in thumbnails[:3]) + (", ..." if len(thumbnails) > 3 else "")
        notes.append(f"images next to a slide of the same name were left out ({len(thumbnails)}): {named}")
    return FoundSlides(tuple(sorted(chosen)), tuple(notes))


def _walk(folder: Path, results: list[Path]) -> Iterator[Path]:
    """Yield the files below a folder, OME-Zarr as one; folders with results are collected and not entered."""
    seen: set[Path] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place)
        real = here.resolve()
        if real in seen:  # links may form circles
            folders.clear()
            continue
        seen.add(real)
        if any(name in names for name in _RESULTS):
            results.append(here)
            if here != folder:
                folders.clear()
                continue
            folders[:] = [name for name in folders if not name.startswith(_OF_A_PROJECT)]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (here / name for name in folders if is_zarr(here / name))
        folders[:] = [name for name in folders if not is_zarr(here / name)]
        yield from (path for name in names if not name.startswith(".") and (path := here / name).is_file())


def _without_parts(files: Sequence[Path]) -> list[Path]:
    """Leave out the files that belong to a slide of several files."""
    parts = {part for path in files for part in companions_of(path)}
    tiled = {(path.parent, path.stem) for path in files if path.suffix.lower() in (".vms", ".vmu")}
    return [
        path
        for path in files
        if not parts.intersection((path, *path.parents))
        and not any(
            path.parent == folder and path.name.startswith((f"{stem}(", f"{stem}_")) and path.suffix != ".vms"
            for folder, stem in tiled
        )
    ]


def _without_thumbnails(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the slides, and the plain images that have the name of another file that is not one."""
    slides = {slide_id_of(path) for path in files if path.suffix.lower() not in IMAGE_EXTENSIONS}
    thumbnails = [path for path in files if path.suffix.lower() in IMAGE_EXTENSIONS and slide_id_of(path) in slides]
    gone = set(thumbnails)
    return [path for path in files if path not in gone], thumbnails


def require_own_names(slides: Iterable[tuple[str, Path]]) -> None:
    """Refuse slides of the same name, whose results would overwrite each other.

    Names that differ only in upper and lower case are the same: they are one file on Windows and macOS.

    Parameters
    ----------
    slides
        Name and file of each.

    Raises
    ------
    DataError
        Naming the files.
    """
    files: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for name, path in slides:
        files[name.casefold()].append((name, path))
    twice = {found[0][0]: [path for _, path in found] for found in files.values() if len(found) > 1}
    if not twice:
        return
    shown = "; ".join(f"{name} ({', '.join(map(str, paths))})" for name, paths in sorted(twice.items())[:5])
    more = f" and {len(twice) - 5} more" if len(twice) > 5 else ""
    raise DataError(
        f"several slides are called {shown}{more}",
        hint="Name the slide files that you want, for example with slides/*.svs, or rename one of each",
    )
