"""Published SAMs. Sizes and checksums are those of the published files, as far as they are stated.

The digits in the names of Meta's files are the first of their MD5, not of the SHA-256. Meta states no SHA-256 of
SAM 2.1: these are of copies of its files on the Hugging Face hub (camenduru/sam2-1-hiera). For PathoSAM there is
none: micro-sam's registry pins an xxh128 (vit_b ffd1a2cd84570458b257bd95fdd8f974, vit_l
b591833c89754271023e901281dee3f2, vit_h bd1856dafc156a43fb3aa705f1a6e92e). Its files are checked by their shape when
they are fetched, added and loaded.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from .card import ModelCard

_META = "https://dl.fbaipublicfiles.com/segment_anything"
_META2 = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"
_PATHO = "https://owncloud.gwdg.de/index.php/s"
_SAM_BUILDER = "sam_mil_engine.segment.automatic:build_segmenter"

#: Card of a SAM, which takes prompts too.
sam_card = partial(ModelCard, kind="segmenter", builder=_SAM_BUILDER, prompts=True)
#: Card of a SAM of Meta's size.
_meta = partial(
    sam_card, citation="Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643", input_size=1024
)
_sam2 = partial(
    sam_card,
    citation="Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024, arXiv:2408.00714",
    input_size=1024,
    needs="transformers",
    extra="sam2",
)
_patho = partial(
    sam_card,
    licence="code MIT; of the weights not stated",
    citation="Griebel, Archit and Pape, Segment Anything for Histopathology, MIDL 2025, arXiv:2502.00408",
    input_size=1024,
    size_is_exact=False,
)

MOBILE_SAM = sam_card(
    name="mobile_sam",
    what="MobileSAM, SAM with a small TinyViT image encoder",
    title="MobileSAM",
    file="mobile_sam.pt",
    source="https://github.com/ChaoningZhang/MobileSAM/raw/f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/mobile_sam.pt",
    sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    size=40728226,
    citation="Zhang et al., Faster Segment Anything, 2023, arXiv:2306.14289",
    input_size=1024,
    needs="mobile_sam",
    extra="mobilesam",
    distribution="mobilesam-mirror",
)
SAM2_TINY = _sam2(
    name="sam2-tiny",
    what="SAM 2.1, Hiera-T image encoder (the fastest)",
    title="SAM 2.1 Tiny",
    file="sam2.1_hiera_tiny.pt",
    source=f"{_META2}/sam2.1_hiera_tiny.pt",
    sha256="7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
    size=156008466,
)

#: Meta's SAMs stand with the largest first: the order in which ``auto`` takes them.
PUBLISHED_SAMS = (
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
    SAM2_TINY,
    _sam2(
        name="sam2-small",
        what="SAM 2.1, Hiera-S image encoder",
        title="SAM 2.1 Small",
        file="sam2.1_hiera_small.pt",
        source=f"{_META2}/sam2.1_hiera_small.pt",
        sha256="6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
        size=184416285,
    ),
    _sam2(
        name="sam2-base-plus",
        what="SAM 2.1, Hiera-B+ image encoder",
        title="SAM 2.1 Base+",
        file="sam2.1_hiera_base_plus.pt",
        source=f"{_META2}/sam2.1_hiera_base_plus.pt",
        sha256="a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
        size=323606802,
    ),
    _sam2(
        name="sam2-large",
        what="SAM 2.1, Hiera-L image encoder",
        title="SAM 2.1 Large",
        file="sam2.1_hiera_large.pt",
        source=f"{_META2}/sam2.1_hiera_large.pt",
        sha256="2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        size=898083611,
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
    _patho(
        name="pathosam-b",
        what="PathoSAM, ViT-B trained on nuclei in histopathology",
        title="PathoSAM ViT-B",
        file="pathosam_vit_b.pt",
        source=f"{_PATHO}/sBB4H8CTmIoBZsQ/download",
        size=375_000_000,
    ),
    _patho(
        name="pathosam-l",
        what="PathoSAM, ViT-L trained on nuclei in histopathology",
        title="PathoSAM ViT-L",
        file="pathosam_vit_l.pt",
        source=f"{_PATHO}/IZgnn1cpBq2PHod/download",
        size=1_250_000_000,
    ),
    _patho(
        name="pathosam-h",
        what="PathoSAM, ViT-H trained on nuclei in histopathology",
        title="PathoSAM ViT-H",
        file="pathosam_vit_h.pt",
        source=f"{_PATHO}/L7AcvVz7DoWJ2RZ/download",
        size=2_560_000_000,
    ),
    MOBILE_SAM,
)


def with_name(card: ModelCard) -> ModelCard:
    """Let the builder of all SAMs know which one is asked for."""
    return replace(card, options={"name": card.name}) if card.builder == _SAM_BUILDER else card
