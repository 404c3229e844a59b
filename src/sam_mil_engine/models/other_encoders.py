"""Encoders of pathology that transformers, open_clip or a package of their own build."""

from __future__ import annotations

from functools import partial

from .card import ModelCard
from .hub_cards import hub_card

_CONCH_PAPER = (
    "Lu et al., A visual-language foundation model for computational pathology, Nature Medicine 2024,"
    " doi:10.1038/s41591-024-02856-4"
)
_hibou = partial(
    hub_card,
    licence="Apache-2.0",
    citation="Nechaev et al., Hibou: a family of foundational vision transformers for pathology, 2024,"
    " arXiv:2406.05074",
    library="transformers",
    normalisation="Hibou",
    architecture="dinov2-registers",
)

OTHER_ENCODERS: tuple[ModelCard, ...] = (
    hub_card(
        "phikon",
        "owkin/phikon",
        "Phikon, ViT-B/16 trained with iBOT on TCGA",
        licence="Owkin non-commercial",
        citation="Filiot et al., Scaling self-supervised learning for histopathology with masked image modeling,"
        " medRxiv 2023, doi:10.1101/2023.07.21.23292757",
        library="transformers",
        dim=768,
        architecture="vit",
    ),
    hub_card(
        "phikon-v2",
        "owkin/phikon-v2",
        "Phikon-v2, ViT-L/16 trained with DINOv2",
        licence="Owkin non-commercial",
        citation="Filiot et al., Phikon-v2, a large and public feature extractor for biomarker prediction, 2024,"
        " arXiv:2409.09173",
        library="transformers",
        dim=1024,
        architecture="dinov2",
    ),
    hub_card(
        "midnight-12k",
        "kaiko-ai/midnight",
        "Midnight-12k, ViT-g/14, trained at 0.25 to 2 µm; class token and mean of patch tokens",
        licence="MIT",
        citation="Karasikov et al., Training state-of-the-art pathology foundation models with orders of magnitude"
        " less data, 2025, arXiv:2504.05186",
        library="transformers",
        dim=3072,
        normalisation="0.5",
        architecture="dinov2",
        mean_of_patches=True,
    ),
    _hibou("hibou-b", "histai/hibou-b", "Hibou-B, ViT-B/14 with 4 register tokens", dim=768),
    _hibou("hibou-l", "histai/hibou-L", "Hibou-L, ViT-L/14 with 4 register tokens", gated=True, dim=1024),
    hub_card(
        "quiltnet",
        "wisdomik/QuiltNet-B-32",
        "QuiltNet, CLIP ViT-B/32 trained on Quilt-1M",
        licence="MIT",
        citation="Ikezogwo et al., Quilt-1M: one million image-text pairs for histopathology, NeurIPS 2023,"
        " arXiv:2306.11207",
        library="open_clip",
        dim=512,
        mpp=None,
        normalisation="OpenAI CLIP",
    ),
    hub_card(
        "conch",
        "MahmoodLab/CONCH",
        "CONCH, the image half, ViT-B/16; needs its authors' package",
        licence="CC-BY-NC-ND-4.0",
        citation=_CONCH_PAPER,
        gated=True,
        library="conch",
        dim=512,
        input_size=448,
        normalisation="OpenAI CLIP",
    ),
    ModelCard(
        name="conch-v1.5",
        kind="encoder",
        what="CONCH v1.5, the image half, ViT-L/16",
        builder="",
        aliases=("hf:MahmoodLab/conchv1_5",),
        source="https://huggingface.co/MahmoodLab/conchv1_5",
        licence="CC-BY-NC-ND-4.0",
        citation="Ding et al., A multimodal whole-slide foundation model for pathology, Nature Medicine 2025,"
        " arXiv:2411.19666",
        gated=True,
        elsewhere="Its code is part of TRIDENT: extract the features there with the encoder conch_v15, and import"
        " them",
        input_size=448,
        dim=768,
        mpp=0.5,
        normalisation="ImageNet",
    ),
)
