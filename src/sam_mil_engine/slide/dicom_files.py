"""DICOM files in one folder: which belong to one slide, and what a file is if it is not a slide."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SlideError

#: SOP class of "VL Whole Slide Microscopy Image Storage".
SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"


@dataclass(frozen=True, slots=True)
class Optics:
    """What the optical path of a slide states."""

    objective_power: float | None = None
    icc_profile: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Header:
    sop_class: str
    sop_class_name: str
    series: str
    flavour: tuple[str, ...]
    optics: Optics


def is_dicom(path: Path) -> bool:
    """Whether the file carries DICOM's mark after its preamble."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def describe_other_object(path: Path) -> str | None:
    """Name of the DICOM object that the file holds, or None where that is the image of a slide."""
    header = _header(path)
    return None if header.sop_class == SLIDE_IMAGE else header.sop_class_name.removesuffix(" Storage")


def series_files(path: Path) -> list[Path]:
    """Return ``path`` and the files of its folder that belong to the same series."""
    series = _header(path).series
    others = [file for file in _dicom_files(path.parent) if file != path and _header(file).series == series]
    return [path, *others]


def optics_of(path: Path) -> Optics:
    """Read the optical path of the slide that ``path`` belongs to, from its volume where there is one."""
    headers = [_header(file) for file in series_files(path)]
    return next((header.optics for header in headers if "VOLUME" in header.flavour), headers[0].optics)


def resampled_warnings(flavours: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """One sentence where all levels of a slide are marked as resampled, else nothing.

    Parameters
    ----------
    flavours
        The image type (0008,0008) of every file of the slide.
    """
    levels = [flavour for flavour in flavours if "VOLUME" in flavour]
    if not levels or not all(flavour[-1] == "RESAMPLED" for flavour in levels):
        return ()
    return ("All levels are marked as resampled: the slide in full resolution may be missing from the files.",)


def flavours_of(path: Path) -> list[tuple[str, ...]]:
    """Image types of all files of the slide that ``path`` belongs to."""
    return [_header(file).flavour for file in series_files(path)]


def why_not_a_slide(path: Path) -> str | None:
    """Say why a file of the right class may still not open, or None."""
    flavour = _header(path).flavour
    if not flavour:
        return "The file does not state its image type (0008,0008), which every DICOM slide has to"
    if "VOLUME" not in flavour:
        kind = flavour[2].lower() if len(flavour) > 2 else "side"
        return f"This is the {kind} image of a slide: put the files of the slide itself into the same folder"
    return None


def one_file_a_series(files: Iterable[Path]) -> list[Path]:
    """Return one file of every DICOM series of slide images among ``files``, a volume where there is one."""
    chosen: dict[str, Path] = {}
    for file in files:
        header = _header(file)
        if header.sop_class == SLIDE_IMAGE and (header.series not in chosen or "VOLUME" in header.flavour):
            chosen[header.series] = file
    return list(chosen.values())


def one_file_of_folder(folder: Path) -> Path:
    """Return the file of a folder that stands for its only DICOM series of slide images, a volume if there is one.

    Raises
    ------
    SlideError
        If the folder holds no such series, or several.
    """
    chosen = one_file_a_series(_dicom_files(folder))
    if len(chosen) == 1:
        return chosen[0]
    raise SlideError(
        f"this folder holds {len(chosen)} DICOM slides" if chosen else "this is a folder, not a slide",
        where=folder,
        hint="Name one file in it" + ("" if chosen else " (of a MIRAX slide, the .mrxs file beside the folder)"),
    )


def _dicom_files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.iterdir()) if file.is_file() and is_dicom(file))


def _header(path: Path) -> _Header:
    from pydicom import dcmread
    from pydicom.uid import UID

    tags = ["SOPClassUID", "SeriesInstanceUID", "ImageType", "OpticalPathSequence"]
    try:
        with warnings.catch_warnings():
            # pydicom warns of values that are longer than the standard allows; the slide's own reader reports them.
            warnings.simplefilter("ignore")
            file = dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
            paths = file.get("OpticalPathSequence")
            power = paths[0].get("ObjectiveLensPower") if paths else None
            profile = paths[0].get("ICCProfile") if paths else None
            return _Header(
                sop_class=str(file.get("SOPClassUID")),
                sop_class_name=UID(str(file.get("SOPClassUID"))).name,
                series=str(file.get("SeriesInstanceUID")),
                flavour=tuple(str(value) for value in file.get("ImageType") or ()),
                optics=Optics(float(power) if power else None, bytes(profile) if profile else None),
            )
    except Exception as error:
        # A damaged header makes pydicom raise almost anything.
        raise SlideError(f"its DICOM header cannot be read ({error})", where=path) from error
