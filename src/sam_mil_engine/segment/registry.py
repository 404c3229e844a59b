"""The seam between segmenters and everything else, and the list of those that exist. Does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import SegmentError
from ..model_files import ModelFile, file_sha256
from ..progress import ProgressCallback, silent
from ..settings import SegmentSettings
from .image import SegmentationImage
from .segments import Segments

_META = "https://dl.fbaipublicfiles.com/segment_anything"
#: Meta's published checkpoints, the largest first: the order in which ``auto`` takes them.
SAM_FILES: dict[str, ModelFile] = {
    file.name: file
    for file in (
        ModelFile(
            "vit_h",
            "Segment Anything, ViT-H image encoder (the paper's)",
            "sam_vit_h_4b8939.pth",
            f"{_META}/sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            "Apache-2.0",
            2565,
        ),
        ModelFile(
            "vit_l",
            "Segment Anything, ViT-L image encoder",
            "sam_vit_l_0b3195.pth",
            f"{_META}/sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            "Apache-2.0",
            1250,
        ),
        ModelFile(
            "vit_b",
            "Segment Anything, ViT-B image encoder (the fastest)",
            "sam_vit_b_01ec64.pth",
            f"{_META}/sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            "Apache-2.0",
            375,
        ),
    )
}


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
        )
    ]
    listed += [
        SegmenterDescription(file.name, file.what, file.path.is_file(), file.licence, file.url, file.sha256)
        for file in SAM_FILES.values()
    ]
    return listed


def load_segmenter(
    name: str = "auto", *, settings: SegmentSettings | None = None, device: str = "auto"
) -> Segmenter:
    """Return the segmenter called ``name``.

    Parameters
    ----------
    name
        ``regions``; ``vit_b``, ``vit_l`` or ``vit_h`` (looked for in the folder of weight files); the path of a
        checkpoint of one of these shapes; or ``auto``: the largest SAM in that folder, else ``regions``.
    settings
        Its settings; the name in them is not looked at.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``; ``regions`` always runs on the CPU.

    Raises
    ------
    SegmentError
        If the name is unknown, or its weights are missing, damaged or of another shape.
    """
    settings = settings or SegmentSettings()
    if name == "auto":
        name = next((file.name for file in SAM_FILES.values() if file.path.is_file()), "regions")
    if name in _BUILDERS:
        return _BUILDERS[name](settings)
    path, digest = find_checkpoint(name)
    from .automatic import AutomaticSegmenter
    from .checkpoints import load_sam

    return AutomaticSegmenter(
        load_sam(path, device=device),
        name=name if name in SAM_FILES else path.stem,
        version=digest[:16],
        settings=settings,
    )


def find_checkpoint(name: str) -> tuple[Path, str]:
    """Path and SHA-256 of the SAM checkpoint called ``name``: a published name or a path."""
    if name in SAM_FILES:
        return SAM_FILES[name].find(error=SegmentError)
    path = Path(name).expanduser()
    if path.is_file():
        return path, file_sha256(path)
    if path.suffix in {".pth", ".pt"} or len(path.parts) > 1:
        raise SegmentError("there is no such checkpoint file", where=path, hint="Check the path")
    known = ", ".join(["auto", *_BUILDERS, *SAM_FILES])
    raise SegmentError(
        f"there is no segmenter {name!r}", hint=f"Choose one of {known}, or the path of a SAM checkpoint (.pth)"
    )


def _regions(settings: SegmentSettings) -> Segmenter:
    from .regions import RegionSegmenter

    return RegionSegmenter(settings)


#: Segmenters that need no file: one line for each.
_BUILDERS: dict[str, Callable[[SegmentSettings], Segmenter]] = {"regions": _regions}
