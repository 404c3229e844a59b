"""Two windows, each with a graphics context of its own."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import until
from napari.layers import Labels
from qtpy.QtGui import QOpenGLContext

from napari_sam_mil.napari_compat.graphics import keep_context


@pytest.mark.own_window
@pytest.mark.parametrize("kept", [True, False])
def test_a_layer_leaves_in_the_context_of_its_own_window(make_napari_viewer, kept):
    first, second = make_napari_viewer(show=True), make_napari_viewer(show=True)
    canvases = [viewer.window._qt_viewer.canvas.native for viewer in (first, second)]
    until(lambda: all(canvas.isValid() for canvas in canvases), "both contexts")
    if kept:
        keep_context(first)
    first.add_layer(Labels(np.zeros((8, 8), dtype=np.uint8)))
    seen = []
    finish = first.window._qt_viewer.canvas._scene_canvas.context.finish

    def watched():
        seen.append(QOpenGLContext.currentContext() is canvases[0].context())
        return finish()

    first.window._qt_viewer.canvas._scene_canvas.context.finish = watched
    canvases[1].makeCurrent()
    first.layers.clear()
    assert seen == [kept], "without help, napari sends the commands to the other window's context"
