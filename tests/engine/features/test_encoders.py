from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from torch import nn

from sam_mil_engine.errors import EncoderError
from sam_mil_engine.features import timm_models, torch_encoder
from sam_mil_engine.features.efficientnet_lite0 import classifier, to_timm, weights_file
from sam_mil_engine.features.loading import load_encoder
from sam_mil_engine.features.torch_encoder import TorchEncoder
from sam_mil_engine.features.weights import read_state
from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.models.registry import available


@pytest.fixture(scope="module")
def lite0():
    return load_encoder("efficientnet-lite0", device="cpu")


@pytest.fixture
def patches():
    return np.random.default_rng(0).integers(0, 256, size=(5, 64, 64, 3), dtype=np.uint8)


class Mean(nn.Module):
    """(B, 3, S, S) -> (B, 3), the mean colour; runs out of memory above a number of patches."""

    def __init__(self, fits: int = 100):
        super().__init__()
        self.fits, self.batches = fits, []

    def forward(self, pixels):
        self.batches.append(tuple(pixels.shape))
        if len(pixels) > self.fits:
            raise torch.OutOfMemoryError("out of memory")
        return pixels.mean(dim=(2, 3))


def around(model, **options):
    values = {"name": "mean", "version": "1", "weights_sha256": "", "dim": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    return TorchEncoder(model, **values | options, device="cpu")


def test_every_weight_of_the_wheel_has_its_place():
    state = read_state(weights_file())
    mapped, expected = to_timm(state), timm.create_model("tf_efficientnet_lite0").state_dict()
    assert len(state) == 296
    assert mapped.keys() == expected.keys()
    assert all(mapped[name].shape == expected[name].shape for name in expected)
    loaded = classifier().state_dict()
    assert all(torch.equal(loaded[name], mapped[name]) for name in mapped)


@pytest.mark.parametrize("name", ["_blocks.16._bn1.weight", "_blocks.0._expand_conv.weight", "_fcc.weight", "fc"])
def test_a_weight_without_a_place_is_named(name):
    with pytest.raises(EncoderError, match=name):
        to_timm({name: torch.zeros(1)})


def test_a_cat_is_a_cat():
    from skimage.data import chelsea

    pixels = (torch.from_numpy(chelsea()[None]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        best = classifier()(pixels).softmax(1)[0].topk(3).indices.tolist()
    assert set(best) <= set(range(281, 286))  # tabby, tiger, Persian, Siamese, Egyptian


def test_the_default_encoder_says_what_it_is(lite0):
    assert lite0.name == "efficientnet-lite0"
    assert lite0.dim == 1280
    assert lite0.weights_sha256.startswith("57934424")
    assert lite0.preprocessing == "(x / 255 - mean) / std, mean 0.5 0.5 0.5, std 0.5 0.5 0.5, own size"


def test_its_features_are_the_classifiers_pooled_ones(lite0, patches):
    model = classifier()
    pixels = (torch.from_numpy(patches).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(pixels), pre_logits=True).numpy()
    found = lite0.encode(patches)
    assert found.shape == (5, 1280)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_patch_has_the_same_feature_in_any_batch(lite0, patches):
    one_by_one = np.concatenate([lite0.encode(patches[n : n + 1]) for n in range(5)])
    np.testing.assert_allclose(lite0.encode(patches), one_by_one, rtol=1e-3, atol=1e-4)
    assert lite0.encode(patches[:0]).shape == (0, 1280)


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 4), np.uint8)]
)
def test_other_arrays_are_refused(lite0, bad):
    with pytest.raises(EncoderError, match="uint8"):
        lite0.encode(bad)


def test_the_normalisation():
    encoder = around(Mean(), mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    white = np.full((1, 8, 8, 3), 255, dtype=np.uint8)
    np.testing.assert_allclose(encoder.encode(white), [[0.9 / 0.5, 0.8, 0.7 / 2]], rtol=1e-6)


def test_a_cpu_gets_small_parts(monkeypatch, patches):
    monkeypatch.setattr(torch_encoder, "_CPU_PIXELS", 2 * 64 * 64)
    model = Mean()
    around(model).encode(patches)
    assert [shape[0] for shape in model.batches] == [2, 2, 1]


def test_out_of_memory_halves_the_batch_and_remembers(patches):
    model = Mean(fits=2)
    encoder = around(model)
    expected = around(Mean()).encode(patches)
    np.testing.assert_array_equal(encoder.encode(patches), expected)
    assert [shape[0] for shape in model.batches] == [5, 2, 2, 1]
    model.batches.clear()
    np.testing.assert_array_equal(encoder.encode(patches), expected)
    assert [shape[0] for shape in model.batches] == [2, 2, 1]


def test_a_patch_that_does_not_fit_at_all(patches):
    with pytest.raises(EncoderError, match="64 x 64 px does not fit"):
        around(Mean(fits=0)).encode(patches)


def test_an_accelerator_that_is_too_small_gives_way_to_the_cpu(patches, monkeypatch):
    class OnlyCpu(Mean):
        def forward(self, pixels):
            if pixels.device.type != "cpu":
                raise RuntimeError("MPS backend out of memory")
            return super().forward(pixels)

    encoder = around(OnlyCpu())
    # The meta device stands for an accelerator: it takes tensors and computes nothing.
    encoder._move(torch.device("meta"))
    with pytest.warns(UserWarning, match="continuing on the CPU"):
        found = encoder.encode(patches)
    np.testing.assert_array_equal(found, around(Mean()).encode(patches))
    assert encoder.device.type == "cpu"


def test_a_model_without_a_feature_vector_is_refused(patches):
    with pytest.raises(EncoderError, match="expected \\(5, 7\\)"):
        around(Mean(), dim=7).encode(patches)


def test_patches_that_a_model_cannot_take():
    with pytest.raises(EncoderError, match="8 x 8 px"):
        around(nn.Sequential(nn.Conv2d(3, 3, 16))).encode(np.zeros((1, 8, 8, 3), np.uint8))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_the_gpu_gives_the_same_features(lite0, patches):
    found = load_encoder("efficientnet-lite0", device="cuda").encode(patches)
    np.testing.assert_allclose(found, lite0.encode(patches), rtol=5e-2, atol=5e-3)


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def resnet_state():
    from torchvision.models import resnet50

    torch.manual_seed(0)
    return resnet50(weights=None).state_dict()


def test_resnet50_is_truncated_after_layer3(tmp_path, resnet_state, patches):
    path = tmp_path / "random.pth"
    torch.save(resnet_state, path)
    encoder = load_encoder(f"resnet50:{path}", device="cpu")
    assert (encoder.name, encoder.dim) == ("resnet50", 1024)
    assert "mean 0.485 0.456 0.406" in encoder.preprocessing

    # timm's own ResNet-50 gives the map behind layer3; its mean is the feature.
    reference = timm.create_model("resnet50", features_only=True, out_indices=(3,)).eval()
    reference.load_state_dict({k: v for k, v in resnet_state.items() if not k.startswith(("layer4", "fc"))})
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        (behind,) = reference((torch.from_numpy(patches).permute(0, 3, 1, 2) / 255 - mean) / std)
    np.testing.assert_allclose(encoder.encode(patches), behind.mean(dim=(2, 3)).numpy(), rtol=1e-3, atol=1e-4)


def test_resnet50_without_weights_says_where_they_are(models):
    with pytest.raises(EncoderError) as caught:
        load_encoder("resnet50")
    text = str(caught.value)
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in text
    assert str(models / "resnet50-0676ba61.pth") in text


def test_the_folder_of_weight_files_is_looked_at_and_checked(models, resnet_state):
    torch.save(resnet_state, models / "resnet50-0676ba61.pth")
    assert next(item for item in available("encoder") if item.name == "resnet50").on_disk
    with pytest.raises(EncoderError, match="checksum"):
        load_encoder("resnet50")


def test_files_that_are_no_resnet50(tmp_path, resnet_state):
    text, other, short = tmp_path / "text.pth", tmp_path / "other.pth", tmp_path / "short.pth"
    text.write_text("no weights")
    torch.save([1, 2], other)
    del resnet_state["layer3.0.conv1.weight"]
    torch.save(resnet_state, short)
    for path, message in [
        (text, "cannot be read"),
        (other, "not hold a plain table"),
        (short, "layer3.0.conv1.weight"),
        (tmp_path / "missing.pth", "no such weights file"),
    ]:
        with pytest.raises(EncoderError, match=message) as caught:
            load_encoder(f"resnet50:{path}")
        assert path.name in str(caught.value)


@pytest.mark.parametrize("name", ["resnet51", "efficientnet-lite0:x", "", "clam"])
def test_unknown_encoders(name):
    with pytest.raises(EncoderError, match="Choose one of"):
        load_encoder(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("uni2h", "uni2-h, uni"),
        ("UNI2-h", "uni2-h, uni"),
        ("Kaiko", "kaiko-vits16, .*kaiko-vitl14"),
        ("lunit", "lunit-vits8.*"),
    ],
)
def test_a_misspelt_name_gets_suggestions(name, meant):
    with pytest.raises(EncoderError, match=rf"Did you mean {meant}\?"):
        load_encoder(name)


def test_unknown_timm_models_get_suggestions():
    with pytest.raises(EncoderError, match=r"Did you mean.*resnet18"):
        load_encoder("timm:resnet118")


@pytest.mark.parametrize(
    ("name", "repository"),
    [("timm:resnet18", "timm/resnet18.a1_in1k"), ("hf:nobody/no-such-model", "nobody/no-such-model")],
)
def test_without_a_network_the_repository_is_named(name, repository, monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match="cannot be loaded") as caught:
        load_encoder(name)
    assert f"hf download {repository}" in str(caught.value)
    assert "HF_HUB_OFFLINE" in str(caught.value)


def with_random_weights(monkeypatch):
    create = timm.create_model

    def random(name, *, pretrained, **options):
        torch.manual_seed(0)
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm_models.timm, "create_model", random)


def test_a_timm_model_keeps_the_size_of_its_patches(monkeypatch, patches):
    with_random_weights(monkeypatch)
    encoder = load_encoder("timm:resnet10t", device="cpu")
    assert encoder.name == "timm:resnet10t"
    assert len(encoder.weights_sha256) == 64
    assert encoder.preprocessing.endswith("own size")
    assert encoder.encode(patches).shape == (5, encoder.dim) == (5, 512)
    assert load_encoder("timm:resnet10t", device="cpu").weights_sha256 == encoder.weights_sha256


def test_a_timm_model_of_one_size_gets_that_size(monkeypatch, patches):
    with_random_weights(monkeypatch)
    encoder = load_encoder("timm:test_vit", device="cpu")
    assert encoder.preprocessing.endswith("resized to 160 px (bicubic)")
    assert encoder.encode(patches).shape == (5, encoder.dim)


def test_the_list_of_encoders():
    listed = {item.name: item for item in available("encoder")}
    assert list(listed)[:5] == ["efficientnet-lite0", "resnet50", "plip", "timm:NAME", "hf:NAME"]
    assert {"kaiko-vitl14", "ctranspath", "phikon-v2", "midnight-12k", "quiltnet"} <= set(listed)
    assert not {"uni2-h", "virchow2", "conch", "conch-v1.5"} & set(listed), "gated, or not built here"
    assert listed["efficientnet-lite0"].on_disk


def test_the_registry_does_not_import_torch():
    code = (
        "import sys; import sam_mil_engine.features.loading, sam_mil_engine.models.registry as all;"
        "all.available('encoder');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
