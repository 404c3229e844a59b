"""HDF5 files of unknown origin: what must not be trusted before an array is read."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py

from .. import first_look
from ..errors import MALFORMED, BagError, reason

_ANOTHER = "Copy it again from its source, or move it elsewhere and create it again"
_WITHOUT_LOCKS = "set the environment variable HDF5_USE_FILE_LOCKING to FALSE and run again"
_HINT = "The file is damaged or malicious; copy it again from its source"
#: DEFLATE, HDF5's usual compression, shrinks at most about a thousand times.
_MOST_COMPRESSED = 1100
#: Datasets up to this size may be as sparse as they like, and attributes may be this large.
_ALWAYS_FINE = 2**20
#: What a child process does with a file before this one opens it: libhdf5 crashes on some damaged files.
LOOK = f"{__name__}:read_all"
#: What was checked by this process; a file that changed is checked again.
_CHECKED: set[tuple[object, ...]] = set()
_MOST_CHECKED = 10_000


@contextmanager
def open_checked(
    path: Path, *, missing: str = "Check the path", window_hint: str | None = None
) -> Iterator[h5py.File]:
    """Check everything in an HDF5 file, then open it for reading.

    ``missing`` and ``window_hint`` say what to do where there is no file.

    Raises
    ------
    BagError
        If the file is missing or cannot be read, here or in the block; if reading it crashes or hangs a process; if
        it links to other files; or if a dataset says to be far larger than what is stored of it.
    """
    path = Path(path)
    if not os.path.isfile(path):  # too long a name is none
        raise BagError("there is no such bag file", where=path, hint=missing, window_hint=window_hint)
    problem = first_look.problem(LOOK, path)
    if problem is not None:
        raise BagError(problem, where=path, hint=_HINT)
    now = first_look.identity(path)
    try:
        with h5py.File(path, "r") as file:
            if now not in _CHECKED:
                _check_group(file, path, seen=set())
                _keep(now)
            yield file
    except OSError as error:
        raise _why(error, path) from error
    except MALFORMED as error:
        raise BagError(f"it is not a valid bag ({reason(error)})", where=path, hint=_ANOTHER) from error


def trust(path: Path) -> None:
    """Take a file that this process, or a child of it, has just written as well looked at."""
    first_look.trust(LOOK, path)


def read_all(path: Path) -> None:
    """Read every attribute, small dataset and index of a file, those after unreadable ones too."""

    def look(_: str, item: h5py.Group | h5py.Dataset) -> None:
        for name in item.attrs:
            with suppress(Exception):
                item.attrs[name]
        with suppress(Exception):
            if isinstance(item, h5py.Dataset) and item.nbytes <= _ALWAYS_FINE:
                item[()]
            elif isinstance(item, h5py.Dataset) and item.chunks is not None:
                item.id.get_num_chunks()

    with h5py.File(path, "r") as file:
        _check_group(file, path, seen=set())
        look("/", file)
        file.visititems(look)


def _why(error: OSError, path: Path) -> BagError:
    """Explain why HDF5 could not open or read a file, which may well be intact."""
    text = str(error).splitlines()[0]
    code = error.errno or next((int(number) for number in re.findall(r"errno = (\d+)", text)), None)
    locked, in_window = "to lock file" in text, None
    if locked and code in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
        what, hint = "its disk does not support locks", f"Move it to another disk, or {_WITHOUT_LOCKS}"
        in_window = "Move it to another disk"
    elif locked:
        what, hint = (
            "another program holds the file open",
            f"Close that program and run again. If there is none: {_WITHOUT_LOCKS}",
        )
        in_window = "Close that program and try again; if there is none, move the file to another disk"
    elif code in (errno.EACCES, errno.EPERM):
        what, hint = "you do not have permission to read the file", "Ask its owner for permission to read it"
    elif "signature not found" in text:
        what, hint = "it is not an HDF5 file, despite its name", _ANOTHER
    elif "truncated" in text:
        what, hint = "the file is truncated", "A copy may have been interrupted: copy the file again"
    elif code in (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO):
        what, hint = (
            f"its disk cannot be read ({os.strerror(code)})",
            "Check the disk or the network, and run again",
        )
    else:
        what, hint = f"it cannot be read ({text})", _ANOTHER
    return BagError(what, where=path, hint=hint, window_hint=in_window)


def _keep(checked: tuple[object, ...]) -> None:
    if len(_CHECKED) >= _MOST_CHECKED:
        _CHECKED.clear()
    _CHECKED.add(checked)


def _check_group(group: h5py.Group, path: Path, *, seen: set[int]) -> None:
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:  # hard links may form circles
        return
    seen.add(address)
    _check_attributes(group, path)
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise BagError(f"/{name} is a link to somewhere else", where=path, hint=_HINT)
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_group(item, path, seen=seen)
        elif isinstance(item, h5py.Dataset):
            _check_dataset(item, path)


def _check_attributes(item: h5py.Group | h5py.Dataset, path: Path) -> None:
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        size = attribute.get_space().get_simple_extent_npoints() * attribute.get_type().get_size()
        if size > _ALWAYS_FINE:
            raise BagError(f"the attribute {name} of {item.name} claims {size} bytes", where=path, hint=_HINT)


def _check_dataset(data: h5py.Dataset, path: Path) -> None:
    _check_attributes(data, path)
    if data.external or data.is_virtual:
        raise BagError(f"{data.name} stores its values in another file", where=path, hint=_HINT)
    stored = data.id.get_storage_size()
    if data.nbytes > max(_ALWAYS_FINE, _MOST_COMPRESSED * stored):
        raise BagError(
            f"{data.name} claims the shape {data.shape}, but only {stored} bytes of it are stored",
            where=path,
            hint=_HINT,
        )
