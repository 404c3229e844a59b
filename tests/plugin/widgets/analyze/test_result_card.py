"""The result card: no line of it is cut."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel

from napari_sam_mil.docks import frame_of, open_dock
from napari_sam_mil.widgets.parts import DOCK_WIDTH


def test_no_text_of_the_result_card_is_cut(qtbot, analysed):
    viewer, _ = analysed
    dock = open_dock(viewer, "Analyze")
    frame = frame_of(dock)
    frame.setFloating(True)
    cut = []
    for width in (520, DOCK_WIDTH, DOCK_WIDTH + 37, DOCK_WIDTH):
        frame.resize(width, 700)
        qtbot.wait(100)
        labels = [one for one in dock.result_card.findChildren(QLabel) if one.isVisible() and one.wordWrap()]
        assert any("calibration" in one.text() for one in labels)
        cut += [(width, one.text()) for one in labels if one.height() < one.heightForWidth(one.width())]
    assert cut == []
