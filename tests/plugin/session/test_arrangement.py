"""Slides side by side, slides that are moved, and slides that are scaled or turned."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import undrawn, until
from napari.utils.notifications import notification_manager

from napari_sam_mil.layers.view import show_px0, view_px0
from napari_sam_mil.session.cursor_readout import where_in_slide
from napari_sam_mil.session.viewer import sessions_of
from tiny_slides import write_tiny_slide


@pytest.fixture
def two(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer(show=True)
    with undrawn(viewer):
        for name in ("one", "two"):
            viewer.open(str(write_tiny_slide(tmp_path / f"{name}.tiff")), plugin="napari-sam-mil")
    return viewer, sessions_of(viewer).all()


def corners(layer):
    half = np.abs(np.asarray(layer.scale)) / 2
    return np.asarray(layer.extent.world) + np.stack([-half, half])


def test_two_slides_lie_side_by_side(two):
    viewer, (one, other) = two
    assert corners(one.layer)[0].tolist() == [-0.25, -0.25]
    assert corners(other.layer)[0, 1] > corners(one.layer)[1, 1]
    assert corners(other.layer)[0, 0] == corners(one.layer)[0, 0]
    assert other.source.info.size_px0 == one.source.info.size_px0
    show_px0(viewer, [(200, 300), (260, 340)], other.source.place)
    left, top, right, bottom = view_px0(viewer, other.source.place)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((230, 320))
    row, column = other.source.origin
    assert where_in_slide((row, column), other.source).endswith("px 0, 0")


def test_results_and_outlines_lie_on_their_slide(open_dock, tmp_path, tiny_slide, processed, qtbot):
    slide, project = processed
    viewer, dock = open_dock(tiny_slide)
    dock.choices_card.set_project(project)
    viewer.open(str(slide), plugin="napari-sam-mil")
    session = sessions_of(viewer).current
    until(lambda: "probability" in session.layers, "the results")
    left, right = corners(session.layer)[:, 1]
    for layer in session.layers.values():
        assert left - 1 <= layer.extent.world[0, 1] <= layer.extent.world[1, 1] <= right + 50
    before = np.asarray(session.layers["probability"].translate)
    session.layer.translate = np.add(session.layer.translate, (7, 11))
    assert np.asarray(session.layers["probability"].translate) - before == pytest.approx((7, 11))
    assert session.source.origin[0] == 7


@pytest.mark.parametrize(
    "change",
    [{"scale": (2, 2)}, {"rotate": 30}, {"shear": [0.5]}, {"affine": np.diag([2.0, 2.0, 1.0])}],
    ids=["scaled", "turned", "sheared", "affine"],
)
def test_a_slide_that_is_scaled_or_turned_is_put_back_and_the_user_is_told(two, change):
    _, (one, _) = two
    notification_manager.records.clear()
    before = corners(one.layer)
    for name, value in change.items():
        setattr(one.layer, name, value)
    assert corners(one.layer) == pytest.approx(before)
    assert np.allclose(one.layer.affine.affine_matrix, np.eye(3))
    (told,) = notification_manager.records
    assert "one was reset" in str(told.message)


def test_a_slide_that_is_moved_by_hand_takes_its_place_with_it(two):
    _, (one, _) = two
    moved = np.eye(3)
    moved[:2, 2] = (5, -3)
    one.layer.affine = moved
    assert one.source.origin == (5, -3)
    assert corners(one.layer)[0].tolist() == pytest.approx([4.75, -3.25])
    assert where_in_slide((5.0, -3.0), one.source).endswith("px 0, 0")


def test_a_hidden_slide_takes_no_room(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    viewer.open(str(write_tiny_slide(tmp_path / "one.tiff")), plugin="napari-sam-mil")
    viewer.layers[0].visible = False
    viewer.open(str(write_tiny_slide(tmp_path / "two.tiff")), plugin="napari-sam-mil")
    sessions = sessions_of(viewer).all()
    assert [session.source.origin for session in sessions] == [(0, 0), (0, 0)]
