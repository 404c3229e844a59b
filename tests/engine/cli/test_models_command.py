"""``models get``, ``verify``, ``add``, ``remove`` with a small file in the place of ViT-B, from a server here."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from typer.testing import CliRunner

from sam_mil_engine.cli.main import app
from sam_mil_engine.errors import SamMilError
from sam_mil_engine.models.card import KINDS
from sam_mil_engine.models.catalogue import catalogue
from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.models.registry import available
from sam_mil_engine.models.segmenters import SEGMENTERS, added_sams
from sam_mil_engine.segment import checkpoints
from sam_mil_engine.segment.checkpoints import find_checkpoint
from small_sams import build_small_sam

CONTENT = b"weights" * 300_000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The file on the server; its address is that of vit_b."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "web").mkdir()
    path = tmp_path / "web" / "sam.pth"
    path.write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(path.parent))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        small = replace(
            SEGMENTERS["vit_b"],
            file="sam.pth",
            source=f"http://127.0.0.1:{server.server_address[1]}/sam.pth",
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            size=len(CONTENT),
        )
        monkeypatch.setitem(SEGMENTERS, "vit_b", small)
        yield path
        server.shutdown()
        thread.join()


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["models", *map(str, arguments)])
    if isinstance(result.exception, SamMilError):
        return str(result.exception)
    assert result.exit_code == code, result.output
    return result.output


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_story_of_one_file(source, tmp_path):
    models = tmp_path / "models"
    assert not any(one["on_disk"] for one in json.loads(run("--json"))["segmenters"] if one["name"] == "vit_b")
    assert "not on this machine" in run("verify", "vit_b", code=1)
    assert "Did you mean vit_" in run("verify", "vit_x")
    assert "not on this machine" in run("remove", "vit_b")
    assert run("get", "vit_b", "-q").strip() == str(models / "sam.pth")
    assert names(models) == ["sam.pth"]
    assert "the published file" in run("verify", "vit_b")
    (models / "sam.pth").write_bytes(CONTENT[:-1])
    assert "checksum" in run("verify", "vit_b", code=1)
    assert "checksum" in run("get", "vit_b", "-q")
    assert "2.1 MB were freed" in run("remove", "vit_b")
    assert names(models) == []
    assert "vit_b: " in run("add", source, "-q")
    assert names(models) == ["sam.pth"]
    assert "the published file" in run("verify", "vit_b")
    (models / "sam.pth.part").write_bytes(b"some")
    run("remove", "vit_b")
    assert names(models) == []


def test_verify_alone_reads_all_that_is_here_and_fails_if_one_is_damaged(source, tmp_path):
    found = json.loads(run("verify", "--json"))
    assert {row["state"] for row in found} == {"good"}
    assert {"regions", "efficientnet-lite0", "demo"} <= {row["name"] for row in found}
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sam.pth").write_bytes(b"cut off")
    assert "bad" in run("verify", code=1)


def test_every_entry_says_what_a_person_must_know(source):
    entries = catalogue()
    assert len({entry.name for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.role in KINDS
        assert entry.what
        assert entry.licence
        assert entry.citation
        assert entry.source
        shown = run("list", entry.name)
        for words in (entry.role, entry.licence, entry.citation, entry.source, entry.sha256):
            assert words in " ".join(shown.split())
    wanted = {"vit_b", "vit_l", "vit_h", "medsam", "mobile_sam", "resnet50", "plip", "uni"}
    assert wanted <= {entry.name for entry in entries}
    by_name = {entry.name: entry for entry in entries}
    assert by_name["vit_h"].size == "2,564,550,879 bytes"
    assert by_name["plip"].size == "about 605 MB"
    assert len(by_name["vit_l"].sha256) == 64


def test_a_name_that_the_file_does_not_fit(source, tmp_path):
    assert "that of 'vit_l' is 3adcc4315b642a4d" in run("add", source, "--as", "vit_l", "-q")
    other = tmp_path / "other.pth"
    other.write_bytes(b"no weights")
    assert "neither a published file nor a SAM" in run("add", other, "-q")
    assert "no such file" in run("add", tmp_path / "none.pth")
    assert names(tmp_path / "models") == []


@pytest.fixture
def own_sam(tmp_path, monkeypatch):
    """A checkpoint of a small SAM, and a reader that builds it."""
    path = tmp_path / "mine.pth"
    torch.save(build_small_sam().state_dict(), path)

    def load(path, *, device):
        sam = build_small_sam()
        sam.load_state_dict(torch.load(path, weights_only=True))
        return sam

    monkeypatch.setattr(checkpoints, "load_sam", load)
    return path


def test_a_sam_of_ones_own_gets_a_name_and_is_a_segmenter(source, own_sam, tmp_path):
    assert "liver-sam: " in run("add", own_sam, "--as", "liver-sam", "-q")
    copy = added_sams()["liver-sam"].file_path
    assert copy.read_bytes() == own_sam.read_bytes()
    assert {item.name: item.on_disk for item in available("segmenter")}["liver-sam"]
    assert find_checkpoint("liver-sam").path == copy
    assert "a SAM of" in run("verify", "liver-sam")
    assert "already" in run("add", own_sam, "--as", "liver-sam", "-q")
    for taken in ("regions", "demo"):
        assert "already" in run("add", own_sam, "--as", taken, "-q")
    for bad in ("../x", "auto", "a b"):
        assert "cannot be the name of a model" in run("add", own_sam, "--as", bad, "-q")
    run("remove", "liver-sam")
    assert names(tmp_path / "models") == []
    assert own_sam.is_file()


def test_what_comes_with_a_package_stays(source):
    for name in ("regions", "efficientnet-lite0", "demo"):
        assert "Only what was fetched or added can be removed" in run("remove", name)
    assert "no file of its own" in run("get", "regions", "-q")
    assert "Did you mean vit_" in run("get", "vit_x", "-q")
    assert "name a model" in run("get", code=2)


def test_offline_is_respected_by_every_source(source, monkeypatch):
    monkeypatch.setenv("SAM_MIL_OFFLINE", "1")
    said = run("get", "vit_b", "-q")
    for part in ("turned off", "sam.pth", "http://127.0.0.1", "models add"):
        assert part in said
    assert "turned off" in run("get", "hf:MahmoodLab/UNI", "-q")
    assert "not on this machine" in run("remove", "hf:MahmoodLab/UNI")


def test_the_switch_of_the_command_is_the_one_of_the_environment(source, monkeypatch):
    for name in ("SAM_MIL_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "0")
    result = CliRunner().invoke(app, ["--offline", "models", "get", "vit_b", "-q"])
    assert "turned off" in str(result.exception)
