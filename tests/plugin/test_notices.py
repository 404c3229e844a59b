"""What errors say in the window: what, where, what to do; no words of the command line, no object's name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from by_hand import until
from napari._qt.dialogs.qt_notification import NapariQtNotification
from qtpy.QtWidgets import QApplication

from napari_sam_mil.notices import describe, in_window_words, show_error
from sam_mil_engine import errors
from sam_mil_engine.errors import SlideError

ENGINE = Path(errors.__file__).parent
LONG = "the slide cannot be opened, since its tiles are stored in a way that no reader knows"


def hints() -> list[str]:
    """Every text in the engine's errors that names an option or a command."""
    texts = []
    for path in sorted(ENGINE.rglob("*.py")):
        if "cli" not in path.parts:
            texts += re.findall(r'hint=f?"([^"]*(?:--\w|sam-mil-engine)[^"]*)"', path.read_text(encoding="utf-8"))
    return texts


def test_the_engine_does_name_options() -> None:
    assert len(hints()) > 10, "else the next test could not fail"


@pytest.mark.parametrize("hint", hints())
def test_no_words_of_the_command_line_reach_the_window(hint: str) -> None:
    said = describe(SlideError("something is wrong", where="a/b/slide.svs", hint=hint))
    assert not re.search(r"(?:^|[\s(`])--\w|sam-mil-engine", said), said
    assert said.startswith("Something is wrong (slide.svs).")


def test_what_the_window_has_words_for_is_said_in_them() -> None:
    hint = "Look at the slide; if it does hold tissue, try --preset biopsy or another --preset"
    assert "in the Analyze dock" in in_window_words(hint)
    assert in_window_words("Copy it again from its source") == "Copy it again from its source"


@pytest.mark.parametrize("width", [1400, 1024])
def test_a_notification_is_read_to_its_end(make_napari_viewer, width: int) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(width, 768)
    show_error(SlideError(LONG, where="slide.svs", hint="Copy it again from its source"), doing="Opening the slide")

    def toast() -> NapariQtNotification | None:
        found = [one for one in QApplication.allWidgets() if isinstance(one, NapariQtNotification)]
        return next((one for one in found if one.isVisible() and one.message.height() > 30), None)

    until(lambda: toast() is not None, "the notification")
    widget = toast()
    needed = widget.message.fontMetrics().boundingRect(
        0, 0, widget.message.width(), 2000, 0x1000, widget.message.text()
    )
    assert widget.message.height() >= needed.height(), "no line is cut"
    assert widget.message.text().endswith("(Opening the slide did not finish.)")
    assert widget.source_label.text() == "", "no object's name"
    assert not widget.timer.isActive(), "it stays until it is closed"
    widget.close()
