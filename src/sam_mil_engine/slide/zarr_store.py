"""OME-Zarr as it lies on the disk: a folder of chunks, or the same in a ZIP file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SlideError

if TYPE_CHECKING:
    import zarr

#: Files of Zarr 2 and 3, at least one of which lies in every group.
_GROUP_FILES = ("zarr.json", ".zgroup", ".zattrs")
_METADATA = (*_GROUP_FILES, ".zarray")
#: Endings of names of such folders and files; ``.ozx`` is the one that OME gives to ZIP files.
ZARR_ENDINGS = (".ome.zarr.zip", ".zarr.zip", ".ome.zarr", ".zarr", ".ozx")
#: Bytes of the coarsest level that are part of a slide's fingerprint, at most.
_FINGERPRINT = 2**20


def is_zarr(path: Path) -> bool:
    """Whether this is a group of Zarr: a folder, or a ZIP file of one."""
    if path.is_dir():
        return any((path / name).is_file() for name in _GROUP_FILES)
    if not path.name.lower().endswith(ZARR_ENDINGS) or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return _root(archive) is not None


def open_group(path: Path) -> tuple[zarr.Group, Any]:
    """Open the group for reading; returns it and what is to be closed.

    Raises
    ------
    SlideError
        If the metadata is damaged.
    """
    import zarr
    from zarr.storage import LocalStore, ZipStore

    inner = ""
    if path.is_dir():
        store: Any = LocalStore(path, read_only=True)
    else:
        with zipfile.ZipFile(path) as archive:
            inner = _root(archive) or ""
        store = ZipStore(path, mode="r")
    try:
        return zarr.open_group(store, path=inner.rstrip("/") or None, mode="r"), store
    except Exception as error:  # zarr raises many types for files that break the standard
        store.close()
        raise SlideError(
            f"its metadata cannot be read: {' '.join(str(error).split())[:200] or type(error).__name__}",
            hint="Copy the whole folder again from its source",
        ) from error


def fingerprint_bytes(path: Path) -> Iterator[bytes]:
    """Yield what tells a folder of Zarr from others: all metadata, and the beginning of the coarsest level."""
    levels: list[Path] = []
    for folder in (path, *sorted(child for child in path.iterdir() if child.is_dir())):
        found = [folder / name for name in _METADATA if (folder / name).is_file()]
        for file in found:
            yield file.read_bytes()
        if found and folder != path and _is_array(folder):
            levels.append(folder)
    if levels:
        coarsest = min(levels, key=_pixels)
        left = _FINGERPRINT
        for file in sorted(child for child in coarsest.rglob("*") if child.is_file()):
            content = file.read_bytes()[:left]
            left -= len(content)
            yield content
            if left <= 0:
                return


def _root(archive: zipfile.ZipFile) -> str | None:
    """Where the group begins in a ZIP file: at its top (an empty text), or in one folder (``NAME/``)."""
    names = set(archive.namelist())
    tops = {"", *(f"{name.split('/', 1)[0]}/" for name in names if "/" in name)}
    return next((top for top in sorted(tops) if any(f"{top}{name}" in names for name in _GROUP_FILES)), None)


def _is_array(folder: Path) -> bool:
    return (folder / ".zarray").is_file() or _array_metadata(folder).get("node_type") == "array"


def _pixels(folder: Path) -> int:
    shape = _array_metadata(folder).get("shape", [])
    total = 1
    for side in shape if isinstance(shape, list) else []:
        total *= int(side)
    return total


def _array_metadata(folder: Path) -> Mapping[str, Any]:
    for name in ("zarr.json", ".zarray"):
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            return content
    return {}
