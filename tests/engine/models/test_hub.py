"""Encoders on the hub: a server on this computer plays it, with a form, a token and a tiny model of timm."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save

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

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "some-lab/tiny"


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        files, server = self.server.files, self.server
        server.tokens.append(self.headers.get("Authorization"))
        if self.path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            listed = [{"type": "file", "path": name, "size": len(files[name]), "oid": "0"} for name in files]
            self.send(200, json.dumps(listed).encode(), body=body)
        elif self.path.startswith(f"/api/models/{REPOSITORY}"):
            siblings = [{"rfilename": name} for name in files]
            about = {"_id": "1", "id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "siblings": siblings}
            self.send(200, json.dumps(about).encode(), body=body)
        elif (name := self.path.rsplit("/", 1)[-1]) in files and f"/{REPOSITORY}/resolve/" in self.path:
            if server.gated and self.headers.get("Authorization") != "Bearer hf_good":
                self.send(403, b"ask first", {"X-Error-Code": "GatedRepo"}, body=body)
                return
            etag = hashlib.sha256(files[name]).hexdigest()
            self.send(200, files[name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body=body)
        else:
            self.send(404, b"", {"X-Error-Code": "RepoNotFound"}, body=body)

    def send(self, status, content, headers=(), *, body):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_args):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = timm.create_model("test_vit", pretrained=False, num_classes=0)
    config = {"architecture": "test_vit", "num_classes": 0, "pretrained_cfg": model.pretrained_cfg}
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.files = {
            "config.json": json.dumps(config, default=str).encode(),
            "model.safetensors": save(model.state_dict()),
            "README.md": b"read me",
        }
        server.gated, server.tokens = True, []
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        url = f"http://127.0.0.1:{server.server_address[1]}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", huggingface_hub.constants.ENDPOINT)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


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
        ("hf:MahmoodLab/UNI", "vit_large_patch16_224", {}, 303),
        ("hf:MahmoodLab/UNI2-h", "vit_giant_patch14_224", {}, 681),
        ("hf:paige-ai/Virchow", "vit_huge_patch14_224", {"mlp_ratio": 5.3375, "init_values": 1e-5}, 631),
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
    timm_models.create_pretrained(name.replace("hf:", "hf-hub:"), name, ENCODERS[name].options["arguments"])
    assert sum(weight.numel() for weight in made[0].parameters()) // 1_000_000 == million
    if name != "hf:MahmoodLab/UNI":
        assert type(made[0].blocks[0].mlp).__name__ == "GluMlp"


def test_class_token_and_mean_of_patches():
    model = timm.create_model("test_vit", pretrained=False, num_classes=0).eval()
    pixels = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        tokens, found = model.forward_features(pixels), timm_models.ClassAndPatches(model)(pixels)
    assert found.shape == (2, 2 * model.num_features)
    torch.testing.assert_close(found[:, : model.num_features], tokens[:, 0])
    torch.testing.assert_close(found[:, model.num_features :], tokens[:, 1:].mean(dim=1))
