"""A project that exists goes on with its segments, also one that was made when `auto` meant other segments."""

from __future__ import annotations

import json

import pytest

from sam_mil_engine import layout
from sam_mil_engine.bag import h5
from sam_mil_engine.errors import ProjectError
from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.recorded import recorded_settings, with_recorded_segments
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.settings import EMBEDDED_SEGMENTER, FORMER_PARTS, ProcessSettings, SegmentSettings

FORMER = {"superpixels": FORMER_PARTS[0], "cuts": FORMER_PARTS[1]}


@pytest.fixture(autouse=True)
def no_sam_here(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))


def write_former(folder, segmenter, *, number=None, **parts):
    """Write ``settings.json`` as it was before the default changed."""
    segments = SegmentSettings(segmenter=segmenter, **(parts or FORMER))
    Project(folder).save_settings(ProcessSettings(segments=segments), {})
    path = folder / layout.SETTINGS
    content = json.loads(path.read_text())
    content.pop("format")
    path.write_text(json.dumps(content if number is None else {**content, "format": number}))


def segments_of(asked, folder):
    return with_recorded_segments(ProcessSettings(segments=SegmentSettings(**asked)), folder).segments


def test_a_new_project_gets_the_default_with_its_finer_cuts(tmp_path):
    found = segments_of({}, tmp_path / "new")
    assert (found.segmenter, found.superpixels, found.cuts) == ("auto", 800, (8, 16, 32, 64))
    assert EMBEDDED_SEGMENTER == "tissue-regions"


@pytest.mark.parametrize("recorded", ["regions", "auto"])
def test_a_former_project_keeps_regions_and_their_parts(tmp_path, recorded):
    write_former(tmp_path, recorded)
    found = segments_of({}, tmp_path)
    assert (found.segmenter, found.superpixels, found.cuts) == ("regions", *FORMER_PARTS)
    assert segments_of({"max_side": 512}, tmp_path).cuts == FORMER_PARTS[1]
    assert segments_of({"segmenter": "regions", "cuts": (2,)}, tmp_path).superpixels == FORMER_PARTS[0]


@pytest.mark.parametrize(("recorded", "kept"), [("auto", "stain-regions"), ("tissue-sam", "tissue-sam")])
def test_a_project_from_when_auto_meant_stain_regions_keeps_them(tmp_path, recorded, kept):
    write_former(tmp_path, recorded, number=2, cuts=(3, 9))
    found = segments_of({}, tmp_path)
    assert (found.segmenter, found.cuts) == (kept, (3, 9))


def test_another_segmenter_gets_its_own_defaults(tmp_path):
    write_former(tmp_path, "regions")
    assert segments_of({"segmenter": "stain-regions"}, tmp_path).cuts == SegmentSettings().cuts


def test_auto_of_a_new_project_stays_auto(tmp_path):
    Project(tmp_path).save_settings(ProcessSettings(), {})
    assert segments_of({}, tmp_path).segmenter == "auto"


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / layout.SETTINGS).write_text("{")
    with pytest.raises(ProjectError, match=layout.SETTINGS):
        recorded_settings(tmp_path)


def test_a_format_that_is_no_number_is_named(tmp_path):
    write_former(tmp_path, "auto", number=[2])
    with pytest.raises(ProjectError, match=layout.SETTINGS):
        recorded_settings(tmp_path)


def test_a_slide_of_a_former_project_is_not_segmented_again(tmp_path, tiny_slide):
    project, stages = tmp_path / "project", ("tissue", "segments")
    former = ProcessSettings(segments=SegmentSettings(segmenter="regions", **FORMER))
    bag = process_slide(tiny_slide, project, settings=former, stages=stages).bag_path
    write_former(project, "auto")
    assert process_slide(tiny_slide, project, stages=stages).reused == stages
    origin = h5.read_segment_origin(bag)
    assert (origin.segmenter, origin.parts) == ("regions", FORMER)
