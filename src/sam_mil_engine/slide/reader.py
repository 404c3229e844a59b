"""Open any slide: the readers by name, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path

from ..errors import SlideError
from .containers import check_complete, describe_start, has_parts
from .dicom_files import one_file_of_folder
from .fastslide_reader import open_with_fastslide
from .image_reader import open_with_pillow
from .openslide_reader import open_with_openslide
from .slide import Slide, SlideReader
from .tifffile_reader import open_with_tifffile
from .wsidicom_reader import open_with_wsidicom
from .zarr_reader import open_with_zarr
from .zarr_store import is_zarr

__all__ = ["READERS", "Opener", "Slide", "SlideReader", "open_slide"]

#: Opens a file; None where it is not of a kind that this reader knows, SlideError where it is damaged.
Opener = Callable[[Path], SlideReader | None]

#: The readers in the order in which they are tried; to add a slide format, add its reader here.
READERS: dict[str, Opener] = {
    "openslide": open_with_openslide,
    "tifffile": open_with_tifffile,
    "wsidicom": open_with_wsidicom,
    "zarr": open_with_zarr,
    "fastslide": open_with_fastslide,
    "image": open_with_pillow,
}

_COPY_AGAIN = "The file may be truncated or damaged: compare its size with the source and copy it again"
#: Where the coarsest level is tried, as parts of its width and height.
_PROBES = ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0))


def open_slide(path: str | PathLike[str]) -> Slide:
    """Open a slide of any format; a folder is opened where it is an OME-Zarr, or holds one DICOM series.

    The reader that opens the file has also decoded one pixel of it. A file that holds only a thumbnail of a slide
    is refused.

    Raises
    ------
    SlideError
        If there is no such file, or no reader can open it: with each reader's own message and a hint.

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import sam_mil_engine as sme
    >>> with sme.open_slide("cohort/slides/synthetic-001.tiff") as slide:
    ...     image = slide.read_level(0, (200, 160), (128, 64))
    >>> slide.info.size_px0, slide.info.mpp
    ((768, 640), (0.5, 0.5))
    >>> image.shape, image.dtype
    ((64, 128, 3), dtype('uint8'))
    """
    path = Path(path)
    try:
        if path.is_dir() and is_zarr(path):
            return _opened(path, ("zarr",), b"")
        if path.is_dir():
            path = one_file_of_folder(path)
        elif not path.exists():
            raise SlideError("there is no such file", where=path, hint="Check the spelling and the drive")
        elif not path.is_file():
            raise SlideError("it is not a file", where=path, hint="Name the file of a slide")
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise SlideError(
            f"it cannot be read ({error.strerror})", where=path, hint="Check the permissions"
        ) from error
    if not start:
        raise SlideError("the file is empty", where=path, hint="Copy it again from its source")
    check_complete(path)
    return _opened(path, ("openslide",) if has_parts(path) else READERS, start)


def _opened(path: Path, readers: Iterable[str], start: bytes) -> Slide:
    """Open with the first of the readers that can; ``start`` is what the file begins with."""
    refusals: dict[str, SlideError] = {}
    for name in readers:
        try:
            reader = READERS[name](path)
            if reader is not None:
                return _probed(Slide(reader))
        except SlideError as error:
            refusals[name] = error
    raise _refused(path, start, refusals)


def _probed(slide: Slide) -> Slide:
    """Return the slide if one pixel of its coarsest level can be decoded, else close it and raise."""
    level = len(slide.info.level_sizes) - 1
    width, height = slide.info.level_sizes[level]
    failure: SlideError | None = None
    for x, y in _PROBES:
        try:
            slide.read_level(level, (int(x * (width - 1)), int(y * (height - 1))), (1, 1))
        except SlideError as error:
            failure = failure or error
        else:
            return slide
    slide.close()
    reason = None if failure is None else failure.__cause__
    raise SlideError(f"it opens, but its pixels cannot be decoded: {reason or 'it has none'}") from failure


def _refused(path: Path, start: bytes, refusals: Mapping[str, SlideError]) -> SlideError:
    """Build the one error that says what every reader said."""
    known = describe_start(start)
    if refusals:
        words = "; ".join(f"{name}: {error.what}" for name, error in refusals.items())
        own = next((error for error in refusals.values() if error.hint), known)
        what = f"the slide cannot be opened ({words})"
        if own is None or own.hint is None:
            return SlideError(what, where=path, hint=_COPY_AGAIN)
        return SlideError(what, where=path, hint=own.hint, window_hint=own.window_hint)
    if known is not None:
        return SlideError(known.what, where=path, hint=known.hint, window_hint=known.window_hint)
    if has_parts(path):
        return SlideError("OpenSlide finds no slide in it and the files next to it", where=path, hint=_COPY_AGAIN)
    if _is_text(start):
        return SlideError(
            "this is a text file, despite its name",
            where=path,
            hint="A download page may have been saved instead of the slide: download it again",
        )
    return SlideError(
        "no reader supports this format", where=path, hint="If it is a slide, it may be damaged: copy it again"
    )


def _is_text(start: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in start) and start.isascii()
