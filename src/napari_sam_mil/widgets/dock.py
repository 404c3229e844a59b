"""The base class of all docks: access to the open slides, and cleanup when the dock is closed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar
from weakref import ref

from napari.settings import get_settings
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QLayout, QScrollArea, QWidget

from ..background.dock_jobs import DockJobs
from ..background.worker import show_warnings_with
from ..docks import join_others, to_front
from ..keys import bind_defaults
from ..napari_compat.dock_frames import choose_tab, frame_of
from ..napari_compat.event_loop import call_later
from ..napari_compat.layout_items import contents_of
from ..session.viewer import sessions_of
from ..warning import warn

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: How often a dock is brought to the front until it is there, and milliseconds between.
_TRIES, _AGAIN_MS = 20, 50


class Dock(QWidget):
    """A dock. Its close button removes it permanently, and :meth:`leave` is then called.

    ``keys_changed`` is emitted after the user changed keys in napari's preferences.
    """

    keys_changed = Signal()
    #: The dock that was last asked to the front.
    _asked: ClassVar[ref[Dock]]

    def __init__(self, napari_viewer: Viewer):
        super().__init__()
        show_warnings_with(warn)
        self._sessions = sessions_of(napari_viewer)
        self._shortcuts = get_settings().shortcuts
        self._shortcuts.events.shortcuts.connect(self._on_shortcuts)
        self._sessions.changed.connect(self._on_results)
        self._in_order = self._left = self._behind = self._stowed = False

    def leave(self) -> None:
        """Cancel the jobs of the dock and disconnect it. Subclasses also remove their layers."""
        self._sessions.changed.disconnect(self._show_current, missing_ok=True)
        self._sessions.changed.disconnect(self._on_results, missing_ok=True)
        self._shortcuts.events.shortcuts.disconnect(self._on_shortcuts)
        for jobs in self.findChildren(DockJobs):
            jobs.cancel()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Join the other docks, and set the Tab order from top to bottom."""
        super().showEvent(event)
        if self._stowed:
            self._stowed = False
            call_later(self._come_back)
        if not self._in_order:
            self._in_order = True
            call_later(self._join_others)
            self._order_fields()

    def _on_results(self) -> None:
        call_later(self._order_fields)  # after the dock has got its new fields

    def _order_fields(self) -> None:
        """Set the Tab order from top to bottom."""
        if self._left:
            return
        for first, second in pairwise(focusable(self.layout())):
            QWidget.setTabOrder(first, second)

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Check later whether napari's menu hid the dock, since a tab that moves is also hidden for a moment."""
        super().hideEvent(event)
        frame = frame_of(self)
        # Qt places the tabs that are not in front outside the window
        self._behind = frame is not None and frame.geometry().right() < 0
        call_later(self._check_hidden)

    def event(self, event: QEvent) -> bool:
        """Detect that napari removed the dock from its frame, for which there is no signal."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and not self._left:
            self._left = True
            self.leave()
            # PySide6 never frees a widget whose child has a signal connected to a function that names the widget
            self.deleteLater()
        return bool(super().event(event))

    def _check_hidden(self) -> None:
        """Bring the dock to the front if the menu hid it while it was behind another tab."""
        frame = frame_of(self)
        if self._left or frame is None or not frame.isHidden():
            return
        self._stowed = not self._behind
        if self._behind:
            to_front(self)

    def choose_tab(self) -> None:
        """Select the tab of this dock, after Qt has positioned the tabs."""
        Dock._asked = ref(self)
        self._choose_tab(_TRIES)

    def _choose_tab(self, tries: int) -> None:
        """Look again until the dock is in front, unless it is gone or another one was asked for."""
        frame = frame_of(self)
        if self._left or frame is None or frame.isHidden() or Dock._asked() is not self:
            return
        if not choose_tab(self) and tries > 1:
            frame.raise_()
            call_later(partial(self._choose_tab, tries - 1), after_ms=_AGAIN_MS)

    def _join_others(self) -> None:
        if not self._left:
            join_others(self._sessions.viewer, self)

    def _come_back(self) -> None:
        if not self._left:
            to_front(self)

    def _on_shortcuts(self, _event: object = None) -> None:
        bind_defaults()  # before the docks show the keys
        if isalive(self):  # with PySide6, a dock outlives its deletion until Python collects garbage
            self.keys_changed.emit()

    def _show_current(self) -> None:
        """Show the current slide."""


def focusable(layout: QLayout | None) -> Iterator[QWidget]:
    """Yield the widgets of a layout that accept keyboard focus, from top to bottom."""
    if layout is None:
        return
    for part in contents_of(layout):
        if isinstance(part, QLayout):
            yield from focusable(part)
            continue
        inner = part.widget() if isinstance(part, QScrollArea) else part
        if part.focusPolicy() & Qt.FocusPolicy.TabFocus and not isinstance(part, QScrollArea):
            yield part
        elif inner is not None:
            yield from focusable(inner.layout())
