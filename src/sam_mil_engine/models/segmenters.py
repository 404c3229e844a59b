"""The segmenters: those without weights, published SAMs, the one that comes with the package, and added ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .card import ModelCard
from .files import models_folder
from .published_sams import PUBLISHED_SAMS, sam_card, with_name

#: Reads a checkpoint into a SAM.
CHECKPOINT_READER = "sam_mil_engine.segment.checkpoints:load_sam"
#: The source of a SAM that the user added.
ADDED = "added by you"
#: The SAM that comes with the package.
TISSUE_SAM = "tissue-sam"
#: Regions merged by what it sees.
TISSUE_REGIONS = "tissue-regions"

#: Every segmenter by its name; to add a segmenter, add its card here.
SEGMENTERS: dict[str, ModelCard] = {
    card.name: with_name(card)
    for card in (
        ModelCard(
            name="regions",
            kind="segmenter",
            what="nested regions of like colour (SLIC and Ward); needs no weights",
            builder="sam_mil_engine.segment.regions:build_regions",
            citation="Achanta et al., SLIC superpixels, TPAMI 34(11), 2012; Ward, JASA 58, 1963",
        ),
        ModelCard(
            name="stain-regions",
            kind="segmenter",
            what="the same of like stain and texture: less shattered; needs no weights",
            builder="sam_mil_engine.segment.regions:build_stain_regions",
            citation="as regions; Ruifrok and Johnston, color deconvolution, Anal Quant Cytol Histol 23, 2001",
        ),
        ModelCard(
            name=TISSUE_REGIONS,
            kind="segmenter",
            what="nested regions of what tissue-sam sees as one tissue, and of like stain; comes with its weights",
            builder="sam_mil_engine.segment.tissue_regions:build_tissue_regions",
            citation="as stain-regions; see the card of tissue-sam",
        ),
        *PUBLISHED_SAMS,
        sam_card(
            name=TISSUE_SAM,
            what="a small SAM for tissue, mainly for prompts; comes with its weights",
            citation="Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643; see its card",
            input_size=512,
        ),
    )
}
#: What ``auto`` takes: not the SAMs of others (MedSAM answers boxes) and not those that need a package.
_AUTOMATIC = ("vit_h", "vit_l", "vit_b")


def largest_of_metas() -> str | None:
    """Return the name of the largest of Meta's SAMs on this machine: what ``auto`` takes; None if there is none."""
    return next((name for name in _AUTOMATIC if SEGMENTERS[name].on_disk), None)


def added_folder() -> Path:
    """Folder of the SAM checkpoints that the user added under names of their own."""
    return models_folder() / "added"


def added_sams() -> dict[str, ModelCard]:
    """SAM checkpoints that the user added, by name."""
    return {path.stem: _added_card(path) for path in sorted(added_folder().glob("*.pth"))}


def checkpoint_card(name: str) -> ModelCard:
    """Card of a SAM whose checkpoint has the path ``name``."""
    return with_name(sam_card(name=name, what="a checkpoint of a SAM", source=name, licence="see its source"))


def _added_card(path: Path) -> ModelCard:
    return replace(
        checkpoint_card(path.stem),
        what="a SAM that you added",
        file=str(path.relative_to(models_folder())),
        size=path.stat().st_size,
        source=ADDED,
    )
