"""The automatic way gives every bundled classifier the segments that it was trained with."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.prediction.batch import settings_for
from sam_mil_engine.prediction.segments import automatic_segments, segments_text
from sam_mil_engine.segment.parts import parts_of
from sam_mil_engine.settings import FORMER_PARTS, ProcessSettings, SegmentSettings
from sam_mil_engine.training.checkpoint import load_model
from sam_mil_engine.training.expects import Expects, common_kind

BUNDLED = {"demo": "regions", "colon": "regions", "lymph-node": "stain-regions"}


@pytest.fixture(autouse=True)
def no_sam_here(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_classifier_gets_its_segments(name):
    model = load_model(name, device="cpu")
    for found in (
        settings_for(model).segments,
        automatic_segments(model, settings_for(model, kept=ProcessSettings()).segments),
    ):
        assert (found.segmenter, found.superpixels, found.cuts) == (BUNDLED[name], *FORMER_PARTS)
    assert f"segments of `{BUNDLED[name]}`" in model.card


def test_a_segmenter_that_the_user_chose_comes_with_its_own_parts():
    found = settings_for(load_model("demo", device="cpu"), segmenter="stain-regions").segments
    assert (found.segmenter, found.cuts) == ("stain-regions", SegmentSettings().cuts)


def test_segments_of_a_sam_that_is_not_here_are_not_automatic():
    model = load_model("demo", device="cpu")
    model = replace(model, expects=replace(model.expects, segmenter="vit_b"))
    assert automatic_segments(model, SegmentSettings()) is None


def test_what_a_model_folder_says_of_segments_is_read_back():
    finer = Expects(3, segmenter="regions", superpixels=800, cuts=(8, 64))
    assert Expects.parse(asdict(finer)) == finer
    assert Expects.parse({"dim": 3, "segmenter": "regions"}).cuts == FORMER_PARTS[1]
    assert Expects.parse({"dim": 3, "segmenter": "vit_b"}).cuts is None
    assert segments_text(finer) == "regions (8, 64 of 800 superpixels)"


@pytest.mark.parametrize("segmenter", ["regions", "stain-regions", "tissue-regions", "tissue-sam"])
def test_the_parts_of_every_embedded_segmenter_are_recorded(segmenter):
    settings = SegmentSettings(superpixels=300, cuts=(3, 9))
    assert parts_of(segmenter, settings) == {"superpixels": 300, "cuts": (3, 9)}


def test_a_bag_from_before_tells_the_parts_of_those_that_were_there_then(make_bag):
    told = {}
    for segmenter in ("regions", "stain-regions", "tissue-regions", "tissue-sam", "vit_b"):
        bag = make_bag(20, 3)
        told[segmenter] = Expects.of(replace(bag, attrs={**bag.attrs, "segmenter": segmenter})).cuts
    former = FORMER_PARTS[1]
    assert list(told.values()) == [former, former, None, None, None]


def test_bags_of_different_cuts_have_no_cuts_in_common(tmp_path):
    one, two = (Expects(3, segmenter="regions", superpixels=800, cuts=cuts) for cuts in ((8,), (4,)))
    both = common_kind({tmp_path / "a": one, tmp_path / "b": two})
    assert (both.segmenter, both.cuts) == ("regions", None)
