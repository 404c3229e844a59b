"""Fetching weight files from a server on this computer that behaves, cuts off, lies or is gone."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sam_mil_engine.downloads import fetch
from sam_mil_engine.errors import Cancelled, ModelError
from sam_mil_engine.model_files import MODELS_VARIABLE, ModelFile

CONTENT = bytes(range(256)) * 4096 * 3
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Source(BaseHTTPRequestHandler):
    ranges = True
    cut = None

    def do_GET(self):
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        self.server.starts.append(start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.cut])

    def log_message(self, *_args):
        pass


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(Source, "ranges", True)
    monkeypatch.setattr(Source, "cut", None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        server.starts = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def file_of(server, sha256=SHA256):
    return ModelFile(
        "big", "a test", "big.pth", f"http://127.0.0.1:{server.server_address[1]}/big.pth", sha256, "MIT"
    )


def test_a_file_is_fetched_with_progress_and_only_once(source):
    reports = []
    path = fetch(file_of(source), progress=reports.append)
    assert path.read_bytes() == CONTENT
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    assert reports[-1].done == reports[-1].total == 3
    assert fetch(file_of(source)) == path
    assert len(source.starts) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cancelled_download_goes_on_or_begins_anew(source, monkeypatch, ranges):
    monkeypatch.setattr(Source, "ranges", ranges)

    def stop(report):
        if report.done >= 1:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        fetch(file_of(source), progress=stop)
    assert not file_of(source).path.exists()
    assert fetch(file_of(source)).read_bytes() == CONTENT
    assert (source.starts[1] > 0) == ranges


def test_a_download_that_is_cut_off_is_no_model_and_goes_on_later(source, monkeypatch):
    monkeypatch.setattr(Source, "cut", 2**20)
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch(file_of(source))
    assert not file_of(source).path.exists()
    monkeypatch.setattr(Source, "cut", None)
    assert fetch(file_of(source)).read_bytes() == CONTENT
    assert source.starts[1] == 2**20


def test_another_file_is_refused_and_not_kept(source):
    with pytest.raises(ModelError, match="checksum"):
        fetch(file_of(source, sha256="0" * 64))
    assert list(file_of(source).path.parent.iterdir()) == []


def test_offline_and_gone_say_what_to_do(source, monkeypatch):
    monkeypatch.setenv("SAM_MIL_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"switched off.*put the file into"):
        fetch(file_of(source))
    monkeypatch.delenv("SAM_MIL_OFFLINE")
    nowhere = ModelFile("big", "a test", "big.pth", "http://127.0.0.1:9/big.pth", "0" * 64, "MIT")
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch(nowhere)
