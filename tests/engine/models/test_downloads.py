"""Fetching weight files from a server on this computer that behaves, cuts off, lies or is gone."""

from __future__ import annotations

import hashlib
import threading
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sam_mil_engine.errors import Cancelled, ModelError
from sam_mil_engine.models import downloads
from sam_mil_engine.models.card import ModelCard
from sam_mil_engine.models.downloads import fetch
from sam_mil_engine.models.files import MODELS_VARIABLE

CONTENT = bytes(range(256)) * 4096 * 3
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Source(BaseHTTPRequestHandler):
    ranges = True
    cut = None
    pause = 0.0
    content = CONTENT

    def do_GET(self):
        if self.path == "/gone.pth":
            self.send_error(404)
            return
        if self.path == "/moved.pth":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/big.pth")
            self.end_headers()
            return
        self.server.hosts.append(self.headers["Host"])
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        self.server.starts.append(start)
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        if self.pause:
            self.wfile.write(self.content[start : start + 1000])
            self.wfile.flush()
            self.server.let_go.wait(self.pause)
            return
        self.wfile.write(self.content[start : self.cut])

    def log_message(self, *_args):
        pass


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(Source, "ranges", True)
    monkeypatch.setattr(Source, "cut", None)
    monkeypatch.setattr(Source, "pause", 0.0)
    monkeypatch.setattr(Source, "content", CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        server.starts, server.hosts, server.let_go = [], [], threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.let_go.set()
        server.shutdown()
        thread.join()


def file_of(server, sha256=SHA256, page="big.pth"):
    url = f"http://127.0.0.1:{server.server_address[1]}/{page}"
    return ModelCard(
        name="big", kind="encoder", what="a test", builder="", file="big.pth", source=url, sha256=sha256
    )


def left(server):
    """Names in the folder of weight files."""
    folder = file_of(server).file_path.parent
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


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
    assert not file_of(source).file_path.exists()
    assert fetch(file_of(source)).read_bytes() == CONTENT
    assert (source.starts[1] > 0) == ranges


def test_a_download_that_is_cut_off_is_no_model_and_goes_on_later(source, monkeypatch):
    monkeypatch.setattr(Source, "cut", 2**20)
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch(file_of(source))
    assert not file_of(source).file_path.exists()
    monkeypatch.setattr(Source, "cut", None)
    assert fetch(file_of(source)).read_bytes() == CONTENT
    assert source.starts[1] == 2**20


def test_another_file_is_refused_and_not_kept(source):
    with pytest.raises(ModelError, match="checksum"):
        fetch(file_of(source, sha256="0" * 64))
    assert list(file_of(source).file_path.parent.iterdir()) == []


def test_offline_and_gone_say_what_to_do(source, monkeypatch):
    monkeypatch.setenv("SAM_MIL_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"turned off.*put the file into.*models add"):
        fetch(file_of(source))
    monkeypatch.delenv("SAM_MIL_OFFLINE")
    nowhere = replace(file_of(source), source="http://127.0.0.1:9/big.pth", sha256="0" * 64)
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch(nowhere)
    assert left(source) == []


@pytest.mark.parametrize("known_size", [0, len(CONTENT)])
def test_the_size_is_told_from_the_start_where_it_is_known(source, known_size):
    reports = []
    fetch(replace(file_of(source), size=known_size), progress=reports.append)
    assert [reports[0].total, reports[-1].total] == [round(known_size / 1e6), 3]


@pytest.mark.parametrize("more", [-1, 1])
def test_a_file_of_another_size_is_refused_before_it_arrives(source, more):
    wrong = replace(file_of(source), size=len(CONTENT) + more)
    with pytest.raises(ModelError, match="the server has a file of 3,145,728 bytes"):
        fetch(wrong)
    assert left(source) == []


def test_a_page_that_stands_where_the_file_was_is_no_model(source, monkeypatch):
    monkeypatch.setattr(Source, "content", b"<html>Log in</html>")
    with pytest.raises(ModelError, match="checksum"):
        fetch(file_of(source))
    assert left(source) == []


def test_a_file_that_is_gone_says_where_it_was_and_how_a_copy_is_added(source):
    with pytest.raises(ModelError) as caught:
        fetch(file_of(source, page="gone.pth"))
    text = str(caught.value)
    assert "Not Found" in text
    assert "/gone.pth" in text
    assert "sam-mil-engine models add big.pth" in text
    assert left(source) == []


def test_a_redirect_to_another_host_is_followed_also_when_going_on(source, monkeypatch):
    monkeypatch.setattr(Source, "cut", 2**20)
    moved = file_of(source, page="moved.pth")
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch(moved)
    monkeypatch.setattr(Source, "cut", None)
    assert fetch(moved).read_bytes() == CONTENT
    assert source.starts == [0, 2**20]
    assert {host.split(":")[0] for host in source.hosts} == {"localhost"}


def test_an_encrypted_address_that_leads_to_a_plain_one_is_refused(source, monkeypatch):
    plain = f"http://127.0.0.1:{source.server_address[1]}/big.pth"
    urlopen = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", lambda _request, timeout: urlopen(plain, timeout=timeout))
    with pytest.raises(ModelError, match=r"leads to http://127\.0\.0\.1.*not encrypted"):
        fetch(replace(file_of(source), source="https://models.example.org/big.pth"))
    assert left(source) == []


def test_a_slow_server_does_not_keep_a_person_who_cancels_waiting(source, monkeypatch):
    monkeypatch.setattr(Source, "pause", 10_000.0)

    real, arrived = downloads._arriving, []

    def noting(*arguments, **options):
        for item in real(*arguments, **options):
            arrived.append(item)
            yield item

    def stop(report):
        if any(isinstance(item, bytes) and item for item in arrived):
            raise Cancelled("enough")

    monkeypatch.setattr(downloads, "_arriving", noting)
    with pytest.raises(Cancelled):
        fetch(file_of(source), progress=stop)
    assert left(source) == ["big.pth.part"]
    monkeypatch.setattr(Source, "pause", 0.0)
    assert fetch(file_of(source)).read_bytes() == CONTENT
    assert source.starts == [0, 1000]
    assert left(source) == ["big.pth"]


def test_a_part_that_is_already_whole_is_taken(source):
    path = file_of(source).file_path
    path.parent.mkdir()
    path.with_name("big.pth.part").write_bytes(CONTENT)
    assert fetch(file_of(source)).read_bytes() == CONTENT
    assert left(source) == ["big.pth"]


def test_a_part_of_another_file_ends_as_an_error_and_is_thrown_away(source):
    path = file_of(source).file_path
    path.parent.mkdir()
    path.with_name("big.pth.part").write_bytes(b"x" * 1000)
    with pytest.raises(ModelError, match="checksum"):
        fetch(file_of(source))
    assert left(source) == []
    assert fetch(file_of(source)).read_bytes() == CONTENT
