"""Annotation files that are packed: gzip and zip, by what they hold and not by their names."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib

from .outlines import Reader

#: Bytes that an unpacked annotation file may have: 50 times a file of 100,000 nuclei.
MOST_BYTES = 2**30
#: A zip archive, and one without any file.
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
#: What reading a damaged or encrypted archive raises.
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def unpack_file(reader: Reader, data: bytes) -> bytes:
    """Return the content of a gzip file, or of the one annotation file in a zip archive; all else as it is.

    Raises
    ------
    AnnotationError
        If the archive is damaged, holds none or several files, or is far larger inside than an annotation file is.
    """
    try:
        if data.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(data)) as stream:
                return _limited(reader, stream.read(MOST_BYTES + 1))
        if data.startswith(_ZIP_STARTS):
            archive = zipfile.ZipFile(io.BytesIO(data))
            with archive, archive.open(_only_member(reader, archive)) as member:
                return _limited(reader, member.read(MOST_BYTES + 1))
    except _DAMAGED as error:
        raise reader.error(f"it cannot be unpacked ({error})", hint="Copy or export it again") from error
    return data


def _only_member(reader: Reader, archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if not name.endswith("/") and not _hidden(name)]
    if len(names) != 1:
        raise reader.error(
            f"the archive holds {len(names)} files ({', '.join(names[:5])})", hint="Unpack it and name one of them"
        )
    return names[0]


def _hidden(name: str) -> bool:
    """Whether a member is one that a file manager adds: ``__MACOSX/``, ``.DS_Store``."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


def _limited(reader: Reader, data: bytes) -> bytes:
    if len(data) > MOST_BYTES:
        raise reader.error(f"it unpacks to more than {MOST_BYTES / 1e9:.1f} GB, too much for an annotation file")
    return data
