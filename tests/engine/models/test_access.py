"""``models check``, and runs that ask for access before they begin."""

from __future__ import annotations

import json
from dataclasses import replace

import huggingface_hub
import pytest
from typer.testing import CliRunner

from hub_cache import put_repository
from hub_server import REPOSITORY, serve_hub
from sam_mil_engine.cli.main import app
from sam_mil_engine.errors import EncoderError
from sam_mil_engine.models.access import check_access, require_access
from sam_mil_engine.models.encoders import ENCODERS
from sam_mil_engine.models.segmenters import SEGMENTERS
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.process.project import Project
from sam_mil_engine.settings import FeatureSettings, ProcessSettings

CARD = replace(
    ENCODERS["uni"],
    name="tiny",
    repository=REPOSITORY,
    aliases=(f"hf:{REPOSITORY}",),
    source=f"https://huggingface.co/{REPOSITORY}",
)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODERS, "tiny", CARD)
    with serve_hub(tmp_path / "hub", monkeypatch) as server:
        yield server


def run(*arguments, code):
    result = CliRunner().invoke(app, ["models", "check", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_with_access_it_can_be_downloaded_and_is_ready_afterwards(hub, tmp_path):
    found = check_access(CARD)
    assert (found.state, found.token, found.cached, found.can_run) == ("download", True, None, True)
    require_access(["tiny", f"hf:{REPOSITORY}"])
    path = put_repository(tmp_path / "hub", REPOSITORY, {"config.json": b"{}", "model.safetensors": b"weights"})
    found = check_access(CARD)
    assert (found.state, found.cached, found.advice) == ("ready", path / "model.safetensors", "")


def test_a_token_without_access_is_told_what_to_click(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    said = run("tiny", code=1)
    for part in (CARD.licence, "gated", CARD.source, "token of the Hugging Face hub: here", "Agree and access"):
        assert part in said.replace("\n", " ")
    with pytest.raises(EncoderError, match="no access to it yet"):
        require_access(["tiny"])


def test_without_a_token_it_is_told_how_to_log_in(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    said = json.loads(run("tiny", "--json", code=1))[0]
    assert (said["state"], said["token"]) == ("log in", False)
    assert "https://huggingface.co/settings/tokens" in said["advice"]
    assert "hf auth login" in said["advice"]
    assert "hf auth" not in said["window_advice"]


def test_no_network_no_repository_no_package_and_what_is_not_built_here(hub, monkeypatch):
    assert check_access(replace(CARD, repository="some-lab/other")).found.startswith("the hub has no repository")
    hub.shutdown()
    hub.server_close()
    assert check_access(CARD).state == "unknown"
    monkeypatch.setenv("SAM_MIL_OFFLINE", "1")
    assert "hf download some-lab/tiny" in check_access(CARD).advice
    lacking = check_access(replace(CARD, needs="no_such_package"))
    assert (lacking.state, lacking.advice) == ("install", "pip install no_such_package")
    assert check_access(ENCODERS["conch-v1.5"]).state == "elsewhere"
    assert "no model" in str(CliRunner().invoke(app, ["models", "check", "no-such"]).exception)


def test_what_is_here_asks_nobody(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "auth_check", lambda *_: pytest.fail("the hub was asked"))
    assert check_access(ENCODERS["efficientnet-lite0"]).state == "ready"
    require_access(["efficientnet-lite0", "timm:resnet18", "resnet50:weights.pth"])


def test_a_run_without_access_ends_before_a_slide_is_opened(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    settings = ProcessSettings(features=FeatureSettings(encoder="tiny"))
    with pytest.raises(EncoderError, match="no access"):
        next(process_slides([tmp_path / "no-slide.svs"], tmp_path / "study", settings=settings))
    assert Project(tmp_path / "study").rows() == {}
    steps = ("tissue", "tiles")  # no encoder is needed for these
    result = next(process_slides([tmp_path / "no-slide.svs"], tmp_path / "study", settings=settings, stages=steps))
    assert "no such file" in str(result.error)


def test_a_model_of_an_extra_says_which_extra_installs_it() -> None:
    """No package is called mobile_sam, and SAM 2.1 needs a newer transformers than encoders do."""
    commands = {name: SEGMENTERS[name].install_command for name in ("mobile_sam", "sam2-tiny")}
    assert commands == {
        "mobile_sam": "pip install 'napari-sam-mil[mobilesam]'",
        "sam2-tiny": "pip install 'napari-sam-mil[sam2]'",
    }
    assert ENCODERS["phikon"].install_command == "pip install 'napari-sam-mil[encoders]'"
    assert ENCODERS["conch"].install_command.startswith("pip install git+")
