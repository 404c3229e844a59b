"""Which file of a folder is of which slide."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam_mil_engine.annotations.finding import annotation_files


def files(folder: Path, *names: str) -> dict[str, str]:
    """Slide -> name of its file, in a folder of empty files."""
    for name in names:
        (folder / name).touch()
    return {slide: path.name for slide, path in annotation_files(folder).items()}


NAMES = ["s-01.geojson", "s-01.xml.gz", "s-01.svs.JSON", "s-01.ome.tiff.geojson", "s-01.qupath.geojson", "s-01.png"]


@pytest.mark.parametrize("name", NAMES)
def test_endings_of_annotations_archives_and_slides_follow_a_name(tmp_path, name) -> None:
    assert files(tmp_path, name)["s-01"] == name


def test_a_slide_does_not_take_the_file_of_a_slide_whose_name_goes_on(tmp_path) -> None:
    found = files(tmp_path, "S1.2.geojson", "S1.10.geojson")
    assert found["S1.2"] == "S1.2.geojson"
    assert "S1" not in found


def test_segments_with_scores_are_no_annotations_of_a_slide(tmp_path) -> None:
    assert "s4" not in files(tmp_path, "s4.groups.geojson")


def test_a_table_or_note_beside_the_outlines_does_not_take_their_place(tmp_path) -> None:
    assert files(tmp_path, "a.csv", "a.geojson", "a.txt", "b.other")["a"] == "a.geojson"
    assert files(tmp_path)["b"] == "b.other"


def test_the_fewest_endings_count_then_geojson(tmp_path) -> None:
    names = ("a.svs.geojson", "a.xml", "b.geojson", "b.xml", "b.json", "c.geojson.gz", "c.xml", "d.jpg", "d.xml")
    found = files(tmp_path, *names)
    assert [found[slide] for slide in "abcd"] == ["a.xml", "b.geojson", "c.xml", "d.xml"]
