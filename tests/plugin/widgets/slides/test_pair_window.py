"""Two slides side by side: linked views, the middles of the tissue at one place, and a shift by hand."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import click, click_row, fields, name_of, pause, undrawn, until, words_of

from napari_sam_mil.analysis.pair import PairSide, aligned
from napari_sam_mil.analysis.placement import points_to_world
from napari_sam_mil.analysis.source import SlideSource
from sam_mil_engine.slide.reader import open_slide
from tiny_slides import write_tiny_slide


@pytest.fixture
def pair(make_napari_viewer, tmp_path):
    """The window, opened by a click on the second slide of a list while the first one is open."""
    folder = tmp_path / "study"
    folder.mkdir()
    paths = [write_tiny_slide(tmp_path / f"{name}.tiff") for name in ("a", "b")]
    lines = ["slide_id,path,state", *(f"{path.stem},{path},cancelled" for path in paths)]
    (folder / "process.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    viewer = make_napari_viewer(show=True)
    with undrawn(viewer):
        viewer.window.resize(1200, 800)
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Slides")
        dock.show_folder(folder)
    assert not dock.beside.isEnabled(), "no slide is open"
    dock.step(1)
    assert not dock.beside.isEnabled(), "the open slide itself is selected"
    click_row(dock.table, 1)
    click(dock.beside)
    until(lambda: dock.beside.pair is not None, "the window")
    yield dock.beside.pair
    dock.beside.pair._viewer.close()


def test_two_slides_are_linked_and_one_can_be_moved(pair):
    viewer = pair._viewer
    layers, grid = viewer.layers, viewer.canvas.grid
    assert viewer.title == "a and b"
    assert [layer.name for layer in layers] == ["a", "no map: a", "b", "no map: b"]
    assert grid.enabled
    assert [grid.position(place, layers) for place in (0, 2)] == [(0, 0), (0, 1)]
    assert "There is no map of a and b." in words_of(pair)
    pause()
    middles = [layers[place].extent.world.mean(axis=0) for place in (0, 2)]
    np.testing.assert_allclose(*middles, atol=1)
    before = [np.array(layers[place].translate) for place in range(4)]
    pair.right.setValue(40)
    pair.down.setValue(-20)
    after = [np.array(layers[place].translate) for place in range(4)]
    for place, moved in enumerate(((0, 0), (0, 0), (-20, 40), (-20, 40))):
        np.testing.assert_allclose(after[place] - before[place], moved, atol=1e-6)
    viewer.scene.camera.zoom *= 4
    click(pair.whole)
    height, width = viewer.canvas.size
    for place in (0, 2):
        tall, wide = np.ptp(layers[place].extent.world, axis=0) * viewer.scene.camera.zoom
        assert tall < height
        assert wide < width / 2
    click(pair.maps)
    assert [layers[place].visible for place in (0, 1, 2, 3)] == [True, False, True, False]
    assert [one for one in fields(pair) if len(one.toolTip()) < 4 or not name_of(one, pair)] == []


def test_slides_of_two_resolutions_have_one_scale_and_without_a_resolution_their_pixels(tmp_path):
    with open_slide(write_tiny_slide(tmp_path / "a.tiff")) as slide:
        known = PairSide(SlideSource(slide), None)
        width, height = slide.info.size_px0
        mpp = known.source.mpp
        assert mpp is not None
        left, right = aligned(known, known, shift=(7.0, 3.0))
        middle = (width / 2, height / 2)
        np.testing.assert_allclose(
            points_to_world(middle, right) - points_to_world(middle, left), (3.0, 7.0), atol=1e-9
        )
        assert (left.mpp, right.mpp) == (mpp, mpp)
        unknown = PairSide(_Unknown(slide), None)
        assert [place.mpp for place in aligned(known, unknown)] == [None, None]


class _Unknown(SlideSource):
    """A slide whose resolution nobody knows."""

    mpp = None
