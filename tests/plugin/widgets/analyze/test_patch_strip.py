"""The most attended patches in the result card: their images, and the way to them on the slide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from by_hand import click, until

from napari_sam_mil.analysis.attended import COUNT, most_attended, read_small
from napari_sam_mil.analysis.placement import points_to_world
from napari_sam_mil.docks import open_dock as dock_of
from napari_sam_mil.layers.view import view_px0
from sam_mil_engine.slide.tiling import read_patch


def test_the_most_attended_patches_are_shown_and_a_click_goes_there(analysed):
    viewer, session = analysed
    dock = dock_of(viewer, "Analyze")
    strip, analysis = dock.result_card.patches, session.analysis
    scores, grid = analysis.scores, analysis.processed.grid
    order = np.argsort(-scores.attention, kind="stable")[:COUNT]
    assert len(strip.buttons) == COUNT
    until(lambda: not any(button.icon().isNull() for button in strip.buttons), "the images of the patches")
    first = strip.buttons[0].icon().pixmap(strip.buttons[0].iconSize()).toImage()
    tile = read_patch(session.source.slide, grid, int(order[0]))
    middle = first.pixelColor(first.width() // 2, first.height() // 2)
    part = tile[48:80, 48:80].reshape(-1, 3).astype(float)
    assert np.abs(np.array(middle.getRgb()[:3]) - part.mean(axis=0)).max() < 4 * part.std() + 8
    for place in (0, 3):
        click(strip.buttons[place])
        corner = grid.coords_px0[order[place]]
        centre = points_to_world([corner + np.asarray(grid.size_px0) / 2], session.source.place)[0]
        np.testing.assert_allclose(tuple(viewer.scene.camera.center)[-2:], centre, atol=1e-6)
        left, top, right, bottom = view_px0(viewer, session.source.place)
        assert left < corner[0] < corner[0] + grid.size_px0[0] < right
        assert top < corner[1] < corner[1] + grid.size_px0[1] < bottom
    assert strip.buttons[0].toolTip().endswith(f"attention {scores.relative_attention[order[0]]:.2g}")


def test_a_model_without_attention_shows_the_highest_probability(analysed):
    _, session = analysed
    scores = replace(session.analysis.scores, attention=None)
    found = most_attended(scores, 3)
    assert found.title == "Highest probability of tumour"
    assert list(found.numbers) == np.argsort(-scores.patch_probability[:, 1], kind="stable")[:3].tolist()
    grid = session.analysis.processed.grid
    images = read_small(session.source.slide, grid, found.numbers)
    assert [image.shape for image in images] == [(112, 112, 3)] * 3
