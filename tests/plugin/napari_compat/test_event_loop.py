"""What is called after the current event, and what is not."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QObject

from napari_sam_mil.napari_compat.event_loop import call_later


class Owner(QObject):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def method(self, text="called"):
        self.calls.append(text)


def test_a_method_of_a_widget_is_called_later_unless_the_widget_was_deleted(qtbot):
    calls = []
    kept, deleted = Owner(calls), Owner(calls)
    for owner, name in ((kept, "kept"), (deleted, "deleted")):
        call_later(partial(owner.method, name))
        call_later(owner.method, after_ms=1)
    deleted.deleteLater()
    assert calls == []
    del owner
    qtbot.waitUntil(lambda: "called" in calls)
    qtbot.wait(20)
    assert "called" in calls
    assert calls.count("called") == 1
    assert "kept" in calls


def test_other_functions_are_called_later(qtbot):
    calls = []
    call_later(lambda: calls.append("function"))
    assert calls == []
    qtbot.waitUntil(lambda: calls == ["function"])
