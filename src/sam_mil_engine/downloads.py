"""Fetch published weight files: resumed where cut off, checked, and in place whole or not at all."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from .errors import ModelError
from .files import writing_error
from .model_files import ModelFile
from .progress import Progress, ProgressCallback, silent

_BLOCK = 2**20
#: Seconds without an answer after which a server counts as gone.
_PATIENCE = 20
#: Environment variables by which a user forbids the network.
_OFFLINE = ("HF_HUB_OFFLINE", "SAM_MIL_OFFLINE")


def fetch(file: ModelFile, *, progress: ProgressCallback = silent) -> Path:
    """Download a weight file to its place, unless it is there; return the place.

    What arrives is kept beside it as ``FILE.part``, so that a download that was cut off or cancelled goes on.

    Raises
    ------
    ModelError
        If there is no network, the server has no such file, or what arrived is another file.
    ProjectError
        If the folder cannot be written or the disk is full.
    Cancelled
        If ``progress`` raises it: called for every MiB.
    """
    if file.path.is_file():
        return file.find(error=ModelError)[0]
    if any(os.environ.get(name, "0") not in ("", "0") for name in _OFFLINE):
        raise _error(file, f"the network is switched off ({' or '.join(_OFFLINE)})")
    part = file.path.with_name(f"{file.path.name}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as stream:
            _download(file, stream, progress)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise _error(file, f"it could not be downloaded ({getattr(error, 'reason', None) or error})") from error
    except OSError as error:
        raise writing_error(error, part) from error
    with part.open("rb") as whole:
        digest = hashlib.file_digest(whole, "sha256").hexdigest()
    if not digest.startswith(file.sha256):
        part.unlink()
        raise _error(file, f"what arrived has the checksum {digest[:16]}, expected is {file.sha256[:16]}")
    part.replace(file.path)
    return file.path


def _download(file: ModelFile, stream: IO[bytes], progress: ProgressCallback) -> None:
    start = stream.tell()
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(file.url, headers=headers), timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing is left to send: the part is the whole
            return
        raise
    with answer:
        if start and answer.status != 206:  # the server begins anew
            stream.truncate(0)
            start = 0
        total = start + int(answer.headers.get("Content-Length") or 0)
        _copy(answer, stream, done=start, total=total, file=file, progress=progress)


def _copy(
    answer: Any, stream: IO[bytes], *, done: int, total: int, file: ModelFile, progress: ProgressCallback
) -> None:
    def report() -> None:
        progress(Progress("fetch", round(done / 1e6), round(total / 1e6), "MB", file.file))

    report()
    while block := answer.read(_BLOCK):
        stream.write(block)
        done += len(block)
        report()
    if done < total:
        raise ConnectionError(
            f"the connection ended after {done / 1e6:.0f} of {total / 1e6:.0f} MB; fetch it again"
        )


def _error(file: ModelFile, what: str) -> ModelError:
    return ModelError(
        f"{what}; wanted are the weights of {file.name!r} ({file.file})",
        where=file.url,
        hint=f"Where there is a network, download it and put the file into {file.path.parent}",
    )
