"""Where features of other tools come from: a folder, what else is known, and which slide belongs to which."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..bag.foreign import ForeignBag, Known, SlideFiles
from ..bag.interchange import Format, find_slides
from ..settings import key
from ..slide.finding import require_own_names, slides_in
from ..slide.first_read import require_readable
from ..slide.info import SlideInfo, slide_id_of
from ..slide.reader import open_slide
from ..tables.cells import nfc
from .clam_tables import read_process_list


@dataclass(frozen=True, slots=True)
class Source:
    """Where features come from, and what is known of them besides their files.

    Attributes
    ----------
    path
        A folder of CLAM, TRIDENT, SAM-MIL, STAMP or this package, or one file of it.
    format
        Its name, or ``auto``.
    patches
        Folder of the coordinate files, if not next to the features.
    slides
        Folder of the slides, which tell mpp, magnification and levels.
    process_list
        CLAM's ``process_list_autogen.csv``: only the slides that it calls processed.
    patch_size_px0, mpp, encoder
        As in :class:`~sam_mil_engine.bag.foreign.Known`; they outrank what the files and slides say.
    """

    path: Path
    format: str = "auto"
    patches: Path | None = None
    slides: Path | None = None
    process_list: Path | None = None
    patch_size_px0: float | None = None
    mpp: float | None = None
    encoder: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A source whose slides are listed.

    Attributes
    ----------
    format
        The format that was recognised.
    files
        Files of every slide that is to be read.
    slides
        Slide name -> slide file, for the slides that are at hand.
    missing
        Slides of the process list without features.
    """

    format: Format
    files: tuple[SlideFiles, ...]
    slides: dict[str, Path] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def open_source(source: Source) -> Opened:
    """List what is to be read.

    Raises
    ------
    BagError, SettingsError
        If nothing is recognised there.
    DataError
        If two slides have the same name, or the process list is damaged.
    """
    format, files = find_slides(source.path, format=source.format, patches=source.patches)
    missing: list[str] = []
    if source.process_list is not None:
        listed, missing = read_process_list(source.process_list, [item.slide_id for item in files])
        files = [item for item in files if item.slide_id in listed]
    require_own_names((item.slide_id, item.features) for item in files)
    slides = {} if source.slides is None else slides_by_name(source.slides, files)
    return Opened(format=format, files=tuple(files), slides=slides, missing=tuple(missing))


def read_source(source: Source, opened: Opened, files: SlideFiles) -> tuple[ForeignBag, SlideInfo | None]:
    """Read one slide's files, and the facts of the slide itself where it is at hand."""
    info = None
    if files.slide_id in opened.slides:
        require_readable(opened.slides[files.slide_id])
        with open_slide(opened.slides[files.slide_id]) as slide:
            info = slide.info
    mpp = None if info is None else info.mpp
    known = Known(
        patch_size_px0=source.patch_size_px0,
        mpp=(source.mpp, source.mpp) if source.mpp is not None else mpp,
        level_downsamples=None if info is None else info.level_downsamples,
        encoder=source.encoder,
    )
    return opened.format.read(files, known), info


def source_key(source: Source, opened: Opened, files: SlideFiles) -> str:
    """Key that changes when a file of the slide, or what else is known of it, changes."""
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files.all]
    known = (source.patch_size_px0, source.mpp, source.encoder, str(opened.slides.get(files.slide_id, "")))
    return key("import", opened.format.name, stats, known)


def slides_by_name(folder: Path, wanted: Sequence[SlideFiles]) -> dict[str, Path]:
    """Return name of the features -> slide file, for the slides below ``folder``; warn of features without a slide.

    The features of ``x.ome.tif`` may be called ``x`` or, as CLAM, TRIDENT and STAMP cut one extension, ``x.ome``.

    Raises
    ------
    DataError
        If two slides fit the same features.
    """
    names = {item.slide_id for item in wanted}
    fitting: list[tuple[str, Path]] = []
    for path in slides_in(folder):
        fits = [name for name in dict.fromkeys((nfc(slide_id_of(path)), nfc(path.stem))) if name in names]
        fitting += [(name, path) for name in fits]
    require_own_names(fitting)
    missing = sorted(names - {name for name, _ in fitting})
    if missing:
        named = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        warnings.warn(f"{len(missing)} of {len(names)} have no slide in {folder}: {named}", stacklevel=2)
    return dict(fitting)
