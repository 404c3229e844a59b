"""SAMs by name: the one that comes with the package, published ones, added ones, and checkpoints by path."""

from __future__ import annotations

from dataclasses import dataclass

from segment_anything.modeling import Sam

from .checkpoints import load_sam
from .published import sam_files
from .registry import find_checkpoint
from .tissue_sam.bundle import NAME, digest
from .tissue_sam.model import load_tissue_sam


@dataclass(frozen=True, slots=True)
class NamedSam:
    """A SAM in evaluation mode, what it is called, and the first digits of its checksum."""

    sam: Sam
    name: str
    version: str


def load_named_sam(name: str, *, device: str = "auto") -> NamedSam:
    """Load a SAM by its name or by the path of its checkpoint.

    Raises
    ------
    SegmentError
        If there is none, or its weights are missing, damaged or of another shape.
    """
    if name == NAME:
        return NamedSam(load_tissue_sam(device=device), NAME, digest()[:16])
    path, sha256 = find_checkpoint(name)
    called = name if name in sam_files() else path.stem
    return NamedSam(load_sam(path, device=device), called, sha256[:16])
