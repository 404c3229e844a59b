from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

from sam_mil_engine.errors import SegmentError
from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.models.registry import available
from sam_mil_engine.models.segmenters import SEGMENTERS
from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.segment.checkpoints import load_sam
from sam_mil_engine.segment.loading import load_segmenter
from sam_mil_engine.segment.predictor import load_prompter
from sam_mil_engine.segment.regions import RegionSegmenter
from sam_mil_engine.settings import SegmentSettings


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture(scope="module")
def vit_b_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("sam") / "random_vit_b.pth"
    torch.save(sam_model_registry["vit_b"]().state_dict(), path)
    return path


def test_without_weights_auto_is_regions(models):
    assert isinstance(load_segmenter("auto"), RegionSegmenter)
    here = [item.name for item in available("segmenter") if item.on_disk]
    assert here == ["regions", "stain-regions", "tissue-regions", "tissue-sam"]


def test_a_missing_sam_names_file_url_and_folder(models):
    with pytest.raises(SegmentError) as caught:
        load_segmenter("vit_b")
    text = str(caught.value)
    assert "sam_vit_b_01ec64.pth" in text
    assert "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth" in text
    assert str(models) in text


def test_auto_takes_the_largest_sam_on_disk_and_checks_it(models):
    for name in ("vit_b", "vit_l"):
        (models / SEGMENTERS[name].file).write_bytes(b"cut off")
    with pytest.raises(SegmentError, match=r"sam_vit_l_0b3195\.pth: the checksum"):
        load_segmenter("auto")
    assert {item.name for item in available("segmenter") if item.on_disk} == {
        "regions",
        "stain-regions",
        "tissue-regions",
        "tissue-sam",
        "vit_b",
        "vit_l",
    }


def test_prompts_ask_the_largest_sam_here_else_the_one_that_comes_with_the_package(models):
    assert load_prompter(device="cpu").name == "tissue-sam"
    with pytest.raises(SegmentError, match="sam_vit_b_01ec64"):
        load_prompter("vit_b")
    (models / SEGMENTERS["vit_l"].file).write_bytes(b"cut off")
    with pytest.raises(SegmentError, match="sam_vit_l_0b3195"):
        load_prompter()


@pytest.mark.parametrize(("name", "message"), [("vit_x", "Choose one of"), ("no/such.pth", "no such checkpoint")])
def test_unknown_names(models, name, message):
    with pytest.raises(SegmentError, match=message):
        load_segmenter(name)


@pytest.mark.slow
def test_a_vit_b_file_loads_by_path_and_segments_as_metas_generator_does(vit_b_file, tissue_image, monkeypatch):
    settings = SegmentSettings(
        points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0, crop_n_layers=0, segmenter="vit_b"
    )
    segmenter = load_segmenter(str(vit_b_file), settings=settings, device="cpu")
    assert isinstance(segmenter, AutomaticSegmenter)
    assert segmenter.name == "random_vit_b"
    assert len(segmenter.version) == 16

    # The encoder takes seconds: it runs once, with a block of each kind in place of twelve, and the reference is
    # given the same embedding.
    encode, embeddings = segmenter._encoder, []
    assert len(encode._blocks) == 12
    encode._blocks[:] = encode._blocks[1:3]
    segmenter._encoder = lambda *given: embeddings.append(encode(*given)) or embeddings[-1]
    found = segmenter.segment(tissue_image)
    assert len(embeddings) == 1
    assert len(found)
    monkeypatch.setattr(segmenter._sam.image_encoder, "forward", lambda pixels: embeddings[0])
    reference = SamAutomaticMaskGenerator(
        segmenter._sam, points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0
    ).generate(tissue_image.rgb)
    expected = [r["segmentation"] for r in reference if (r["segmentation"] & tissue_image.tissue).any()]
    assert len(found) == len(expected)
    for number, mask in enumerate(expected):
        assert np.mean(found.mask(number) != mask) < 1e-4


def test_the_checkpoint_is_loaded_unchanged(vit_b_file):
    loaded, saved = load_sam(vit_b_file, device="cpu").state_dict(), torch.load(vit_b_file, weights_only=True)
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)


def test_files_that_are_no_sam(tmp_path, vit_b_file):
    text, empty, table, width, short, code = (tmp_path / f"{n}.pth" for n in "abcdef")
    text.write_text("not a checkpoint")
    empty.write_bytes(b"")
    torch.save({"weight": torch.zeros(2)}, table)
    torch.save({"image_encoder.patch_embed.proj.weight": torch.zeros(100, 3, 16, 16)}, width)
    state = torch.load(vit_b_file, weights_only=True)
    del state["mask_decoder.iou_token.weight"]
    torch.save(state, short)
    torch.save({"f": print}, code)
    for path, message in [
        (text, "cannot be read"),
        (empty, "cannot be read"),
        (table, "patch_embed"),
        (width, "100 wide"),
        (short, "iou_token"),
        (code, "cannot be read"),
        (tmp_path / "missing.pth", "no such checkpoint"),
    ]:
        with pytest.raises(SegmentError, match=message) as caught:
            load_sam(path)
        assert path.name in str(caught.value)


def test_the_registry_does_not_import_torch():
    code = (
        "import sys; from sam_mil_engine.segment.loading import load_segmenter; load_segmenter('regions');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
