"""The gallery of patches in the result card: their order, their images, and the way to them on the slide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from by_hand import choose, click, until

from napari_sam_mil.analysis.gallery import orders, read_small
from napari_sam_mil.analysis.placement import points_to_world
from napari_sam_mil.docks import open_dock as dock_of
from napari_sam_mil.layers.view import view_px0
from sam_mil_engine.mil.ranking import STRIP, ranked
from sam_mil_engine.slide.tiling import read_patch


def test_patches_are_shown_in_four_orders_and_a_click_goes_there(analysed):
    viewer, session = analysed
    dock = dock_of(viewer, "Analyze")
    gallery, analysis = dock.result_card.patches, session.analysis
    scores, grid = analysis.scores, analysis.processed.grid
    assert len(gallery.buttons) == STRIP
    probability = scores.patch_probability[:, 1]
    for name, values, end, text in (
        ("Least attended patches", scores.relative_attention, "least", "attention {:.2g}"),
        ("Most probable tumour", probability, "most", "probability {:.2f}"),
        ("Least probable tumour", probability, "least", "probability {:.2f}"),
        ("Most attended patches", scores.relative_attention, "most", "attention {:.2g}"),
    ):
        choose(gallery.order, name)
        order = ranked(values, end)
        assert [one.toolTip().partition(": ")[2] for one in gallery.buttons] == [
            text.format(values[number]) for number in order[:STRIP]
        ]
        until(lambda: not any(button.icon().isNull() for button in gallery.buttons), "the images of the patches")
        assert shows(gallery.buttons[0], read_patch(session.source.slide, grid, int(order[0])))
    click(gallery.more)
    assert len(gallery.buttons) == min(2 * STRIP, len(grid))
    for place in (0, STRIP + 1):
        click(gallery.buttons[place])
        corner = grid.coords_px0[order[place]]
        centre = points_to_world([corner + np.asarray(grid.size_px0) / 2], session.source.place)[0]
        np.testing.assert_allclose(tuple(viewer.scene.camera.center)[-2:], centre, atol=1e-6)
        left, top, right, bottom = view_px0(viewer, session.source.place)
        assert left < corner[0] < corner[0] + grid.size_px0[0] < right
        assert top < corner[1] < corner[1] + grid.size_px0[1] < bottom
    until(lambda: not gallery.jobs.busy, "the further images")
    assert not any(button.icon().isNull() for button in gallery.buttons)


def shows(button, patch):
    """Whether the middle of the image of a button has the colour of the middle of a patch."""
    image = button.icon().pixmap(button.iconSize()).toImage()
    middle = image.pixelColor(image.width() // 2, image.height() // 2)
    part = patch[48:80, 48:80].reshape(-1, 3).astype(float)
    return np.abs(np.array(middle.getRgb()[:3]) - part.mean(axis=0)).max() < 4 * part.std() + 8


def test_a_model_without_attention_has_the_orders_of_its_probability(analysed):
    _, session = analysed
    found = orders(replace(session.analysis.scores, attention=None))
    assert [one.title for one in found] == ["Most probable tumour", "Least probable tumour"]
    numbers = found[0].numbers[:3].tolist()
    images = read_small(session.source.slide, session.analysis.processed.grid, numbers)
    assert list(images) == numbers
    assert {image.shape for image in images.values()} == {(112, 112, 3)}


def test_the_chosen_order_stays_when_the_result_is_shown_again(analysed):
    viewer, session = analysed
    card = dock_of(viewer, "Analyze").result_card
    choose(card.patches.order, "Least probable tumour")
    card.show_result(replace(session.analysis))
    assert card.patches.order.currentText() == "Least probable tumour"
