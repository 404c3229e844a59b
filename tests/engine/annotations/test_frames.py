"""Annotations know whether they are in the slide's frame; nothing compares or writes those that are not."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import shapely

from sam_mil_engine.annotations import Annotation, compare_groups, read_annotation_file, union_px0, write_geojson
from sam_mil_engine.errors import AnnotationError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.place import UNKNOWN_PLACE, SlidePlace

CROPPED = SlidePlace((9000, 9000), (1000, 2000, 4000, 4000))
RING = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
FEATURE = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [RING]}, "properties": {"name": "a"}}


@pytest.mark.parametrize("place", [CROPPED, SlidePlace((9000, 9000)), UNKNOWN_PLACE])
def test_geojson_is_written_and_read_in_one_frame(tmp_path, place) -> None:
    there = Annotation("a", None, shapely.box(1500, 2500, 1600, 2700))
    path = write_geojson(tmp_path / "a.geojson", [there], info=place)
    (back,) = read_annotation_file(path, info=place).annotations
    assert back.polygon.bounds == there.polygon.bounds
    assert back.placed


def test_what_was_read_without_its_slide_is_neither_compared_nor_written(put, tmp_path) -> None:
    (found,) = read_annotation_file(put([FEATURE])).annotations
    assert not found.placed
    segments = Segments.from_masks([np.ones((4, 4), dtype=bool)], frame=Frame(), size_raster=(4, 4))
    for use in (
        lambda: compare_groups(segments, [found]),
        lambda: union_px0([found]),
        lambda: write_geojson(tmp_path / "a.geojson", [found], info=CROPPED),
    ):
        with pytest.raises(AnnotationError, match="'a' was read without its slide"):
            use()
    assert not (tmp_path / "a.geojson").exists()


def test_a_slide_that_does_not_say_whether_it_has_bounds_is_noted(put) -> None:
    found = read_annotation_file(put([FEATURE]), info=UNKNOWN_PLACE)
    assert found.annotations[0].placed
    assert "not known whether the slide has bounds" in found.notes[0]


def test_formats_that_count_from_the_corner_of_the_file_are_placed_without_it(put) -> None:
    content = {"positive": [{"name": "p", "vertices": RING}], "negative": []}
    assert read_annotation_file(put(content)).annotations[0].placed
    assert read_annotation_file(put(content), info=CROPPED).annotations[0].polygon.bounds == (0, 0, 10, 10)


@pytest.mark.parametrize(("place", "said"), [(UNKNOWN_PLACE, True), (CROPPED, False), (None, False)])
def test_a_file_written_without_knowing_the_bounds_says_so(tmp_path, caplog, place, said) -> None:
    with caplog.at_level(logging.WARNING):
        write_geojson(tmp_path / "a.geojson", [Annotation("a", None, shapely.box(0, 0, 9, 9))], info=place)
    assert ("not known whether the slide has bounds" in caplog.text) == said


@pytest.mark.parametrize("name", ["Tümör 腫瘍", "half a pair \ud800", 'quoted "name"\n'])
@pytest.mark.parametrize("parts", [1, 2])
def test_names_and_parts_survive_writing_and_reading(tmp_path, name, parts) -> None:
    area = shapely.MultiPolygon([shapely.box(2000 + 20 * k, 3000, 2009 + 20 * k, 3009) for k in range(parts)])
    drawn = Annotation(name, "Tumor", area if parts > 1 else area.geoms[0])
    path = write_geojson(tmp_path / "a.geojson", [drawn], info=CROPPED)
    assert read_annotation_file(path, info=CROPPED).annotations == (drawn,)
