"""The card of the maps: *Finer map here*, where it lies and how it ends, and smooth or blocky maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from by_hand import click, until

from napari_sam_mil.analysis.placement import world_to_points
from napari_sam_mil.docks import open_dock as dock_of
from napari_sam_mil.layers.results import FINER, cut_to_tissue, interpolated
from napari_sam_mil.layers.view import show_px0, view_px0
from napari_sam_mil.preferences import preferences
from sam_mil_engine.geometry import Frame
from sam_mil_engine.slide.finer_grid import PARTS


@pytest.fixture
def near(analysed):
    """A window that shows a few patches of tissue, its card and its session."""
    viewer, session = analysed
    grid = session.analysis.processed.grid
    corner = grid.coords_px0[len(grid) // 2].astype(float)
    show_px0(viewer, [corner - 40, corner + 300], session.source.place)
    return viewer, session, dock_of(viewer, "Analyze").map_card


def middles_px0(layer, place, numbers):
    """Level-0 points of the middles of pixels (rows, columns) of a layer."""
    return world_to_points([layer.data_to_world(number) for number in numbers], place)


def test_the_finer_map_grows_in_the_view_and_agrees_with_the_map_of_the_slide(near):
    viewer, session, card = near
    seen, original = [], card._sessions.show_finer
    card._sessions.show_finer = lambda one, found: (seen.append(found), original(one, found))
    click(card.finer)
    assert not card.finer.isEnabled()
    until(lambda: not card.jobs.busy, "the finer map")
    del card._sessions.show_finer
    assert len(seen) > 5, "it was shown as it grew"
    assert [bool(found.is_complete) for found in seen] == [False] * (len(seen) - 1) + [True]
    known = [int(np.isfinite(found.values).sum()) for found in seen]
    assert known == sorted(set(known))
    assert np.isfinite(seen[0].filled()[seen[0].inside]).all(), "every cell is drawn from the start"
    layer, whole = session.layers[FINER], session.layers["probability"]
    assert layer.name == "tumour probability (finer)"
    assert (layer.visible, whole.visible) == (True, False)
    left, top, right, bottom = view_px0(viewer, session.source.place)
    rows, columns = np.nonzero(np.isfinite(layer.data))
    points = middles_px0(layer, session.source.place, np.stack([rows, columns], axis=1)[::97])
    step = np.asarray(session.analysis.processed.grid.step_px0) / PARTS
    assert (points >= np.array((left, top)) - step).all()
    assert (points <= np.array((right, bottom)) + step).all()
    # in the middle of a patch of the slide, both maps say the same
    grid, scores, compared = session.analysis.processed.grid, session.analysis.scores, 0
    for corner, value in zip(grid.coords_px0, scores.patch_probability[:, 1], strict=True):
        cell = np.floor(seen[-1].frame.from_px0(corner + np.asarray(grid.size_px0) / 2)).astype(int)
        if (cell >= 0).all() and (cell < seen[-1].values.shape[::-1]).all():
            assert seen[-1].values[cell[1], cell[0]] == pytest.approx(value, abs=1e-6)
            compared += 1
    assert compared > 3
    assert "patches at a quarter of the step" in card.said.text()
    viewer.layers.remove(layer)
    assert whole.visible, "the map of the slide is back"
    assert session.finer is None


def test_stop_leaves_what_is_there_and_new_results_take_it_away(near):
    viewer, session, card = near
    viewer.reset_view()
    click(card.finer)
    until(lambda: FINER in session.layers, "the first patches")
    click(card.cancel)
    until(lambda: not card.jobs.busy, "the end")
    assert "Not finished" in card.said.text()
    assert card.finer.isEnabled()
    assert FINER in session.layers
    card._sessions.show(session, replace(session.analysis))
    assert FINER not in session.layers
    assert session.layers["probability"].visible


def test_where_the_classifier_is_not_known_the_button_says_so(near):
    _, session, card = near
    card._sessions.show(session, replace(session.analysis, model=None))
    assert not card.finer.isEnabled()
    assert "the classifier of this result is not known" in card.finer.toolTip()


def test_smooth_maps_keep_their_extent_and_the_values_in_the_middle_of_patches(near):
    _, session, card = near
    layer = session.layers["probability"]
    blocky, scale = layer.data.copy(), layer.scale
    click(card.smooth)
    assert session.layers["probability"] is layer
    np.testing.assert_array_equal(np.isnan(layer.data), np.isnan(blocky))
    assert len(np.unique(layer.data)) > 4 * len(np.unique(blocky))
    np.testing.assert_allclose(layer.scale, scale)
    assert preferences().smooth_maps
    click(card.smooth)
    np.testing.assert_array_equal(layer.data, blocky)
    assert not preferences().smooth_maps


def test_interpolation_ignores_what_is_no_tissue():
    values = np.array([[0.2, 0.6, np.nan], [0.2, 0.6, np.nan]], np.float32)
    image = interpolated(values, 5)
    assert image.shape == (10, 15)
    np.testing.assert_allclose(image[2, [2, 7]], [0.2, 0.6], rtol=1e-5)
    assert (np.diff(image[2, 2:8]) > 0).all()
    np.testing.assert_allclose(image[2, 7:11], 0.6, rtol=1e-5)
    cut, frame = cut_to_tissue(values, Frame((0, 0), (16, 16)), None, smooth=True)
    assert frame.downsample == (1, 1)
    assert np.isnan(cut[:, 32:]).all()
    assert np.isfinite(cut[:, :32]).all()
