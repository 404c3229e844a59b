"""Encoders on the hub: a server on this computer plays it, with a form, a token and a tiny model of timm."""

from __future__ import annotations

import hashlib

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch

from hub_server import REPOSITORY, serve_hub
from sam_mil_engine.errors import Cancelled, EncoderError
from sam_mil_engine.features import timm_models
from sam_mil_engine.features.loading import load_encoder
from sam_mil_engine.models import store
from sam_mil_engine.models.encoders import ENCODERS
from sam_mil_engine.models.hub import (
    cached_weights,
    fetch_repository,
    remove_repository,
    verify_repository,
)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with serve_hub(tmp_path, monkeypatch) as server:
        yield server


def test_a_gated_model_is_fetched_with_the_users_token_verified_used_and_removed(hub, monkeypatch, capsys):
    reports = []
    assert cached_weights(REPOSITORY) is None
    path = store.get(f"hf:{REPOSITORY}", progress=reports.append)
    assert path.read_bytes() == hub.files["model.safetensors"]
    assert "Bearer hf_good" in hub.tokens
    assert not (path.parent / "README.md").exists()
    assert reports[-1].unit == "MB"
    assert "%|" not in "".join(capsys.readouterr())  # no bar is drawn

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert store.get(f"hf:{REPOSITORY}") == path
    assert verify_repository(REPOSITORY) == hashlib.sha256(path.read_bytes()).hexdigest()
    encoder = load_encoder(f"hf:{REPOSITORY}", device="cpu")
    assert encoder.encode(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, encoder.dim)

    path.resolve().write_bytes(b"damaged")
    with pytest.raises(EncoderError, match="that of the hub is"):
        verify_repository(REPOSITORY)
    assert remove_repository(REPOSITORY) > 0
    assert cached_weights(REPOSITORY) is None
    with pytest.raises(EncoderError, match="not on this machine"):
        verify_repository(REPOSITORY)


def test_without_access_the_page_and_the_login_are_named(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(EncoderError, match=r"huggingface\.co/some-lab/tiny.*hf auth login"):
        fetch_repository(REPOSITORY)
    assert cached_weights(REPOSITORY) is None


def test_no_such_repository_and_one_without_a_model(hub):
    with pytest.raises(EncoderError, match="could not be downloaded"):
        fetch_repository("some-lab/other")
    del hub.files["model.safetensors"]
    with pytest.raises(EncoderError, match="no model of timm"):
        fetch_repository(REPOSITORY)


def test_it_can_be_cancelled_and_goes_on(hub):
    def stop(report):
        if report.total or report.done:
            raise Cancelled("enough")

    hub.files["model.safetensors"] += b" " * 3_000_000
    with pytest.raises(Cancelled):
        fetch_repository(REPOSITORY, progress=stop)
    assert cached_weights(REPOSITORY) is None
    assert fetch_repository(REPOSITORY).stat().st_size == len(hub.files["model.safetensors"])


@pytest.mark.parametrize(
    ("name", "shape", "configured", "million"),
    [
        ("uni", "vit_large_patch16_224", {}, 303),
        ("uni2-h", "vit_giant_patch14_224", {}, 681),
        ("virchow", "vit_huge_patch14_224", {"mlp_ratio": 5.3375, "init_values": 1e-5}, 631),
    ],
)
def test_the_authors_arguments_give_the_published_number_of_weights(name, shape, configured, million, monkeypatch):
    made = []
    create = timm.create_model

    def on_meta(name, *, pretrained, **options):
        with torch.device("meta"):
            made.append(create(shape, pretrained=False, **configured, **options))
        return made[-1]

    monkeypatch.setattr(timm_models.timm, "create_model", on_meta)
    timm_models.create_pretrained(f"hf-hub:{ENCODERS[name].repository}", name, ENCODERS[name].options["arguments"])
    assert sum(weight.numel() for weight in made[0].parameters()) // 1_000_000 == million
    if name != "uni":
        assert type(made[0].blocks[0].mlp).__name__ == "GluMlp"


def test_class_token_and_mean_of_patches():
    model = timm.create_model("test_vit", pretrained=False, num_classes=0).eval()
    pixels = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        tokens, found = model.forward_features(pixels), timm_models.ClassAndPatches(model)(pixels)
    assert found.shape == (2, 2 * model.num_features)
    torch.testing.assert_close(found[:, : model.num_features], tokens[:, 0])
    torch.testing.assert_close(found[:, model.num_features :], tokens[:, 1:].mean(dim=1))
