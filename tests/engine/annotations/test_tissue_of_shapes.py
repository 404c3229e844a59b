"""Tissue that is drawn shape by shape, with what is cut out of it."""

from __future__ import annotations

import pytest
import shapely

from sam_mil_engine.annotations.drawn_tissue import HOLE_CLASS, TISSUE_CLASS, tissue_of_shapes
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.errors import SettingsError


def shape(kind: str | None, *box: float) -> Annotation:
    return Annotation("shape", kind, shapely.box(*box))


def test_holes_cut_what_was_drawn_before_and_tissue_lies_over_them() -> None:
    shapes = [
        shape(TISSUE_CLASS, 0, 0, 100, 100),
        shape(None, 200, 0, 210, 10),
        shape(HOLE_CLASS, 20, 20, 80, 80),
        shape(TISSUE_CLASS, 40, 40, 60, 60),
    ]
    tissue = tissue_of_shapes(shapes)
    assert tissue.method == "drawn"
    assert sorted(tissue.area_px0) == [100, 400, 10000 - 3600]
    assert sorted(len(holes) for _, holes in tissue.polygons_px0) == [0, 0, 1]
    cut = tissue_of_shapes([*shapes, shape(HOLE_CLASS, 0, 0, 100, 100)])
    assert cut.area_px0.tolist() == [100]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([], "no outline"), ([shape("Tissue", 0, 0, 9, 9), shape("Hole", 0, 0, 9, 9)], "the holes leave no tissue")],
)
def test_nothing_left_is_an_error(shapes: list[Annotation], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        tissue_of_shapes(shapes)
