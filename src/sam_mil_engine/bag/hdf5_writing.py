"""HDF5 files that are written whole or not at all, also where the disk fills up."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from ..files import atomic_path, writing_error
from .hdf5_checks import trust


@contextmanager
def written_hdf5(path: Path, *, copy_of: Path | None = None) -> Iterator[h5py.File]:
    """Yield an HDF5 file that is open for writing; it takes the place of ``path`` when the block succeeds.

    Parameters
    ----------
    path
        The file.
    copy_of
        Begin with a copy of this file; with an empty one where None.

    Raises
    ------
    ProjectError
        If the folder cannot be written or the disk is full; says how much room was needed and how much there is.
    """
    with atomic_path(path) as temporary:
        if copy_of is not None:
            _copy(copy_of, temporary, path)
        with _GuardedFile(temporary, "w+" if copy_of is None else "r+") as raw:
            with h5py.File(raw, "w" if copy_of is None else "r+") as file:
                yield file
            if raw.failure is not None:
                written = temporary.stat().st_size
                raise writing_error(raw.failure, path, needed=raw.end, written=written) from raw.failure
    trust(path)


def _copy(source: Path, target: Path, path: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        written = target.stat().st_size if target.exists() else 0
        raise writing_error(error, path, needed=source.stat().st_size, written=written) from error


class _GuardedFile(io.FileIO):
    """A file that hides the first failure to write, and everything after it, from HDF5.

    HDF5 cannot give up a file that it could not write: it tries again while the process ends, and crashes it. Here
    it finishes into the void; ``failure`` says what went wrong, and ``end`` how large the file would have been.
    """

    def __init__(self, path: Path, mode: str):
        super().__init__(path, mode)
        self.failure: OSError | None = None
        self.end = 0

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; what lies beyond the end of the file is zero."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (count := super().readinto(view[done:])):
            done += count
        view[done:] = bytes(len(view) - done)
        return len(view)

    def write(self, data: Any) -> int:
        """Write all of ``data``, or nothing after a failure."""
        view = memoryview(data).cast("B")
        self.end = max(self.end, self.tell() + len(view))
        done = 0
        while done < len(view) and self.failure is None:
            try:
                done += super().write(view[done:])
            except OSError as error:
                self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file; nothing after a failure."""
        if self.failure is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.failure = error
        return self.tell() if size is None else size
