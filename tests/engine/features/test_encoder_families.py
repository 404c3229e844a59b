"""Published encoders with random weights: true width, one layer, in files as their authors publish them."""

from __future__ import annotations

import json

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save

from hub_cache import put_repository
from sam_mil_engine.errors import EncoderError
from sam_mil_engine.features.convolution_stem import ConvolutionStem
from sam_mil_engine.features.loading import load_encoder, recorded_name
from sam_mil_engine.models.encoders import ENCODERS
from sam_mil_engine.models.normalisation import NORMALISATIONS

#: Card -> architecture of timm in its configuration on the hub, and the arguments that stand there too.
TIMM = {
    "uni": ("vit_large_patch16_224", {"depth": 1}),
    "virchow2": (
        "vit_huge_patch14_224",
        {"depth": 1, "mlp_ratio": 5.3375, "init_values": 1e-5, "reg_tokens": 4, "global_pool": ""},
    ),
    "h-optimus-1": ("vit_giant_patch14_reg4_dinov2", {"depth": 1, "img_size": 224, "global_pool": "token"}),
    "h0-mini": (
        "vit_base_patch14_reg4_dinov2",
        {"depth": 1, "img_size": 224, "mlp_ratio": 5.33334, "init_values": 1e-5, "global_pool": ""},
    ),
    "kaiko-vitl14": ("vit_large_patch14_reg4_dinov2", {"depth": 1}),
    "lunit-vits8": ("vit_small_patch8_224", {"depth": 1}),
    "prov-gigapath": (
        "vit_giant_patch14_dinov2",
        {"depth": 1, "img_size": 224, "patch_size": 16, "num_heads": 24, "mlp_ratio": 5.33334},
    ),
    "ctranspath": ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1)}),
}
#: What cards pass to timm, and the layers that are meant.
LAYERS = {
    "SwiGLUPacked": timm.layers.SwiGLUPacked,
    "SiLU": torch.nn.SiLU,
    "ConvolutionStem": ConvolutionStem,
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub on a computer without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    torch.manual_seed(0)
    return tmp_path


@pytest.fixture
def patches():
    return np.random.default_rng(0).integers(0, 256, size=(2, 96, 96, 3), dtype=np.uint8)


def put_timm(hub, name):
    architecture, arguments = TIMM[name]
    given = {key: LAYERS.get(value, value) for key, value in ENCODERS[name].options.get("arguments", {}).items()}
    model = timm.create_model(architecture, pretrained=False, num_classes=0, **{**arguments, **given})
    config = {
        "architecture": architecture,
        "num_classes": 0,
        "model_args": arguments,
        "pretrained_cfg": {**model.pretrained_cfg, "custom_load": False},
    }
    files = {"config.json": json.dumps(config, default=str).encode(), "model.safetensors": save(model.state_dict())}
    put_repository(hub, ENCODERS[name].repository, files)
    return model.eval()


def normalised(name, patches):
    """The patches as the model of a card takes them."""
    card = ENCODERS[name]
    mean, std = (torch.tensor(values)[:, None, None] for values in NORMALISATIONS[card.normalisation])
    pixels = (torch.from_numpy(patches).permute(0, 3, 1, 2) / 255 - mean) / std
    side = (card.input_size, card.input_size)
    return torch.nn.functional.interpolate(pixels, side, mode="bicubic", antialias=True, align_corners=False)


@pytest.mark.parametrize("name", TIMM)
def test_a_model_of_timm_is_built_and_loaded_as_its_card_says(name, hub, patches):
    model, card = put_timm(hub, name), ENCODERS[name]
    encoder = load_encoder(name, device="cpu")
    assert encoder.name == f"hf:{card.repository}" == recorded_name(name)
    assert f"resized to {card.input_size} px" in encoder.preprocessing
    found = encoder.encode(patches)
    assert found.shape == (2, encoder.dim) == (2, card.dim)
    with torch.inference_mode():
        pixels = normalised(name, patches)
        if card.options.get("mean_of_patches"):
            tokens = model.forward_features(pixels)
            first = 5 if name in ("virchow2", "h0-mini") else 1  # register tokens are no patches
            expected = torch.cat([tokens[:, 0], tokens[:, first:].mean(dim=1)], dim=1)
        else:
            expected = model(pixels)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=2e-3)


def test_uni2_has_the_shape_that_its_authors_publish(patches, monkeypatch):
    create = timm.create_model

    def one_layer(_name, *, pretrained, **options):
        assert pretrained
        return create("vit_giant_patch14_224", pretrained=False, **{**options, "depth": 1})

    monkeypatch.setattr(timm, "create_model", one_layer)
    assert load_encoder("uni2-h", device="cpu").encode(patches).shape == (2, ENCODERS["uni2-h"].dim)


#: Card -> class of transformers, and the published shape with one layer.
TRANSFORMERS = {
    "phikon": ("ViT", {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}),
    "phikon-v2": ("Dinov2", {"hidden_size": 1024, "num_attention_heads": 16, "patch_size": 16, "image_size": 224}),
    "midnight-12k": (
        "Dinov2",
        {"hidden_size": 1536, "num_attention_heads": 24, "image_size": 224, "use_swiglu_ffn": True},
    ),
    "hibou-b": (
        "Dinov2WithRegisters",
        {"hidden_size": 768, "num_attention_heads": 12, "image_size": 224, "use_swiglu_ffn": True},
    ),
    "hibou-l": (
        "Dinov2WithRegisters",
        {"hidden_size": 1024, "num_attention_heads": 16, "image_size": 224, "use_swiglu_ffn": True},
    ),
}


def put_transformers(hub, name, folder):
    transformers = pytest.importorskip("transformers")
    kind, shape = TRANSFORMERS[name]
    options = {"add_pooling_layer": False} if kind == "ViT" else {}
    config = getattr(transformers, f"{kind}Config")(num_hidden_layers=1, **{"patch_size": 14, **shape})
    model = getattr(transformers, f"{kind}Model")(config, **options).eval()
    model.save_pretrained(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    if kind == "Dinov2WithRegisters":  # as Hibou is published: of the type dinov2, with classes of its own
        saved = {**json.loads(files["config.json"]), "model_type": "dinov2"}
        files["config.json"] = json.dumps({**saved, "auto_map": {"AutoModel": "modeling.OwnModel"}}).encode()
    put_repository(hub, ENCODERS[name].repository, files)
    return model


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_model_of_transformers_is_built_and_loaded_as_its_card_says(name, hub, patches, tmp_path_factory):
    model, card = put_transformers(hub, name, tmp_path_factory.mktemp("saved")), ENCODERS[name]
    encoder = load_encoder(name, device="cpu")
    found = encoder.encode(patches)
    assert found.shape == (2, encoder.dim) == (2, card.dim)
    with torch.inference_mode():
        tokens = model(pixel_values=normalised(name, patches)).last_hidden_state
    expected = tokens[:, 0]
    if name == "midnight-12k":
        expected = torch.cat([expected, tokens[:, 1:].mean(dim=1)], dim=1)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=2e-3)


def test_weights_that_lack_something_are_refused_and_not_filled_at_random(hub, tmp_path_factory):
    put_transformers(hub, "phikon-v2", tmp_path_factory.mktemp("saved"))
    from safetensors.torch import load_file, save_file

    path = next(hub.rglob("model.safetensors"))
    state = load_file(path)
    state.pop(next(name for name in state if name.endswith("cls_token")))
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"do not fit Dinov2Model.*cls_token"):
        load_encoder("phikon-v2", device="cpu")


def test_quiltnet_is_the_image_half_of_its_clip(hub, patches):
    open_clip = pytest.importorskip("open_clip")
    shape = open_clip.get_model_config("ViT-B-32")
    shape["vision_cfg"]["layers"] = shape["text_cfg"]["layers"] = 1
    clip = open_clip.CLIP(**shape).eval()
    config = {"model_cfg": shape, "preprocess_cfg": {}}
    files = {"open_clip_config.json": json.dumps(config).encode()}
    put_repository(hub, "wisdomik/QuiltNet-B-32", {**files, "open_clip_model.safetensors": save(clip.state_dict())})
    found = load_encoder("quiltnet", device="cpu").encode(patches)
    with torch.inference_mode():
        expected = clip.encode_image(normalised("quiltnet", patches))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["phikon", "quiltnet", "conch"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(name, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, ENCODERS[name].needs, None)
    with pytest.raises(EncoderError, match=r"needs .*pip install"):
        load_encoder(name, device="cpu")


def test_what_cannot_be_built_here_says_what_is_needed():
    with pytest.raises(EncoderError, match=r"cannot be loaded here.*TRIDENT"):
        load_encoder("conch-v1.5")


def test_the_name_on_the_hub_means_the_same_card(hub, patches):
    put_timm(hub, "virchow2")
    one, other = (load_encoder(name, device="cpu") for name in ("virchow2", "hf:paige-ai/Virchow2"))
    assert (one.name, one.dim, one.preprocessing) == (other.name, other.dim, other.preprocessing)
    assert recorded_name("virchow2") == recorded_name("hf:paige-ai/Virchow2") == "hf:paige-ai/Virchow2"
    assert recorded_name("efficientnet-lite0") == "efficientnet-lite0"
    assert recorded_name("timm:resnet18") == "timm:resnet18"
