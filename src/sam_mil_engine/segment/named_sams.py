"""SAMs by name: the one that comes with the package, published ones, added ones, and checkpoints by path."""

from __future__ import annotations

from dataclasses import dataclass

from segment_anything.modeling import Sam

from ..models.segmenters import TISSUE_SAM
from .checkpoints import find_checkpoint, load_sam
from .tissue_sam.bundle import digest
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
    if name == TISSUE_SAM:
        return NamedSam(load_tissue_sam(device=device), name, digest()[:16])
    checkpoint = find_checkpoint(name)
    return NamedSam(load_sam(checkpoint.path, device=device), checkpoint.name, checkpoint.sha256[:16])
