"""Segmenters by name. Does not import torch."""

from __future__ import annotations

from ..errors import SegmentError
from ..models.registry import build, find
from ..models.segmenters import checkpoint_card, largest_of_metas
from ..settings import EMBEDDED_SEGMENTER, SegmentSettings
from .segmenter import Segmenter


def load_segmenter(
    name: str = SegmentSettings().segmenter, *, settings: SegmentSettings | None = None, device: str = "auto"
) -> Segmenter:
    """Return the segmenter called ``name``.

    Parameters
    ----------
    name
        ``regions``, ``stain-regions`` or ``tissue-regions``; ``tissue-sam``; ``vit_b``, ``vit_l``, ``vit_h``,
        ``medsam``, ``mobile_sam`` or an added name (looked for in the folder of weight files); the path of a
        checkpoint of one of these shapes; one of another package (:mod:`sam_mil_engine.models.registry`); or
        ``auto``: the largest of Meta's SAMs in that folder, else ``tissue-regions``.
    settings
        Its settings; the name in them is ignored.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``; regions are found on the CPU, whatever the device.

    Raises
    ------
    SegmentError
        If the name is unknown, or its weights are missing, damaged or of another shape.

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import sam_mil_engine as sme
    >>> from sam_mil_engine.segment.image import segmentation_image
    >>> from sam_mil_engine.settings import SegmentSettings, TissueSettings
    >>> from sam_mil_engine.slide.tissue import find_tissue
    >>> with sme.open_slide("cohort/slides/synthetic-001.tiff") as slide:
    ...     tissue = find_tissue(slide, TissueSettings())
    ...     image = segmentation_image(slide, tissue, SegmentSettings())
    >>> segments = sme.load_segmenter("stain-regions").segment(image)
    >>> segments.label_image().shape == image.tissue.shape, len(segments) > 0
    (True, True)
    """
    settings = settings or SegmentSettings()
    if name == "auto":
        name = automatic_segmenter()
    card = find("segmenter", name, error=SegmentError) or checkpoint_card(name)
    segmenter: Segmenter = build(card, error=SegmentError, settings=settings, device=device)
    return segmenter


def automatic_segmenter() -> str:
    """Return what ``auto`` stands for on this computer."""
    return largest_of_metas() or EMBEDDED_SEGMENTER
