"""Samples: made here, or downloaded with a pinned checksum and a clear error without a network."""

from __future__ import annotations

import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from qtpy.QtCore import QTimer

from napari_sam_mil import sample_data
from sam_mil_engine import synthetic
from sam_mil_engine.errors import SlideError
from sam_mil_engine.sample import fetch_cmu
from tiny_slides import write_tiny_slide


@pytest.fixture
def server(tmp_path):
    """A web server on this computer that serves tmp_path/web."""
    (tmp_path / "web").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield tmp_path / "web", f"http://127.0.0.1:{httpd.server_address[1]}/slide.svs"
        httpd.shutdown()
        thread.join()


def test_the_public_slide_is_fetched_once_and_checked(server, cmu_slide, tmp_path):
    web, url = server
    shutil.copyfile(cmu_slide, web / "slide.svs")
    seen = []
    path = fetch_cmu(tmp_path / "cache", url=url, progress=seen.append)
    assert path.read_bytes() == cmu_slide.read_bytes()
    assert seen[-1].done == seen[-1].total == round(cmu_slide.stat().st_size / 1e6)
    (web / "slide.svs").unlink()
    assert fetch_cmu(tmp_path / "cache", url=url) == path, "the second time needs no network"
    path.write_bytes(b"damaged")
    shutil.copyfile(cmu_slide, web / "slide.svs")
    assert fetch_cmu(tmp_path / "cache", url=url).read_bytes() == cmu_slide.read_bytes()


def test_a_wrong_file_is_refused_and_not_kept(server, tmp_path):
    web, url = server
    (web / "slide.svs").write_bytes(b"something else")
    with pytest.raises(SlideError, match="the downloaded file has the checksum"):
        fetch_cmu(tmp_path / "cache", url=url)
    assert not (tmp_path / "cache" / "CMU-1-Small-Region.svs").exists()


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    with pytest.raises(SlideError, match="use the generated slides"):
        fetch_cmu(tmp_path / "cache", url="http://127.0.0.1:9/slide.svs")


def test_the_generated_sample_opens_from_the_menu(make_napari_viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(sample_data, "sample_folder", lambda: tmp_path)
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample("napari-sam-mil", "generated")
    assert layer.name == "generated-tumour"
    assert layer.multiscale
    assert (tmp_path / "generated-tumour.geojson").is_file()


def test_the_window_lives_while_a_sample_is_made(make_napari_viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(sample_data, "sample_folder", lambda: tmp_path)
    beats, main = [], threading.get_ident()
    threads = []

    def slowly(path, **_words):
        threads.append(threading.get_ident())
        while len(beats) < 5:
            time.sleep(0.01)
        shutil.copyfile(write_tiny_slide(tmp_path / "tiny.tiff"), path)

    monkeypatch.setattr(synthetic, "make_slide", slowly)
    viewer = make_napari_viewer()
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(1))
    timer.start(5)
    viewer.open_sample("napari-sam-mil", "generated")
    timer.stop()
    assert len(beats) >= 5, "the timer of the window went on"
    assert threads != [main]
    assert viewer.layers[0].name == "generated-tumour"


def test_an_error_of_a_sample_reaches_napari(make_napari_viewer, monkeypatch):
    def fail(**_words):
        raise SlideError("no network")

    monkeypatch.setattr(sample_data, "fetch_cmu", fail)
    viewer = make_napari_viewer()
    with pytest.raises(SlideError, match="no network"):
        viewer.open_sample("napari-sam-mil", "cmu-1-small-region")
