"""The first directory of a TIFF file, read with Pillow's parser: cheap, and for files of any size."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION = 274
_UPRIGHT = 1


def is_tiff(path: Path) -> bool:
    """Whether the file starts as TIFF and BigTIFF files do."""
    with path.open("rb") as file:
        return file.read(4) in _SIGNATURES


def orientation_warnings(path: Path) -> tuple[str, ...]:
    """One sentence where a TIFF asks to be shown turned or mirrored, else nothing."""
    directory = _first_directory(path)
    if directory is None:
        return ("The TIFF orientation tag cannot be read.",)
    orientation = directory.get(_ORIENTATION, _UPRIGHT)
    if orientation == _UPRIGHT:
        return ()
    return (
        f"The file asks to be shown turned or mirrored (TIFF orientation {orientation}); "
        "pixels and coordinates are used as they are stored, as OpenSlide does.",
    )


def _first_directory(path: Path) -> ImageFileDirectory_v2 | None:
    """Parse the first directory; None where Pillow cannot (damaged, or a big-endian BigTIFF)."""
    with path.open("rb") as file:
        header = file.read(8)
        if b"+" in header[2:4]:
            header += file.read(8)
        try:
            directory = ImageFileDirectory_v2(header)
            file.seek(directory.next)
            directory.load(file)
        except (OSError, SyntaxError, ValueError, struct.error):
            return None
    return directory
