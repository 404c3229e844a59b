"""The segmenters: those without weights, published SAMs, the one that comes with the package, and added ones.

Sizes and checksums are those of the published files.
The digits in the names of Meta's files are the first of their MD5, not of the SHA-256.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from .card import ModelCard
from .files import models_folder

_META = "https://dl.fbaipublicfiles.com/segment_anything"
_SAM_PAPER = "Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643"
_SAM_BUILDER = "sam_mil_engine.segment.automatic:build_segmenter"
#: Reads a checkpoint into a SAM.
CHECKPOINT_READER = "sam_mil_engine.segment.checkpoints:load_sam"
#: The source of a SAM that the user added.
ADDED = "added by you"
#: The SAM that comes with the package.
TISSUE_SAM = "tissue-sam"
#: Regions merged by what it sees.
TISSUE_REGIONS = "tissue-regions"


#: Card of a SAM, which takes prompts too.
_sam = partial(ModelCard, kind="segmenter", builder=_SAM_BUILDER, prompts=True)
#: Card of a SAM of Meta's size.
_meta = partial(_sam, citation=_SAM_PAPER, input_size=1024)


def _with_name(card: ModelCard) -> ModelCard:
    """Let the builder of all SAMs know which one is asked for."""
    return replace(card, options={"name": card.name}) if card.builder == _SAM_BUILDER else card


#: Every segmenter by its name; to add a segmenter, add its card here. Meta's SAMs stand with the largest first: the
#: order in which ``auto`` takes them.
SEGMENTERS: dict[str, ModelCard] = {
    card.name: _with_name(card)
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
        _meta(
            name="vit_h",
            what="Segment Anything, ViT-H image encoder (the paper's)",
            title="SAM ViT-H",
            file="sam_vit_h_4b8939.pth",
            source=f"{_META}/sam_vit_h_4b8939.pth",
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            size=2564550879,
        ),
        _meta(
            name="vit_l",
            what="Segment Anything, ViT-L image encoder",
            title="SAM ViT-L",
            file="sam_vit_l_0b3195.pth",
            source=f"{_META}/sam_vit_l_0b3195.pth",
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            size=1249524607,
        ),
        _meta(
            name="vit_b",
            what="Segment Anything, ViT-B image encoder (the fastest)",
            title="SAM ViT-B",
            file="sam_vit_b_01ec64.pth",
            source=f"{_META}/sam_vit_b_01ec64.pth",
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            size=375042383,
        ),
        _meta(
            name="medsam",
            what="MedSAM, ViT-B trained on medical images; made for prompts with boxes",
            title="MedSAM",
            file="medsam_vit_b.pth",
            source="https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
            sha256="34b34b78c1d18cb8c6bf84cf9c00e135d6d6c965699f3c0e31ef1bc9dcb5be74",
            licence="CC-BY-4.0",
            size=375049145,
            citation="Ma et al., Segment anything in medical images, Nature Communications 15, 654 (2024)",
        ),
        _meta(
            name="mobile_sam",
            what="MobileSAM, SAM with a small TinyViT image encoder",
            title="MobileSAM",
            file="mobile_sam.pt",
            source="https://github.com/ChaoningZhang/MobileSAM/raw/f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/mobile_sam.pt",
            sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            size=40728226,
            citation="Zhang et al., Faster Segment Anything, 2023, arXiv:2306.14289",
            needs="mobile_sam",
        ),
        _sam(
            name=TISSUE_SAM,
            what="a small SAM for tissue, mainly for prompts; comes with its weights",
            citation="Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643; see its card",
            input_size=512,
        ),
    )
}
#: What ``auto`` takes: not the SAMs of others (MedSAM answers boxes; MobileSAM needs a package).
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
    return _with_name(_sam(name=name, what="a checkpoint of a SAM", source=name, licence="see its source"))


def _added_card(path: Path) -> ModelCard:
    return replace(
        checkpoint_card(path.stem),
        what="a SAM that you added",
        file=str(path.relative_to(models_folder())),
        size=path.stat().st_size,
        source=ADDED,
    )
