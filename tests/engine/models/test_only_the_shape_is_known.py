"""A published SAM without a published checksum: its file must be a SAM, else it is not kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from segment_anything import sam_model_registry

from sam_mil_engine.errors import ModelError, SegmentError
from sam_mil_engine.models import store
from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.models.segmenters import SEGMENTERS
from sam_mil_engine.segment import checkpoints
from small_sams import build_small_sam


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A SAM and a page of text; any SAM counts as one of Meta's shapes, and downloads are copies."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setitem(sam_model_registry, "vit_b", build_small_sam)
    monkeypatch.setattr(checkpoints, "_shape_of", lambda *_given: "vit_b")
    torch.save(
        {"model_state": {f"sam.{k}": v for k, v in build_small_sam().state_dict().items()}}, tmp_path / "sam.pt"
    )
    (tmp_path / "page.pt").write_text("<html>Log in</html>")

    def fetch(card, *, progress):
        card.file_path.parent.mkdir(exist_ok=True)
        card.file_path.write_bytes((tmp_path / card.source).read_bytes())
        return card.file_path

    monkeypatch.setattr(store, "fetch", fetch)

    def source(name):
        monkeypatch.setitem(SEGMENTERS, "pathosam-b", replace(SEGMENTERS["pathosam-b"], source=name))

    return source


def test_a_sam_is_kept_and_verify_says_what_is_not_known(files):
    files("sam.pt")
    path = store.get("pathosam-b")
    assert path.name == "pathosam_vit_b.pt"
    assert "no checksum is published to compare it with" in store.verify("pathosam-b")


def test_something_else_is_not_kept(files):
    files("page.pt")
    with pytest.raises(SegmentError, match="neither a published file nor a SAM"):
        store.get("pathosam-b")
    assert not SEGMENTERS["pathosam-b"].file_path.exists()


def test_a_file_from_elsewhere_is_added_under_the_name_where_it_is_a_sam(files, tmp_path):
    assert store.add(tmp_path / "sam.pt", name="pathosam-b").on_disk
    with pytest.raises(SegmentError, match="neither a published file nor a SAM"):
        store.add(tmp_path / "page.pt", name="pathosam-l")
    assert not SEGMENTERS["pathosam-l"].file_path.exists()
    with pytest.raises(ModelError, match="the checksum is"):
        store.add(tmp_path / "sam.pt", name="medsam")


def test_every_published_sam_is_fetched_by_https_and_all_but_pathosam_have_a_checksum():
    published = [card for card in SEGMENTERS.values() if card.prompts and card.file]
    assert all(card.source.startswith("https://") for card in published)
    unknown = [card.name for card in published if len(card.sha256) != 64]
    assert unknown == ["pathosam-b", "pathosam-l", "pathosam-h"]
    assert all("not stated" in SEGMENTERS[name].licence for name in unknown)
