"""State dicts of the published models' true shapes, with random values: each loader takes them as they are.

The large ones live on torch's meta device, so that no gigabytes are allocated; what is proven there is that names
and shapes are those of the official classes.
"""

from __future__ import annotations

import sys
import types
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from segment_anything import sam_model_registry
from torch import nn

from sam_mil_engine.errors import EncoderError, SegmentError
from sam_mil_engine.features.folding import fold_norms
from sam_mil_engine.features.loading import load_encoder
from sam_mil_engine.segment import checkpoints
from small_sams import build_small_sam

#: Published numbers of weights, in millions.
MILLIONS = {"vit_b": 93, "vit_l": 312, "vit_h": 641}


def official_state(shape):
    """Names and shapes of Meta's own class."""
    with torch.device("meta"):
        return sam_model_registry[shape]().state_dict()


@pytest.fixture
def reading(monkeypatch):
    """Make the loader read a given state on the meta device, and hand it over without copying."""

    def give(state):
        monkeypatch.setattr(checkpoints, "read_weights", lambda _path, **_words: state)

    registry = {
        shape: lambda shape=shape: _on_meta(sam_model_registry[shape]) for shape in checkpoints.sam_model_registry
    }
    monkeypatch.setattr(checkpoints, "sam_model_registry", registry)
    monkeypatch.setattr(checkpoints, "pick_device", lambda _device: torch.device("meta"))
    return give


def _on_meta(build):
    with torch.device("meta"):
        return build()


@pytest.mark.parametrize("shape", MILLIONS)
def test_metas_checkpoints(shape, reading, tmp_path):
    state = official_state(shape)
    assert round(sum(value.numel() for value in state.values()) / 1e6, -1) == round(MILLIONS[shape], -1)
    reading(state)
    loaded = checkpoints.load_sam(tmp_path / f"sam_{shape}.pth").state_dict()
    assert {name: value.shape for name, value in loaded.items()} == {
        name: value.shape for name, value in state.items()
    }
    wrong = {**state, "mask_decoder.iou_token.weight": torch.empty(2, 256, device="meta")}
    reading(wrong)
    with pytest.raises(SegmentError, match="iou_token"):
        checkpoints.load_sam(tmp_path / f"sam_{shape}.pth")


def test_medsam_has_the_layout_of_vit_b(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "medsam_vit_b.pth"
    state = {name: torch.randn(value.shape) for name, value in official_state("vit_b").items()}
    torch.save(state, path)
    loaded = checkpoints.load_sam(path, device="cpu").state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


class TinyViT(nn.Module):
    """Stands for MobileSAM's image encoder where its package is not installed."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.img_size = inner, inner.img_size
        self.patch_embed = nn.Module()
        self.patch_embed.seq = nn.Sequential(nn.Module())
        self.patch_embed.seq[0].c = nn.Conv2d(3, 32, 3, bias=False)


def mobile_package():
    def build():
        sam = build_small_sam()
        sam.image_encoder = TinyViT(sam.image_encoder)
        return sam

    package = types.ModuleType("mobile_sam")
    package.sam_model_registry = {"vit_t": build}
    return package


def test_mobile_sam_is_built_by_its_own_package(tmp_path, monkeypatch):
    package = mobile_package()
    state = package.sam_model_registry["vit_t"]().state_dict()
    path = tmp_path / "mobile_sam.pt"
    torch.save(state, path)
    if find_spec("mobile_sam") is None:
        with pytest.raises(SegmentError, match=r"mobile_sam.*pip install"):
            checkpoints.load_sam(path, device="cpu")
    monkeypatch.setitem(sys.modules, "mobile_sam", package)
    loaded = checkpoints.load_sam(path, device="cpu")
    assert isinstance(loaded.image_encoder, TinyViT)
    assert all(torch.equal(loaded.state_dict()[name], state[name]) for name in state)


@pytest.mark.skipif(find_spec("mobile_sam") is None, reason="the package mobile_sam is not installed")
def test_mobile_sams_true_shape(tmp_path):
    from mobile_sam import sam_model_registry as mobile

    path = tmp_path / "mobile_sam.pt"
    torch.save(mobile["vit_t"]().state_dict(), path)
    assert checkpoints.load_sam(path, device="cpu").image_encoder.img_size == 1024


def test_resnet50_of_torchvision(tmp_path):
    from torchvision.models import resnet50

    with torch.device("meta"):
        official = resnet50(weights=None).state_dict()
    assert sum(value.numel() for name, value in official.items() if "running" not in name) == 25_557_032 + 53
    torch.manual_seed(0)
    state = {
        name: torch.rand(value.shape).to(torch.int64 if "num_batches" in name else torch.float32)
        for name, value in official.items()
    }
    path = tmp_path / "resnet50.pth"
    torch.save(state, path)
    encoder = load_encoder(f"resnet50:{path}", device="cpu")
    reference = resnet50(weights=None)
    reference.load_state_dict(state)
    loaded, expected = encoder._model.state_dict(), fold_norms(reference).state_dict()
    assert loaded
    assert all(torch.equal(loaded[name], expected[name]) for name in loaded)


@pytest.mark.skipif(find_spec("transformers") is not None, reason="transformers is installed")
def test_plip_without_transformers_says_what_to_install(tmp_path):
    with pytest.raises(EncoderError, match=r"pip install 'napari-sam-mil\[encoders\]'"):
        load_encoder(f"plip:{tmp_path / 'plip.bin'}")


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed (extra [encoders])")
def test_plip_has_the_layout_of_clip_vit_b_32(tmp_path):
    from transformers import CLIPConfig, CLIPModel

    with torch.device("meta"):
        official = CLIPModel(CLIPConfig()).state_dict()
    assert sum(value.numel() for value in official.values()) == 151_277_313
    torch.manual_seed(0)
    state = {name: 0.02 * torch.randn(value.shape) for name, value in official.items()}
    # as files of older versions of transformers have it
    state["vision_model.embeddings.position_ids"] = torch.arange(50)[None]
    path = tmp_path / "pytorch_model.bin"
    torch.save(state, path)
    encoder = load_encoder(f"plip:{path}", device="cpu")
    loaded = encoder._model.clip.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in loaded)
    patches = np.random.default_rng(0).integers(0, 256, size=(2, 64, 64, 3), dtype=np.uint8)
    assert encoder.encode(patches).shape == (2, 512)
    assert encoder.preprocessing.endswith("resized to 224 px (bicubic)")
    del state["visual_projection.weight"]
    torch.save(state, path)
    with pytest.raises(EncoderError, match="visual_projection"):
        load_encoder(f"plip:{path}", device="cpu")
