"""Encoders of pathology that timm builds. What the authors pass to ``timm.create_model`` is from their pages."""

from __future__ import annotations

from functools import partial

from .card import ModelCard
from .hub_cards import hub_card

_NC_ND = "CC-BY-NC-ND-4.0"
_SWIGLU = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}
_UNI2_SHAPE = {
    "img_size": 224,
    "patch_size": 14,
    "depth": 24,
    "num_heads": 24,
    "init_values": 1e-5,
    "embed_dim": 1536,
    "mlp_ratio": 2.66667 * 2,
    "no_embed_class": True,
    "reg_tokens": 8,
    **_SWIGLU,
}
_UNI_PAPER = (
    "Chen et al., Towards a general-purpose foundation model for computational pathology,"
    " Nature Medicine 2024, doi:10.1038/s41591-024-02857-3"
)
_kaiko = partial(
    hub_card,
    licence="Kaiko non-commercial",
    citation="kaiko.ai et al., Towards large-scale training of pathology foundation models, 2024, arXiv:2404.15217",
    normalisation="0.5",
    arguments={"dynamic_img_size": True},
)

TIMM_ENCODERS: tuple[ModelCard, ...] = (
    hub_card(
        "uni",
        "MahmoodLab/UNI",
        "UNI, ViT-L/16",
        licence=_NC_ND,
        citation=_UNI_PAPER,
        gated=True,
        dim=1024,
        arguments={"init_values": 1e-5},
    ),
    hub_card(
        "uni2-h",
        "MahmoodLab/UNI2-h",
        "UNI 2, ViT-H/14 with 8 register tokens",
        licence=_NC_ND,
        citation=_UNI_PAPER,
        gated=True,
        dim=1536,
        arguments=_UNI2_SHAPE,
    ),
    hub_card(
        "virchow",
        "paige-ai/Virchow",
        "Virchow, ViT-H/14; class token and mean of patch tokens",
        licence="Apache-2.0",
        citation="Vorontsov et al., A foundation model for clinical-grade computational pathology and rare"
        " cancers detection, Nature Medicine 2024, doi:10.1038/s41591-024-03141-0",
        gated=True,
        dim=2560,
        arguments=_SWIGLU,
        mean_of_patches=True,
    ),
    hub_card(
        "virchow2",
        "paige-ai/Virchow2",
        "Virchow 2, ViT-H/14 with 4 register tokens, trained at 0.25 to 2 µm; class token and mean of patch tokens",
        licence=_NC_ND,
        citation="Zimmermann et al., Virchow2: scaling self-supervised mixed magnification models in pathology,"
        " 2024, arXiv:2408.00738",
        gated=True,
        dim=2560,
        arguments=_SWIGLU,
        mean_of_patches=True,
    ),
    hub_card(
        "h-optimus-0",
        "bioptimus/H-optimus-0",
        "H-optimus-0, ViT-g/14 with 4 register tokens",
        licence="Apache-2.0",
        citation="Saillard et al., H-optimus-0, Bioptimus 2024",
        gated=True,
        dim=1536,
        normalisation="H-optimus",
        arguments={"init_values": 1e-5, "dynamic_img_size": False},
    ),
    hub_card(
        "h-optimus-1",
        "bioptimus/H-optimus-1",
        "H-optimus-1, ViT-g/14 with 4 register tokens",
        licence=_NC_ND,
        citation="Bioptimus, H-optimus-1, 2025",
        gated=True,
        dim=1536,
        normalisation="H-optimus",
        arguments={"init_values": 1e-5, "dynamic_img_size": False},
    ),
    hub_card(
        "h0-mini",
        "bioptimus/H0-mini",
        "H0-mini, ViT-B/14 distilled from H-optimus-0; class token and mean of patch tokens",
        licence=_NC_ND,
        citation="Filiot et al., Distilling foundation models for robust and efficient models in digital pathology,"
        " 2025, arXiv:2501.16239",
        gated=True,
        dim=1536,
        normalisation="H-optimus",
        arguments=_SWIGLU,
        mean_of_patches=True,
    ),
    hub_card(
        "prov-gigapath",
        "prov-gigapath/prov-gigapath",
        "Prov-GigaPath, its patch encoder, ViT-g/16",
        licence="Apache-2.0",
        citation="Xu et al., A whole-slide foundation model for digital pathology from real-world data,"
        " Nature 2024, doi:10.1038/s41586-024-07441-w",
        gated=True,
        dim=1536,
    ),
    *(
        _kaiko(
            f"kaiko-vit{short}",
            f"1aurent/{shape}.kaiko_ai_towards_large_pathology_fms",
            f"Kaiko, ViT-{title}, trained at 0.25 to 2 µm",
            dim=dim,
        )
        for short, title, shape, dim in (
            ("s16", "S/16", "vit_small_patch16_224", 384),
            ("s8", "S/8", "vit_small_patch8_224", 384),
            ("b16", "B/16", "vit_base_patch16_224", 768),
            ("b8", "B/8", "vit_base_patch8_224", 768),
            ("l14", "L/14 with 4 register tokens", "vit_large_patch14_reg4_224", 1024),
        )
    ),
    hub_card(
        "lunit-vits8",
        "1aurent/vit_small_patch8_224.lunit_dino",
        "Lunit's ViT-S/8, trained with DINO; converted for timm by 1aurent",
        licence="Lunit non-commercial",
        citation="Kang et al., Benchmarking self-supervised learning on diverse pathology datasets, CVPR 2023,"
        " arXiv:2212.04690",
        dim=384,
        normalisation="Lunit",
    ),
    hub_card(
        "ctranspath",
        "1aurent/swin_tiny_patch4_window7_224.CTransPath",
        "CTransPath, Swin-T with a stem of convolutions; converted for timm by 1aurent",
        licence="GPL-3.0",
        citation="Wang et al., Transformer-based unsupervised contrastive learning for histopathological image"
        " classification, Medical Image Analysis 2022, doi:10.1016/j.media.2022.102559",
        dim=768,
        mpp=1.0,
        arguments={"embed_layer": "ConvolutionStem"},
    ),
)
