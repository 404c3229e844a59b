"""One file of everything for QuPath: what it says, and what our own reader finds in it."""

from __future__ import annotations

import json
import uuid
import warnings

import numpy as np
import pytest
import shapely
from shapely import Polygon

from sam_mil_engine.annotations.masks import segment_annotations
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.annotations.qupath import SlideObjects, segment_measurements, write_for_qupath
from sam_mil_engine.annotations.reading import read_annotation_file
from sam_mil_engine.errors import DataError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.mil.scores import GroupScores, SlideScores
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.place import SlidePlace
from sam_mil_engine.slide.tissue_regions import TissueRegions

COORDS = np.array([[0, 0], [64, 0], [0, 64]], np.int32)
PLACE = SlidePlace(size_px0=(4000, 3000), bounds_px0=(100, 200, 3000, 2000), mpp=(0.5, 0.5))


@pytest.fixture
def scores():
    half = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    return SlideScores(
        slide_id="case",
        classes=("normal", "tumour"),
        coords_px0=COORDS,
        probabilities=np.array([0.25, 0.75], np.float32),
        attention=np.array([0.1, 0.2, 0.3], np.float32),
        evidence=np.array([[-1, 1], [0, 0], [1, -1]], np.float32),
        patch_probability=np.array([[0.25, 0.75], [0.5, 0.5], [1, 0]], np.float32),
        logits=np.zeros(2, np.float32),
        bias=np.zeros(2, np.float32),
        groups=GroupScores(
            attention_mass=np.array([0.3, 0.3], np.float32),
            mean_probability=half,
            evidence=half,
            token_attention=np.zeros(2, np.float32),
            token_evidence=half,
            probability_without=np.full((2, 2), np.nan, np.float32),
        ),
    )


@pytest.fixture
def found(scores):
    masks = np.zeros((2, 8, 8), bool)
    masks[0, 1:4, 2:6] = masks[1, 5:, 5:] = True
    segments = Segments.from_masks(list(masks), frame=Frame((0, 0), (16, 16)), size_raster=(8, 8))
    groups = Groups(
        indptr=np.array([0, 2, 3]),
        indices=np.array([0, 1, 2], np.int32),
        area_raster=np.array([9.0, 12.0]),
        area_um2=np.array([576.0, 768.0]),
        group_of_patch=np.array([0, 0, 1], np.int32),
        segment_of_group=np.array([1, 0], np.int32),
    )
    outer = np.array([[0, 0], [2000, 0], [2000, 2000], [0, 2000]], float)
    hole = np.array([[500, 500], [500, 900], [900, 900], [900, 500]], float)
    return SlideObjects(
        tissue=TissueRegions(polygons_px0=((outer, (hole,)),), area_px0=3_840_000.0),
        segments=segment_annotations(segments),
        measured=segment_measurements(segments, groups=groups, scores=scores, mpp=(0.5, 0.5)),
        outlines=[Annotation("by hand", "Tumor", Polygon([(300, 300), (700, 300), (700, 600)]))],
        coords_px0=COORDS,
        size_px0=(64.0, 64.0),
        scores=scores,
    )


@pytest.fixture
def written(tmp_path, found):
    return write_for_qupath(tmp_path / "case.qupath.geojson", found, info=PLACE)


def test_every_object_is_what_qupath_calls_it(written):
    features = json.loads(written.read_text(encoding="utf-8"))["features"]
    kinds = [feature["properties"]["objectType"] for feature in features]
    assert kinds == ["annotation"] * 4 + ["tile"] * 3
    names = [feature["properties"]["name"] for feature in features]
    assert names == ["Tissue 1", "Segment 1", "Segment 2", "by hand", "Patch 1", "Patch 2", "Patch 3"]
    classes = [feature["properties"].get("classification", {}).get("name") for feature in features]
    assert classes == ["Tissue", "Segment", "Segment", "Tumor", None, None, None]
    assert len({uuid.UUID(feature["id"]) for feature in features}) == 7
    assert features[3]["properties"]["classification"]["color"] == [200, 0, 0]


def test_scores_are_measurements(written):
    features = json.loads(written.read_text(encoding="utf-8"))["features"]
    measured = [feature["properties"].get("measurements") for feature in features]
    assert measured[0] is None
    assert measured[3] is None
    first, second = measured[1], measured[2]
    assert first["area (µm²)"] == 12 * 16 * 16 * 0.25
    assert (first["patches"], second["patches"]) == (1, 2)
    assert (first["probability tumour"], second["probability tumour"]) == (0.5, 0.75)
    assert measured[4] == {
        "attention (times mean)": pytest.approx(0.5),
        "probability normal": 0.25,
        "probability tumour": 0.75,
        "evidence normal": -1,
        "evidence tumour": 1,
    }


def test_coordinates_count_from_the_bounds_as_qupath_does(written):
    patch = json.loads(written.read_text(encoding="utf-8"))["features"][4]["geometry"]
    assert shapely.geometry.shape(patch).equals(shapely.box(-100, -200, -36, -136))


def test_our_own_reader_gets_every_outline_back_and_leaves_the_patches_out(written, found):
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        read = read_annotation_file(written, info=PLACE)
    expected = [*found.segments, *found.outlines]
    assert [item.name for item in read.annotations] == ["Tissue 1", *(item.name for item in expected)]
    assert [item.classification for item in read.annotations] == ["Tissue", "Segment", "Segment", "Tumor"]
    assert read.annotations[0].polygon.area == 2000**2 - 400**2
    for one, other in zip(read.annotations[1:], expected, strict=True):
        assert one.polygon.equals(other.polygon)
    assert any("3 tiles" in note for note in read.notes)


def test_what_is_missing_is_left_out_and_nothing_at_all_is_an_error(tmp_path, scores, found):
    path = write_for_qupath(tmp_path / "a.geojson", SlideObjects(coords_px0=COORDS, size_px0=(64, 64)), info=None)
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert [set(feature["properties"]) for feature in features] == [{"objectType", "name"}] * 3
    write_for_qupath(tmp_path / "b.geojson", SlideObjects(tissue=found.tissue), info=None)
    with pytest.raises(DataError, match="nothing is known"):
        write_for_qupath(tmp_path / "c.geojson", SlideObjects(), info=None)
    with pytest.raises(DataError, match="other patches"):
        SlideObjects(coords_px0=COORDS + 1, size_px0=(64, 64), scores=scores)
