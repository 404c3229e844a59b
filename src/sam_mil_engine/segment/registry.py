"""The seam between segmenters and everything else, and the list of those that exist. Does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from ..errors import SegmentError
from ..model_files import file_sha256
from ..progress import ProgressCallback, silent
from ..settings import SegmentSettings
from .image import SegmentationImage
from .published import added_sams, largest_of_metas, sam_files
from .segments import Segments
from .tissue_sam.bundle import NAME as TISSUE_SAM
from .tissue_sam.bundle import its_own


class Segmenter(Protocol):
    """Picture -> segments."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the segments may: part of the key under which results are kept."""
        ...

    def segment(self, picture: SegmentationImage, *, progress: ProgressCallback = silent) -> Segments:
        """Find the segments of a picture; raises :class:`SegmentError` where that is not possible."""
        ...


@dataclass(frozen=True, slots=True)
class SegmenterDescription:
    """One line of the list of segmenters; ``url`` and ``sha256`` are empty where no file is needed."""

    name: str
    what: str
    on_disk: bool
    licence: str
    url: str = ""
    sha256: str = ""


def available_segmenters() -> list[SegmenterDescription]:
    """All segmenters that have a name, and whether their weights are on this machine."""
    listed = [
        SegmenterDescription(
            "regions", "nested regions of like colour (SLIC and Ward); needs no weights", True, "Apache-2.0"
        ),
        SegmenterDescription(
            "stain-regions",
            "the same of like stain and texture: less shattered; needs no weights",
            True,
            "Apache-2.0",
        ),
    ]
    listed += [
        SegmenterDescription(file.name, file.what, file.path.is_file(), file.licence, file.url, file.sha256)
        for file in sam_files().values()
        if not file.needs or find_spec(file.needs)
    ]
    listed.append(
        SegmenterDescription(
            TISSUE_SAM, "a small SAM for tissue, mainly for prompts; comes with its weights", True, "Apache-2.0"
        )
    )
    listed += [SegmenterDescription(name, "a SAM that you added", True, "see its source") for name in added_sams()]
    return listed


def load_segmenter(
    name: str = "auto", *, settings: SegmentSettings | None = None, device: str = "auto"
) -> Segmenter:
    """Return the segmenter called ``name``.

    Parameters
    ----------
    name
        ``regions`` or ``stain-regions``; ``tissue-sam``; ``vit_b``, ``vit_l``, ``vit_h``, ``medsam``,
        ``mobile_sam`` or an added name (looked for in the folder of weight files); the path of a checkpoint of one
        of these shapes; or
        ``auto``: the largest of Meta's SAMs in that folder, else ``regions``.
    settings
        Its settings; the name in them is not looked at.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``; regions are always found on the CPU.

    Raises
    ------
    SegmentError
        If the name is unknown, or its weights are missing, damaged or of another shape.
    """
    settings = settings or SegmentSettings()
    if name == "auto":
        name = automatic_segmenter()
    if name in WITHOUT_WEIGHTS:
        return WITHOUT_WEIGHTS[name](settings)
    from .automatic import AutomaticSegmenter
    from .named_sams import load_named_sam

    found = load_named_sam(name, device=device)
    if found.name == TISSUE_SAM:
        settings = its_own(settings)
    return AutomaticSegmenter(found.sam, name=found.name, version=found.version, settings=settings)


def automatic_segmenter() -> str:
    """Return what ``auto`` stands for on this computer."""
    return largest_of_metas() or "regions"


def find_checkpoint(name: str) -> tuple[Path, str]:
    """Path and SHA-256 of the SAM checkpoint called ``name``: a published or an added name, or a path."""
    if name in sam_files():
        return sam_files()[name].find(error=SegmentError)
    path = added_sams().get(name) or Path(name).expanduser()
    if path.is_file():
        return path, file_sha256(path)
    if path.suffix in {".pth", ".pt"} or len(path.parts) > 1:
        raise SegmentError("there is no such checkpoint file", where=path, hint="Check the path")
    known = ", ".join(["auto", *WITHOUT_WEIGHTS, TISSUE_SAM, *sam_files(), *added_sams()])
    raise SegmentError(
        f"there is no segmenter {name!r}", hint=f"Choose one of {known}, or the path of a SAM checkpoint (.pth)"
    )


def _regions(settings: SegmentSettings) -> Segmenter:
    from .regions import RegionSegmenter

    return RegionSegmenter(settings)


def _stain_regions(settings: SegmentSettings) -> Segmenter:
    from .regions import StainRegionSegmenter

    return StainRegionSegmenter(settings)


#: Segmenters that need no file, and take no prompts: one line for each.
WITHOUT_WEIGHTS: dict[str, Callable[[SegmentSettings], Segmenter]] = {
    "regions": _regions,
    "stain-regions": _stain_regions,
}
