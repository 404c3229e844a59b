"""State dicts of the published models' true shapes, with random values: each loader takes them as they are.

The large ones live on torch's meta device, so that no gigabytes are allocated; what is proven there is that names
and shapes are those of the official classes.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import timm
import torch
from segment_anything import sam_model_registry

from sam_mil_engine.errors import EncoderError, SegmentError
from sam_mil_engine.features.folding import fold_norms
from sam_mil_engine.features.loading import load_encoder
from sam_mil_engine.models.segmenters import SEGMENTERS
from sam_mil_engine.models.weight_files import read_weights
from sam_mil_engine.segment import checkpoints, mobile
from sam_mil_engine.segment.predictor import SamPrompter

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


@pytest.mark.parametrize(
    ("name", "shape"), [("pathosam-b", "vit_b"), ("pathosam-l", "vit_l"), ("pathosam-h", "vit_h")]
)
def test_pathosam_has_the_layouts_of_sam_also_as_micro_sam_saves_them(name, shape, reading, tmp_path):
    assert SEGMENTERS[name].file == f"pathosam_{shape}.pt"
    state = official_state(shape)
    reading({f"sam.{key}": value for key, value in state.items()})
    loaded = checkpoints.load_sam(tmp_path / SEGMENTERS[name].file).state_dict()
    assert {key: value.shape for key, value in loaded.items()} == {key: value.shape for key, value in state.items()}


def test_a_table_of_weights_may_lie_in_a_file_of_training(tmp_path):
    path = tmp_path / "best.pt"
    torch.save({"epoch": 3, "model_state": {"a": torch.ones(2)}, "decoder_state": {"b": torch.zeros(1)}}, path)
    found = read_weights(path, error=SegmentError, what="file", hint="", within=("model", "model_state"))
    assert list(found) == ["a"]
    with pytest.raises(SegmentError, match="plain table"):
        read_weights(path, error=SegmentError, what="file", hint="")


def test_mobile_sam_without_its_package_names_the_extra(tmp_path, monkeypatch):
    torch.save({"image_encoder.patch_embed.seq.0.c.weight": torch.zeros(1)}, tmp_path / "mobile_sam.pt")
    monkeypatch.setitem(sys.modules, "mobile_sam", None)
    mobile._shapes.cache_clear()
    with pytest.raises(SegmentError, match=r"mobile_sam.*pip install 'napari-sam-mil\[mobilesam\]'"):
        checkpoints.load_sam(tmp_path / "mobile_sam.pt", device="cpu")


@pytest.mark.skipif(find_spec("mobile_sam") is None, reason="mobile_sam is not installed (extra [mobilesam])")
def test_mobile_sams_true_shape_gives_masks_and_leaves_timm_alone(tmp_path):
    before = timm.model_entrypoint("tiny_vit_5m_224")
    torch.manual_seed(0)
    state = mobile.build_mobile_sam().state_dict()
    # 10,130,092 weights, as the paper counts them in millions, with the tables of positions that are made of these
    assert round(sum(value.numel() for name, value in state.items() if "num_batches" not in name) / 1e6) == 10
    path = tmp_path / "mobile_sam.pt"
    torch.save(state, path)
    sam = checkpoints.load_sam(path, device="cpu")
    assert sam.image_encoder.img_size == 1024
    assert all(torch.equal(sam.state_dict()[name], state[name]) for name in state)
    assert timm.model_entrypoint("tiny_vit_5m_224") is before
    prompter = SamPrompter(sam)
    prompter.set_image(np.full((40, 60, 3), 200, dtype=np.uint8))
    masks, scores = prompter.predict(points_raster=[[20, 20]])
    assert (masks.shape, scores.shape) == ((3, 40, 60), (3,))


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


def test_plip_without_transformers_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
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
