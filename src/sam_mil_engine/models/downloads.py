"""Download published files: resumed where cut off, checked, and in place whole or not at all."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic
from typing import IO, Any

from ..errors import ModelError, SamMilError
from ..files import writing_error
from ..progress import Progress, ProgressCallback, silent
from .card import ModelCard
from .offline import OFFLINE_VARIABLES, is_offline

_BLOCK = 2**20
#: Seconds without an answer after which a server counts as gone.
_PATIENCE = 20
#: Seconds between two reports, also while nothing arrives: so soon a cancelled download stops.
_REPORT_EVERY = 0.25


@dataclass(frozen=True, slots=True)
class Download:
    """A file to download.

    Attributes
    ----------
    url, path
        Where it is published, and where it goes.
    sha256
        Its checksum, in full or its first digits.
    what
        What it is, for messages: ``the weights of 'vit_b' (sam_vit_b_01ec64.pth)``.
    hint, window_hint
        What to do where it cannot be had, on the command line and in the window.
    size
        Its size in bytes, where that is certain; else 0.
    error
        Class of the error where it cannot be had.
    """

    url: str
    path: Path
    sha256: str
    what: str
    hint: str
    window_hint: str
    size: int = 0
    error: type[SamMilError] = ModelError

    @property
    def part(self) -> Path:
        """Where a download that is not finished is kept."""
        return self.path.with_name(f"{self.path.name}.part")

    def failed(self, reason: str) -> SamMilError:
        """Return the error that says why the file cannot be had."""
        return self.error(
            f"{reason}; needed: {self.what}", where=self.url, hint=self.hint, window_hint=self.window_hint
        )


def fetch(card: ModelCard, *, progress: ProgressCallback = silent) -> Path:
    """Download a weight file to its place, unless it is there; return the place.

    Raises
    ------
    ModelError, ProjectError, Cancelled
        As :func:`download`.
    """
    if card.file_path.is_file():
        return card.find(error=ModelError)[0]
    return download(_of_model(card), progress=progress)


def download(file: Download, *, progress: ProgressCallback = silent) -> Path:
    """Download a file to its place, and return the place.

    The data are saved next to it as ``FILE.part``, so that a download that was cut off or cancelled goes on.

    Raises
    ------
    SamMilError
        Of the class ``file.error``, if there is no network, the server has no such file, or what it has is another
        file.
    ProjectError
        If the folder cannot be written or the disk is full.
    Cancelled
        If ``progress`` raises it: called several times a second, also while nothing arrives.
    """
    if is_offline():
        raise file.failed(f"the network is turned off ({' or '.join(OFFLINE_VARIABLES)})")
    try:
        file.part.parent.mkdir(parents=True, exist_ok=True)
        with file.part.open("ab") as stream:
            _download(file, stream, progress)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise file.failed(f"it could not be downloaded ({getattr(error, 'reason', None) or error})") from error
    except OSError as error:
        raise writing_error(error, file.part) from error
    finally:
        if file.part.is_file() and not file.part.stat().st_size:
            file.part.unlink()
    with file.part.open("rb") as whole:
        digest = hashlib.file_digest(whole, "sha256").hexdigest()
    if not digest.startswith(file.sha256):
        file.part.unlink()
        raise file.failed(f"the downloaded file has the checksum {digest[:16]}, expected is {file.sha256[:16]}")
    file.part.replace(file.path)
    return file.path


def part_of(card: ModelCard) -> Path:
    """Where a download of a weight file that is not finished is kept."""
    return _of_model(card).part


def _of_model(card: ModelCard) -> Download:
    advice = f"Where there is a network, download it and put the file into {card.file_path.parent}"
    return Download(
        url=card.source,
        path=card.file_path,
        sha256=card.sha256,
        what=f"the weights of {card.name!r} ({card.file})",
        hint=f"{advice}. `sam-mil-engine models add {card.file}` does that too",
        window_hint=f"{advice}, or press “Add a file…” in the Models dock",
        size=card.size if card.size_is_exact else 0,
    )


def _download(file: Download, stream: IO[bytes], progress: ProgressCallback) -> None:
    done, total, last = stream.tell(), file.size, -1.0

    def report() -> None:
        progress(Progress("fetch", round(done / 1e6), round(total / 1e6), unit="MB", message=file.path.name))

    report()
    for item in _arriving(file.url, start=done):
        if isinstance(item, _Answer):
            if item.start != done:  # the server begins again
                stream.truncate(0)
            done, total = item.start, item.total or total
            if file.size and item.total not in (0, file.size):
                stream.truncate(0)
                raise file.failed(
                    f"the server has a file of {item.total:,} bytes, the published file has {file.size:,} bytes"
                )
        elif item:
            stream.write(item)
            done += len(item)
        if monotonic() - last >= _REPORT_EVERY:
            last = monotonic()
            report()
    if done < total:
        raise ConnectionError(
            f"the connection ended after {done / 1e6:.0f} of {total / 1e6:.0f} MB; fetch it again"
        )
    report()


class _Answer:
    """What the server says before the content: where it starts, and the size of the whole file (0: not said)."""

    def __init__(self, answer: Any, asked: int):
        self.start = asked if answer.status == 206 else 0
        length = int(answer.headers.get("Content-Length") or 0)
        self.total = self.start + length if length else 0


def _arriving(url: str, *, start: int) -> Iterator[_Answer | bytes]:
    """Yield the answer, then the content as it arrives, and empty bytes while nothing does.

    A thread waits for the server, so that the caller is heard; left early, it ends at the next block.
    """
    blocks: Queue[_Answer | bytes | Exception | None] = Queue(maxsize=8)
    left = Event()

    def put(item: _Answer | bytes | Exception | None) -> None:
        while not left.is_set():
            with suppress(Full):
                blocks.put(item, timeout=_REPORT_EVERY)
                break

    def read() -> None:
        try:
            with _open(url, start) as answer:
                put(_Answer(answer, start))
                while not left.is_set() and (block := answer.read1(_BLOCK)):
                    put(block)
            put(None)
        except (OSError, HTTPException, ValueError) as error:  # handed over to the caller
            put(None if getattr(error, "code", 0) == 416 else error)  # 416: nothing is left to send

    Thread(target=read, name="download", daemon=True).start()
    try:
        while True:
            try:
                item = blocks.get(timeout=_REPORT_EVERY)
            except Empty:
                item = b""
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        left.set()


def _open(url: str, start: int) -> Any:
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    if url.startswith("https:") and not answer.url.startswith("https:"):
        answer.close()
        raise urllib.error.URLError(f"the server leads to {answer.url}, which is not encrypted")
    return answer
