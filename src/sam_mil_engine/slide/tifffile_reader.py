"""TIFF files that OpenSlide refuses or misreads, through tifffile: OME-TIFF, grey, 16-bit, unmarked pyramids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SlideError
from .facts import WHITE, UInt8Image, exact_downsamples, plausible_mpp
from .handles import HandlePool
from .info import SlideInfo
from .levels import usable_levels
from .ome import missing_files
from .resolution import stated_resolution
from .tiff_header import check_tables, is_tiff, keep_tifffile_quiet, orientation_warnings
from .tiff_images import Place, Size, confirm_levels, find_images, size_of
from .tiff_layout import layout_of, length

if TYPE_CHECKING:
    import tifffile
    from tifffile.zarr import ZarrTiffStore

#: TIFF's numbers of RGB and YCbCr.
_COLOURED = (2, 6)
#: What tifffile calls the ways in which pages lie in a file, and what the format is called here.
_VENDORS = {"ome": "ome-tiff", "generic": "tiff", "uniform": "tiff", "shaped": "tiff"}
#: What is said of a format that tifffile reads less well than OpenSlide, which has refused the file.
_NOTES = {
    "bif": ("Tiles of Ventana slides overlap; here they are not joined, so that cells at their edges show twice.",)
}


@dataclass(frozen=True, slots=True)
class _Handle:
    file: tifffile.TiffFile
    #: The array of every level, and of what may be one.
    arrays: dict[Place, Any]


class TiffReader:
    """A TIFF file read tile by tile (or strip by strip) through tifffile's zarr view."""

    def __init__(self, path: Path):
        self._path = path
        self._places: tuple[Place, ...] = ()
        self._handles: HandlePool[_Handle] = HandlePool(self._open_handle, lambda handle: handle.file.close())
        try:
            with self._handles.borrow() as handle:
                self._read_facts(handle)
        except BaseException:
            self.close()
            raise

    def _read_facts(self, handle: _Handle) -> None:
        images = find_images(handle.file)
        _refuse_missing_plane(handle.file, images.levels[0])
        series = {place: _series(handle.file, place) for place in handle.arrays}
        slide, coarsest = images.levels[0], images.levels[-1]
        self._layout, notes = layout_of(series[slide], handle.arrays[coarsest], size_of(series[coarsest]))

        def read(place: Place, location: Size, size: Size) -> UInt8Image:
            return self._window(handle, place, location, size)

        places = sorted(series, key=lambda place: (-np.prod(size_of(series[place])), place))
        tiles = {place: _tile_size(series[place].keyframe) for place in places}
        usable = usable_levels([size_of(series[place]) for place in places], [tiles[place] for place in places])
        sizes = {places[number]: size for number, size in zip(usable.numbers, usable.sizes, strict=True)}
        self._places, image_notes = confirm_levels(images, sizes, read)
        self._info = _info(
            self._path,
            handle.file,
            series[slide],
            sizes=tuple(sizes[place] for place in self._places),
            tiles=tuple(tiles[place] for place in self._places),
            notes=(*notes, *_NOTES.get(series[slide].kind, ()), *image_notes, *usable.warnings),
        )

    def _open_handle(self) -> _Handle:
        import tifffile
        import zarr

        file = tifffile.TiffFile(self._path)
        try:
            places: Sequence[Place] = self._places
            if not places:
                images = find_images(file)
                places = (*images.levels, *images.candidates)
            return _Handle(file, {place: zarr.open_array(_store(file, place), mode="r") for place in places})
        except BaseException:
            file.close()
            raise

    @property
    def info(self) -> SlideInfo:
        """The facts of the file."""
        return self._info

    def read(self, level: int, location: Size, size: Size) -> UInt8Image:
        """Read a rectangle of a level; see :class:`~sam_mil_engine.slide.slide.SlideReader`."""
        with self._handles.borrow() as handle:
            return self._window(handle, self._places[level], location, size)

    def _window(self, handle: _Handle, place: Place, location: Size, size: Size) -> UInt8Image:
        (left, top), (width, height) = location, size
        values = handle.arrays[place][self._layout.index(top, top + height, left, left + width)]
        return self._layout.to_rgb(np.asarray(values))

    def close(self) -> None:
        """Close the handles of all threads."""
        self._handles.close()


def open_with_tifffile(path: Path) -> TiffReader | None:
    """Open ``path``, or return None if it is not a TIFF."""
    if not is_tiff(path):
        return None
    check_tables(path)
    keep_tifffile_quiet()
    try:
        return TiffReader(path)
    except SlideError:
        raise
    except Exception as error:
        # A damaged file makes tifffile raise almost anything: IndexError, AttributeError, struct.error ...
        raise SlideError(f"{type(error).__name__}: {error}") from error


def _series(file: tifffile.TiffFile, place: Place) -> tifffile.TiffPageSeries:
    return file.series[place[0]].levels[place[1]]


def _store(file: tifffile.TiffFile, place: Place) -> ZarrTiffStore:
    """Return the array of a level; tiles that the file does not have are white, as those of other slides."""
    series = _series(file, place)
    coloured = series.keyframe.photometric in _COLOURED and series.dtype == np.uint8
    return series.aszarr(level=0, fillvalue=WHITE if coloured else 0)


def _refuse_missing_plane(file: tifffile.TiffFile, slide: Place) -> None:
    """Refuse OME-TIFF files whose shown planes lie in a file that is missing: tifffile fills them with zeros."""
    series = _series(file, slide)
    shown = list(series) if length(series, "C") > 1 else [series[0]]
    if all(page is not None for page in shown):
        return
    missing = missing_files(file.ome_metadata or "", Path(file.filehandle.dirname))
    raise SlideError(
        f"the image lies in other files, which are missing: {', '.join(missing) or 'they are not named'}",
        hint="Copy all files of the set into one folder",
    )


def _tile_size(page: tifffile.TiffPage) -> Size | None:
    return (page.tilewidth, page.tilelength) if page.is_tiled else None


def _info(
    path: Path,
    file: tifffile.TiffFile,
    slide: tifffile.TiffPageSeries,
    *,
    sizes: tuple[Size, ...],
    tiles: tuple[Size | None, ...],
    notes: tuple[str, ...],
) -> SlideInfo:
    page = slide.keyframe
    mpp_x, mpp_y, power = stated_resolution(file, page, sizes[0])
    mpp, mpp_notes = plausible_mpp(mpp_x, mpp_y)
    profile = page.tags.get("InterColorProfile")
    return SlideInfo(
        path=path,
        reader="tifffile",
        vendor=_VENDORS.get(slide.kind, slide.kind),
        size_px0=sizes[0],
        level_sizes=sizes,
        level_downsamples=exact_downsamples(sizes),
        mpp=mpp,
        objective_power=power,
        icc_profile=None if profile is None else bytes(profile.value),
        tile_sizes=tiles,
        warnings=(*notes, *mpp_notes, *orientation_warnings(path)),
    )
