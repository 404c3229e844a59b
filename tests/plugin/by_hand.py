"""What a hand does in the window: menus, clicks, keys, files dropped, dialogs answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QAction, QDragEnterEvent, QDropEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QRadioButton,
    QScrollArea,
    QSlider,
    QTableView,
    QTextBrowser,
    QWidget,
)

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


#: Widgets that a person presses or types into.
FIELDS = (
    *(QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox),
    *(QLineEdit, QPlainTextEdit, QSlider, QTextBrowser),
)

#: Seconds that any wait of the window's tests may take: no test depends on how fast the machine is.
WAIT_S = 300.0


def plain(text: str) -> str:
    """Text as it is read: without the sign that underlines a letter."""
    return text.replace("&", "")


def until(holds: Callable[[], object], what: str, *, seconds: float = WAIT_S) -> None:
    """Let the window live until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        QApplication.processEvents()
        time.sleep(0.01)
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"


def pause(seconds: float = 0.3) -> None:
    """Let the window draw."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, "a pause")


@contextmanager
def undrawn(viewer: object) -> Iterator[None]:
    """Draw nothing of a window while its parts are made; then draw it once."""
    window = viewer.window._qt_window
    window.setUpdatesEnabled(False)
    try:
        yield
    finally:
        window.setUpdatesEnabled(True)
    QApplication.processEvents()


def choose_menu(viewer: object, *path: str) -> None:
    """Open a menu of the window by a click and go on by the keyboard, as *File > Open Sample > …* is written."""
    viewer.window._qt_window.activateWindow()
    bar = viewer.window._qt_window.menuBar()
    first = _action(bar.actions(), path[0])
    QTest.mouseClick(bar, LEFT, NONE, bar.actionGeometry(first).center())
    menu = first.menu()
    for name in path[1:]:
        until(menu.isVisible, f"the menu above {name!r}")
        action = _action(menu.actions(), name)
        assert action.isEnabled(), name
        menu.setActiveAction(action)
        QTest.keyClick(menu, Qt.Key.Key_Return)
        menu = action.menu()


def _action(actions: Iterable[QAction], name: str) -> QAction:
    found = {plain(action.text()): action for action in actions if action.isVisible()}
    assert name in found, f"{name!r} is not among {sorted(found)}"
    return found[name]


def button(parent: QWidget, name: str) -> QAbstractButton:
    """Return the button on which ``name`` stands."""
    found = [one for one in parent.findChildren(QAbstractButton) if plain(one.text()) == name]
    assert len(found) == 1, f"{len(found)} buttons are called {name!r}"
    return found[0]


def click(widget: QWidget, place: QPoint | None = None, keys: Qt.KeyboardModifier = NONE) -> None:
    """Scroll to a widget that is there to be clicked, and click; a check box or radio button on its box."""
    area = widget.parentWidget()
    while area is not None and not isinstance(area, QScrollArea):
        area = area.parentWidget()
    if area is not None and area.isAncestorOf(widget):
        area.ensureWidgetVisible(widget)
        QApplication.processEvents()
    assert widget.isVisible(), widget
    assert widget.isEnabled(), f"{type(widget).__name__} {getattr(widget, 'text', str)()!r} cannot be used"
    if place is None:
        ticks = isinstance(widget, QAbstractButton) and widget.isCheckable() and not hasattr(widget, "isDefault")
        place = QPoint(9, widget.height() // 2) if ticks else widget.rect().center()
    QTest.mouseClick(widget, LEFT, keys, place)


def press(parent: QWidget, name: str) -> None:
    """Click on the button on which ``name`` stands."""
    click(button(parent, name))


def field(parent: QWidget, label: str) -> QWidget:
    """Return the field beside which ``label`` stands."""
    found = [one for one in parent.findChildren(QLabel) if plain(one.text()) == label and one.buddy() is not None]
    assert len(found) == 1, f"{len(found)} fields are called {label!r}"
    return found[0].buddy()


def choose(box: QComboBox, text: str) -> None:
    """Open a list of choices and take one, by the keyboard."""
    place = box.findText(text)
    assert place >= 0, f"{text!r} is not among {[box.itemText(row) for row in range(box.count())]}"
    box.showPopup()
    view = box.view()
    until(view.isVisible, "the list of choices")
    QTest.mouseClick(view.viewport(), LEFT, NONE, view.visualRect(box.model().index(place, 0)).center())
    until(lambda: box.currentIndex() == place, f"the choice {text!r}")


def type_into(widget: QWidget, text: str) -> None:
    """Write a text in place of the one that is there."""
    widget.setFocus()
    QTest.keyClick(widget, Qt.Key.Key_A, CTRL)
    QTest.keyClick(widget, Qt.Key.Key_Delete)
    QTest.keyClicks(widget, text)


def key(viewer: object, letter: Qt.Key, keys: Qt.KeyboardModifier = NONE) -> None:
    """Press a key in the window."""
    window = viewer.window._qt_window
    window.activateWindow()
    QTest.keyClick(window, letter, keys)


def canvas(viewer: object) -> QWidget:
    """Return the image."""
    return viewer.window._qt_viewer.canvas.native


def place_of(viewer: object, world: Iterable[float]) -> QPoint:
    """Return where in the image a point (row, column) of the world is drawn."""
    scene = viewer.scene.camera
    middle = canvas(viewer).rect().center()
    row, column = ((one - centre) * scene.zoom for one, centre in zip(world, tuple(scene.center)[-2:], strict=True))
    return middle + QPoint(round(column), round(row))


def turn_wheel(viewer: object, place: QPoint, steps: int) -> None:
    """Turn the mouse wheel over a place of the image: towards the slide."""
    image = canvas(viewer)
    for _ in range(steps):
        event = QWheelEvent(
            *(QPointF(place), QPointF(image.mapToGlobal(place)), QPoint(), QPoint(0, 120)),
            *(Qt.MouseButton.NoButton, NONE, Qt.ScrollPhase.NoScrollPhase, False),
        )
        QApplication.sendEvent(image, event)


def click_row(table: QTableView, row: int, keys: Qt.KeyboardModifier = NONE) -> None:
    """Click on a row of a table."""
    index = table.model().index(row, 0)
    table.scrollTo(index)
    click(table.viewport(), table.visualRect(index).center(), keys)


def chosen_segments(table: QTableView) -> list[int]:
    """Return the numbers of the segments (from 1) whose rows are chosen."""
    return [int(index.data()) for index in table.selectionModel().selectedRows(0)]


def texts(table: QTableView, column: int) -> list[str]:
    """Return what a column of a table shows, from top to bottom."""
    model = table.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def headings(table: QTableView) -> list[str]:
    """Return the names of the columns of a table."""
    model = table.model()
    return [model.headerData(column, Qt.Orientation.Horizontal) for column in range(model.columnCount())]


def drop(viewer: object, *paths: Path) -> None:
    """Drag files or folders over the image and let them go."""
    target = viewer.window._qt_viewer
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    middle = target.rect().center()
    copy = Qt.DropAction.CopyAction
    enter = QDragEnterEvent(middle, copy, mime, LEFT, NONE)
    QApplication.sendEvent(target, enter)
    assert enter.isAccepted(), "the image takes what is dragged"
    QApplication.sendEvent(target, QDropEvent(QPointF(middle), copy, mime, LEFT, NONE))


class Dialogs:
    """Answers the dialogs that open while a click is being worked off, in the order in which they come.

    Used as ``with Dialogs(take_reader("SAM-MIL")): drop(viewer, path)``; at the end all of them must have come.
    """

    def __init__(self, *answers: Callable[[QDialog], None]):
        self._answers = list(answers)
        self._timer = QTimer()
        self._timer.setInterval(50)
        self._timer.timeout.connect(self._look)
        self._errors: list[Exception] = []

    def __enter__(self) -> Dialogs:
        self._timer.start()
        return self

    def __exit__(self, kind: object, *_hide_details: object) -> None:
        if kind is None:
            until(lambda: not self._answers, "all dialogs")
        self._timer.stop()
        if self._errors and kind is None:
            raise self._errors[0]

    def _look(self) -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QDialog) or not dialog.isVisible():
            return
        self._timer.stop()
        try:
            assert self._answers, f"nobody expected {dialog.windowTitle()!r}"
            self._answers.pop(0)(dialog)
        except (AssertionError, AttributeError, RuntimeError) as error:
            self._answers.clear()
            self._errors.append(error)
            dialog.reject()
        self._timer.start()


def take_reader(name: str, *, remember: bool = False) -> Callable[[QDialog], None]:
    """Answer *Choose reader*."""

    def answer(dialog: QDialog) -> None:
        names = [one.text() for one in dialog.findChildren(QRadioButton)]
        assert name in names, names
        click(button(dialog, name))
        if remember:
            click(dialog.persist_checkbox)
        QTest.keyClick(dialog, Qt.Key.Key_Return)

    return answer


def give_path(path: Path) -> Callable[[QDialog], None]:
    """Paste a path into a file dialog of Qt's and press its button."""

    def answer(dialog: QDialog) -> None:
        assert isinstance(dialog, QFileDialog), dialog
        line = dialog.findChild(QLineEdit, "fileNameEdit")
        line.setText(str(path))
        roles = QDialogButtonBox.ButtonRole.AcceptRole
        box = dialog.findChild(QDialogButtonBox)
        (accept,) = (one for one in box.buttons() if box.buttonRole(one) == roles)
        click(accept)

    return answer


def words_of(parent: QWidget) -> str:
    """Return everything that a person can read in a dock."""
    return " ".join(one.text() for one in parent.findChildren(QLabel) if one.isVisible())


def fields(dock: QWidget) -> list[QWidget]:
    """Return what a person can press or type into, without the parts that Qt makes it of."""
    found = []
    for widget in dock.findChildren(QWidget):
        parent = widget.parentWidget()
        inside = False
        while parent is not None and parent is not dock:
            inside = inside or isinstance(parent, FIELDS)
            parent = parent.parentWidget()
        if isinstance(widget, FIELDS) and not inside:
            found.append(widget)
    return found


def name_of(widget: QWidget, dock: QWidget) -> str:
    """Return what a screen reader says: the name, the text on it, or the label beside it."""
    if widget.accessibleName():
        return widget.accessibleName()
    if isinstance(widget, QAbstractButton) and widget.text():
        return widget.text()
    return next((label.text() for label in dock.findChildren(QLabel) if label.buddy() is widget), "")
