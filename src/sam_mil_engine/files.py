"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ProjectError

#: What the system says where there is no room: on the disk, or in the share of a user.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


#: Windows refuses to rename over a file that another program has open, such as a virus scanner, for a moment:
#: seconds to wait before each new attempt.
_WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.8) if sys.platform == "win32" else ()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; when the block succeeds it is synced and renamed to ``path``.

    If the block raises, the temporary file is removed and ``path`` is as it was. The temporary name starts with
    a dot and holds the process number, so that two processes never share one.

    Raises
    ------
    ProjectError
        If the folder cannot be written or the disk is full; says how much room was needed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        _put(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise writing_error(error, path, written=_size(temporary)) from error
    finally:
        if temporary.exists():
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder next to ``path``; when the block succeeds it takes the place of ``path``.

    Raises
    ------
    ProjectError
        If the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        _put(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise writing_error(error, path, written=_size(temporary)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Replace ``path`` by ``content`` (text as UTF-8) in one step."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        try:
            temporary.write_bytes(data)
        except OSError as error:
            raise writing_error(error, path, needed=len(data), written=_size(temporary)) from error


def writing_error(error: OSError, path: Path, *, needed: int = 0, written: int = 0) -> ProjectError:
    """Turn a failure to write ``path`` into a :class:`ProjectError` that says why.

    Parameters
    ----------
    error
        What the system said.
    path
        The file or folder that was to be written.
    needed
        Bytes that it takes as a whole, or 0 where that is not known.
    written
        Bytes of it that were written, and are given back.
    """
    if error.errno in _FULL:
        need = _amount(needed) if needed else f"more than {_amount(written)}"
        free = _amount(_free(path) + written)
        quota = "your disk quota is used up" if error.errno == errno.EDQUOT else "the disk is full"
        return ProjectError(
            f"{quota}: {need} are needed, {free} are free", where=path, hint="Free some space and run again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ProjectError(
            f"cannot write here ({error.strerror})", where=path, hint="Choose a folder that you may write to"
        )
    return ProjectError(f"cannot be written ({error})", where=path, hint="See the reason in brackets")


def _put(temporary: Path, path: Path) -> None:
    """Rename to ``path``, again after a moment where another program has it open."""
    for wait_s in _WAITS_S:
        try:
            temporary.replace(path)
            return
        except PermissionError:
            time.sleep(wait_s)
    temporary.replace(path)


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder; 0 where there is none."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.exists() else 0


def _free(path: Path) -> int:
    """Bytes that are free where ``path`` is, or would be."""
    return shutil.disk_usage(next(folder for folder in path.absolute().parents if folder.exists())).free


def _amount(count: int) -> str:
    unit, name = next(((unit, name) for unit, name in _UNITS if count >= unit), _UNITS[-1])
    return f"{count / unit:.1f} {name}"


def _sync(path: Path) -> None:
    """Flush a file or a folder to the disk; folders cannot be opened on Windows, where rename is enough."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
