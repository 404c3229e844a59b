"""A server on this computer that plays the Hugging Face hub, with a form, a token and a tiny model of timm."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub.constants
import timm
import torch
from safetensors.torch import save

from hub_cache import COMMIT

REPOSITORY = "some-lab/tiny"


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        files, server = self.server.files, self.server
        server.tokens.append(self.headers.get("Authorization"))
        if self.path == f"/api/models/{REPOSITORY}/auth-check":
            if self.refused():
                self.send(403, b"{}", {"X-Error-Code": "GatedRepo"}, body=body)
            else:
                self.send(200, b"{}", body=body)
        elif self.path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            listed = [{"type": "file", "path": name, "size": len(files[name]), "oid": "0"} for name in files]
            self.send(200, json.dumps(listed).encode(), body=body)
        elif self.path.startswith(f"/api/models/{REPOSITORY}"):
            siblings = [{"rfilename": name} for name in files]
            about = {"_id": "1", "id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "siblings": siblings}
            self.send(200, json.dumps(about).encode(), body=body)
        elif (name := self.path.rsplit("/", 1)[-1]) in files and f"/{REPOSITORY}/resolve/" in self.path:
            if self.refused():
                self.send(403, b"ask first", {"X-Error-Code": "GatedRepo"}, body=body)
                return
            etag = hashlib.sha256(files[name]).hexdigest()
            self.send(200, files[name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body=body)
        else:
            self.send(404, b"", {"X-Error-Code": "RepoNotFound"}, body=body)

    def refused(self):
        return self.server.gated and self.headers.get("Authorization") != "Bearer hf_good"

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


@contextmanager
def serve_hub(cache, monkeypatch) -> Iterator[ThreadingHTTPServer]:
    """Serve the repository to huggingface_hub; its cache is the folder ``cache``."""
    torch.manual_seed(0)
    model = timm.create_model("test_vit", pretrained=False, num_classes=0)
    config = {"architecture": "test_vit", "num_classes": 0, "pretrained_cfg": model.pretrained_cfg}
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
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
