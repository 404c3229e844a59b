"""The box of segmenters offers a SAM where none is on this computer: one click, and the analysis goes on."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from by_hand import choose
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam_mil.analysis.model import Choices
from napari_sam_mil.widgets.analyze.choices_card import ChoicesCard
from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.models.segmenters import SEGMENTERS

LEFT = Qt.MouseButton.LeftButton
#: Three megabytes, of which the first arrives at once and the rest when the test lets it go.
CONTENT = bytes(range(256)) * 4096 * 3
OFFER = "SAM ViT-B (3 MB, download)"


class Source(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.server.starts.append(start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + 2**20])
        self.wfile.flush()
        self.server.let_go.wait(600)
        if not self.server.gone:
            self.wfile.write(CONTENT[start + 2**20 :])

    def log_message(self, *_args):
        pass


@pytest.fixture
def source(tmp_path, monkeypatch):
    """``vit_b`` is a small file on a server on this computer, and no SAM is here."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        server.starts, server.let_go, server.gone = [], threading.Event(), False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        known = {
            "file": "sam.pth",
            "source": f"http://127.0.0.1:{server.server_address[1]}/sam.pth",
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "size": len(CONTENT),
        }
        monkeypatch.setitem(SEGMENTERS, "vit_b", replace(SEGMENTERS["vit_b"], **known))
        yield server
        server.let_go.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def card(qtbot, source):
    card = ChoicesCard()
    qtbot.addWidget(card)
    card.resize(320, 400)
    card.show()
    return card


def test_one_click_downloads_with_progress_and_the_sam_is_chosen(qtbot, card, source):
    assert card.download.isHidden()
    choose(card.segmenter, OFFER)
    assert card.download.isVisible()
    qtbot.waitUntil(lambda: card.download.bar.maximum() == 3 and card.download.bar.value() == 1)
    assert "1 of 3 MB" in card.download.status.text()
    source.let_go.set()
    qtbot.waitUntil(lambda: not card.download.busy)
    assert SEGMENTERS["vit_b"].file_path.read_bytes() == CONTENT
    assert card.choices().segmenter == "vit_b"
    assert card.segmenter.currentText() == "vit_b"
    assert card.segmenter.findText(OFFER) < 0
    assert card.download.isHidden()


def test_a_stopped_download_goes_back_to_the_choice_before_and_continues_next_time(qtbot, card, source):
    choose(card.segmenter, "stain-regions")
    choose(card.segmenter, OFFER)
    qtbot.waitUntil(lambda: card.download.bar.value() == 1)
    qtbot.mouseClick(card.download.cancel_button, LEFT)
    qtbot.waitUntil(lambda: not card.download.busy)
    assert card.choices().segmenter == "stain-regions"
    assert card.download.isHidden()
    source.let_go.set()
    choose(card.segmenter, OFFER)
    qtbot.waitUntil(lambda: card.choices().segmenter == "vit_b" and not card.download.busy)
    assert source.starts[0] == 0
    assert source.starts[1] >= 2**20


def test_without_a_network_it_says_so_and_the_choice_stays_what_is_here(qtbot, card, monkeypatch):
    monkeypatch.setenv("SAM_MIL_OFFLINE", "1")
    notification_manager.records.clear()
    choose(card.segmenter, OFFER)
    qtbot.waitUntil(lambda: bool(notification_manager.records) and not card.download.busy)
    assert "The network is turned off" in notification_manager.records[0].message
    assert "put the file into" in notification_manager.records[0].message
    assert card.choices().segmenter == Choices().segmenter
    assert "could not be downloaded. The models on this computer are used" in card.download.status.text()
    assert card.download.cancel_button.isHidden()


def test_wheel_and_arrow_keys_start_no_download(card):
    before = card.segmenter.findText(OFFER) - 1
    card.segmenter.setCurrentIndex(before)
    card.segmenter.setFocus()
    QTest.keyClick(card.segmenter, Qt.Key.Key_Down)
    assert card.segmenter.currentIndex() > before + 1
    assert not card.download.busy


def test_with_a_sam_here_nothing_is_offered(qtbot, source):
    path = SEGMENTERS["vit_l"].file_path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a SAM")
    card = ChoicesCard()
    qtbot.addWidget(card)
    assert card.segmenter.findText(OFFER) < 0
    assert card.segmenter.findText("vit_b (not on this computer)") >= 0


def test_a_step_waits_for_the_download_and_runs_by_itself_also_where_that_fails(
    qtbot, open_dock, tiny_slide, source
):
    _, dock = open_dock(tiny_slide)
    qtbot.mouseClick(dock.fold.line, LEFT)
    choose(dock.choices_card.segmenter, OFFER)
    qtbot.waitUntil(lambda: dock.choices_card.download.bar.value() == 1)
    qtbot.mouseClick(dock.steps["Tissue"], LEFT)
    assert dock.job is None
    assert not dock.button.isEnabled()
    qtbot.waitUntil(lambda: "Tissue starts afterwards" in dock.choices_card.download.status.text())
    source.gone = True
    source.let_go.set()
    qtbot.waitUntil(lambda: dock.job is not None)
    with qtbot.waitSignal(dock.job.ended):
        pass
    assert dock.choices_card.choices().segmenter == Choices().segmenter
    assert dock.progress_card.heading.text().startswith("Done in")


def test_a_stopped_download_takes_the_waiting_step_with_it(qtbot, open_dock, tiny_slide, source):
    _, dock = open_dock(tiny_slide)
    choose(dock.choices_card.segmenter, OFFER)
    qtbot.waitUntil(lambda: dock.choices_card.download.bar.value() == 1)
    qtbot.mouseClick(dock.button, LEFT)
    qtbot.mouseClick(dock.choices_card.download.cancel_button, LEFT)
    qtbot.waitUntil(lambda: not dock.choices_card.download.busy)
    qtbot.waitUntil(dock.button.isEnabled)
    assert dock.job is None
