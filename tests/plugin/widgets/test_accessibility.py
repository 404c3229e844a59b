"""Care for the person at the desk: fields explain themselves, the keyboard reaches them, nothing shouts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from by_hand import FIELDS, fields, name_of
from napari._app_model import get_app_model
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QMenu,
    QScrollArea,
)

from napari_sam_mil.docks import DOCKS, open_dock
from napari_sam_mil.widgets.dock import focusable

#: Words that have their capitals wherever they stand.
NAMES = re.compile(
    r"SAM|AB-M|MIL|Segment/Classify|GeoJSON|CS|JSON|XML|QuPath|ASAP|ImageScope|HALO|CAMELYON|IoU|AUC|Figure|Plugins"
    r"|Models|Analyze|Annotations|Groups|Tissue|File|Open|Sample|Segment|Ctrl|Shift|Esc|Enter|Preferences|Shortcuts"
    r"|Viewer|Anything|PNG|PDF|Alt|Tab|F2|MiB|GiB|TCGA|Apache|AI|LC25000|C$|V$|G$|R$|Z$|I$|Tumour$|Point|ResNet|ICC|Light"
    r"|SVS|NDPI|NDPA|MRXS|SCN|BIF|VMS|TIFF|DICOM"
)


def plain(text: str) -> str:
    return re.sub(r"<[^>]*>", " ", text.replace("&nbsp;", " ")).replace("&", "").replace("**", "")


def wrong_case(text: str) -> list[str]:
    """Return the words with a capital that do not begin a sentence, and a beginning without one."""
    words = plain(text).split()
    wrong = []
    for before, word in zip([".", *words], words, strict=False):
        bare = word.strip("“”‘’()[]…,.;:·›>")
        begins = before[-1] in ".!?:·■→⚠)>" or before in {"·", "›", ";"}
        if bare[:1].isupper() and not begins and not NAMES.match(bare):
            wrong.append(word)
    first = words[0] if words else ""
    if first[:1].islower() and not first.startswith("napari"):
        wrong.insert(0, first)
    return wrong


@pytest.fixture
def every_dock(qtbot, analysed):
    """A window with an analysed slide, and all docks."""
    viewer, _ = analysed
    docks = {name: open_dock(viewer, name) for name in DOCKS}
    qtbot.waitUntil(lambda: not docks["Models"].jobs.busy)
    return viewer, docks


def test_fields_explain_themselves_in_sentence_case_and_the_walk_through_names_them(every_dock):
    viewer, docks = every_dock
    check_fields(docks)
    check_walk_through(viewer, docks)


def check_fields(docks):
    """Every field has a tip and a name, every text is in sentence case."""
    bare, nameless, loud = [], [], []
    for title, dock in docks.items():
        for widget in fields(dock):
            what = f"{title}: {type(widget).__name__} {widget.objectName()} {getattr(widget, 'text', str)()!r}"
            if len(widget.toolTip()) < 4:
                bare.append(what)
            if not name_of(widget, dock):
                nameless.append(what)
        texts = [one.text() for one in dock.findChildren(QLabel)]
        texts += [one.text() for one in dock.findChildren(QAbstractButton)]
        texts += [widget.toolTip() for widget in fields(dock)]
        loud += [(title, wrong, text) for text in texts if text and (wrong := wrong_case(text)) and "/" not in text]
    assert bare == []
    assert nameless == []
    assert loud == []


def test_the_keyboard_reaches_every_field_and_small_screens_cut_nothing(qtbot, every_dock):
    viewer, _ = every_dock
    check_keyboard(qtbot, viewer)
    check_small_screen(qtbot, viewer)


def letters(dock):
    """Return the letters that Alt presses in a dock."""
    texts = [one.text() for one in dock.findChildren(QAbstractButton)]
    texts += [label.text() for label in dock.findChildren(QLabel) if label.buddy() is not None]
    return [found.group(1).upper() for text in texts if (found := re.search(r"&([^&])", text))]


def check_keyboard(qtbot, viewer):
    """Tab goes through every dock from top to bottom, leaving nothing out; a letter with Alt does one thing."""
    menus = {
        found.group(1)
        for menu in viewer.window._qt_window.menuBar().actions()
        if (found := re.search("&(.)", menu.text()))
    } - {"D"}  # a menu that only developers see
    assert {"F", "P"} <= menus
    for title in DOCKS:
        found = letters(open_dock(viewer, title))
        assert sorted(found) == sorted(set(found)), title
        assert not menus & set(found), f"{title}: taken by napari's menus"
    for title in DOCKS:
        dock = open_dock(viewer, title)
        qtbot.waitUntil(dock.isVisible)
        wanted = [one for one in focusable(dock.layout()) if one.isVisible() and one.isEnabled()]
        seen = [wanted[0]]
        while len(seen) < len(wanted):
            following = seen[-1].nextInFocusChain()
            while following not in wanted and following is not seen[0]:
                following = following.nextInFocusChain()
            seen.append(following)
        assert seen == wanted, title
        reachable = {id(one) for one in focusable(dock.layout())}
        lost = [
            one for one in fields(dock) if id(one) not in reachable and one.focusPolicy() & Qt.FocusPolicy.TabFocus
        ]
        assert lost == [], title


def check_small_screen(qtbot, viewer):
    """At 1280 x 720 every dock scrolls, and no button is cut."""
    viewer.window.resize(1280, 720)
    for title in DOCKS:
        dock = open_dock(viewer, title)
        qtbot.wait(60)
        area = next((one for one in dock.findChildren(QScrollArea) if one.parent() is dock), None)
        outer = dock if area is None else area.widget()
        for button in outer.findChildren(QAbstractButton):
            if button.isVisible() and button.text() and not isinstance(button.parent(), FIELDS):
                lines = plain(button.text()).replace(" ", "").splitlines()
                needed = max(button.fontMetrics().horizontalAdvance(line) for line in lines)
                assert button.width() >= needed, (title, button.text())
        if area is not None:
            assert area.widget().width() <= area.viewport().width() + area.horizontalScrollBar().maximum()
            assert area.verticalScrollBar().maximum() >= area.widget().height() - area.viewport().height()
        else:
            assert dock.minimumSizeHint().height() < 600, f"{title} fits as it is"
    assert viewer.window._qt_window.height() <= 720 + QApplication.primaryScreen().availableGeometry().y()


def check_walk_through(viewer, docks):
    """Every name that docs/first-slide.md sets in italics or bold, and every layer, is there as it is written."""
    page = (Path(__file__).parents[3] / "docs" / "first-slide.md").read_text(encoding="utf-8")
    seen = {layer.name for layer in viewer.layers}
    for dock in docks.values():
        seen |= {
            plain(one.text()).strip() for one in (*dock.findChildren(QLabel), *dock.findChildren(QAbstractButton))
        }
        for box in dock.findChildren(QComboBox):
            seen |= {box.itemText(place) for place in range(box.count())}
    menus = {command.title for _, command in get_app_model().commands}
    menus |= {plain(action.text()) for action in viewer.window._qt_window.findChildren(QAction)}
    menus |= {plain(menu.title()) for menu in viewer.window._qt_window.findChildren(QMenu)}
    named = re.findall(r"\*\*?([^*\n]+)\*\*?", page)
    for name in named:
        parts = [part.strip() for part in name.split(">")] if " > " in name else [name]
        for part in parts:
            words = menus if len(parts) > 1 else seen | menus | {"activity", "Shortcuts"}
            assert part in words | {"SAM-MIL", "Shortcuts"}, f"{name}: {part}"
    for layer in re.findall(r"the layers (.*?)\.", page, flags=re.DOTALL):
        # which segments those are depends on the classifier
        names = {re.sub(r" \(.*\)", "", name) for name in re.findall(r"`([^`]+)`", layer)}
        assert names <= {re.sub(r" \(.*\)", "", item.name) for item in viewer.layers}
