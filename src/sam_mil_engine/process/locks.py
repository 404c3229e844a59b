"""Locks of a project that several processes work on, and what killed ones leave behind."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import ProjectError
from ..files import writing_error

#: Endings of the files of a project; the name of one slide may begin with that of another.
_ENDINGS = r"h5|features\.json|ome\.zarr|geojson|jpg|csv|json"


class LockedError(ProjectError):
    """Another process holds the lock."""


@contextmanager
def held(path: Path, *, wait: float, what: str) -> Iterator[None]:
    """Hold a lock file for this process.

    Parameters
    ----------
    path
        The lock file; it stays, and a process that ends, however it does, gives it back.
    wait
        Seconds to wait for another process.
    what
        What is said of another process that holds it.

    Raises
    ------
    LockedError
        If another process holds it all the time.
    ProjectError
        If the folder cannot be written.
    """
    # A slide that is prepared while another one runs begins in one thread and ends in another.
    lock = FileLock(path, timeout=wait, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockedError(what, where=path.parent, hint="Wait for it, or stop it and run again") from error
    except OSError as error:
        raise writing_error(error, path) from error
    try:
        yield
    finally:
        lock.release()


def sweep(folder: Path, name: str) -> None:
    """Remove half files and half folders of ``name`` that killed processes have left in ``folder``.

    The caller holds the lock under which these files are written.
    """
    half = re.compile(rf"\.\.?{re.escape(name)}\.({_ENDINGS})\.\d+\.tmp")
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if half.fullmatch(path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
