"""Saving layers: tissue and segments as GeoJSON, segment tables as CSV."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from napari_sam_mil.writer import write_table
from sam_mil_engine.annotations.model import union_px0
from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.errors import AnnotationError
from sam_mil_engine.slide.place import SlidePlace


def read_csv(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tissue_saved_as_geojson_comes_back_in_slide_pixels(analysed, tmp_path):
    viewer, session = analysed
    path = tmp_path / "tissue.geojson"
    assert viewer.layers["tissue"].save(str(path), plugin="napari-sam-mil") == [str(path)]
    back = read_annotations(path, info=SlidePlace())
    assert {item.classification for item in back} == {"Tissue"}
    tissue = session.analysis.processed.tissue
    assert union_px0(back).area == pytest.approx(tissue.area_px0.sum(), rel=1e-3)
    np.testing.assert_allclose(union_px0(back).bounds, tissue.bounds_px0, atol=1e-6)


def test_segments_saved_as_geojson_keep_their_masks_and_scores(analysed, tmp_path):
    viewer, session = analysed
    path = tmp_path / "segments.geojson"
    viewer.layers["segments (tissue-regions)"].save(str(path), plugin="napari-sam-mil")
    segments = session.analysis.processed.segments
    back = read_annotations(path, info=SlidePlace())
    assert len(back) == len(segments)
    areas = [item.polygon.area for item in back]
    np.testing.assert_allclose(areas, segments.frame.area_to_px0(segments.area))
    feature = json.loads(path.read_text())["features"][0]
    assert "attention mass" in json.dumps(feature)


def test_segments_saved_as_csv_hold_the_table(analysed, tmp_path):
    viewer, session = analysed
    path = tmp_path / "segments.csv"
    viewer.layers["segments (tissue-regions)"].save(str(path), plugin="napari-sam-mil")
    rows = read_csv(path)
    assert len(rows) == len(session.analysis.processed.segments)
    assert float(rows[0]["area (µm²)"]) > 0


def test_a_layer_of_no_slide_is_refused_with_the_reason(make_napari_viewer, tmp_path):
    layer = make_napari_viewer().add_shapes([np.array([[0, 0], [0, 5], [5, 5]])], shape_type="polygon")
    with pytest.raises(AnnotationError, match="does not belong to a slide"):
        layer.save(str(tmp_path / "x.geojson"), plugin="napari-sam-mil")


def test_a_name_that_a_spreadsheet_would_run_is_quoted_in_a_saved_table(tmp_path):
    write_table(tmp_path / "table.csv", {"name": np.array(["=1+1", "a"]), "area": np.array([np.nan, -1.5])})
    assert read_csv(tmp_path / "table.csv") == [{"name": "'=1+1", "area": ""}, {"name": "a", "area": "-1.5"}]
