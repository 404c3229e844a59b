"""The folder of weight files on this computer, and checksums of files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

#: Name of the environment variable that moves the folder of weight files.
MODELS_VARIABLE = "SAM_MIL_MODELS"


def models_folder() -> Path:
    """Folder of fetched weight files: ``$SAM_MIL_MODELS``, else ``models`` in the user's cache."""
    if chosen := os.environ.get(MODELS_VARIABLE):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("napari-sam-mil")) / "models"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits; raises :class:`OSError` where it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
