"""Weight files of others: where they come from, where they are kept, and whether they are here and whole.

Nothing is downloaded in this module (:mod:`.downloads` does). A file that is missing gives an error that names
the file, its address and the folder to put a copy in, so that a machine without a network can be served by hand.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from .errors import SamMilError

#: Name of the environment variable that moves the folder of weight files.
MODELS_VARIABLE = "SAM_MIL_MODELS"
#: Hexadecimal digits of a SHA-256.
_DIGITS = 64


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One published weight file.

    Attributes
    ----------
    name
        What a person types, for example ``vit_b``.
    what
        One line for a table.
    file
        Name of the published file.
    url
        Where it is published.
    sha256
        Its checksum, in full or the first digits that are published.
    licence
        SPDX name.
    megabytes
        Its size, rounded, and approximate where ``size`` is 0; 0 where it is not known.
    size
        Its size in bytes, where that is certain; else 0.
    citation
        What to cite.
    needs
        Package that must be installed to use it, or nothing.
    """

    name: str
    what: str
    file: str
    url: str
    sha256: str
    licence: str
    megabytes: int = 0
    size: int = 0
    citation: str = ""
    needs: str = ""

    @property
    def size_in_words(self) -> str:
        """Size for a table, marked where it is approximate; empty where it is not known."""
        if self.size:
            return f"{self.size:,} bytes"
        return f"about {self.megabytes:,} MB" if self.megabytes else ""

    @property
    def checksum_in_words(self) -> str:
        """The SHA-256, and whether only its first digits are published."""
        if not self.sha256:
            return "not published"
        return self.sha256 if len(self.sha256) == _DIGITS else f"{self.sha256}… (only these digits are published)"

    @property
    def path(self) -> Path:
        """Where the file is expected on this machine."""
        return models_folder() / self.file

    def find(self, *, error: type[SamMilError]) -> tuple[Path, str]:
        """Return the path of the file and its SHA-256.

        Raises
        ------
        SamMilError
            Of the given class, if the file is missing or is not the published one.
        """
        path = self.path
        if not path.is_file():
            raise error(
                f"the weights of {self.name!r} ({self.file}) are not on this machine",
                where=path,
                hint=f"Run `sam-mil-engine models get {self.name}`; or download {self.url} elsewhere and run"
                f" `sam-mil-engine models add {self.file}`, which copies it to this place",
                window_hint="Choose it in the Models dock and press Fetch; or download it elsewhere from"
                f" {self.url} and press “Add a file…” there",
            )
        digest = file_sha256(path)
        if not digest.startswith(self.sha256):
            raise error(
                f"the checksum is {digest[:16]}, that of {self.name!r} is {self.sha256[:16]}",
                where=path,
                hint=f"The download was cut off or the file is another one: fetch {self.url} again,"
                " or name your own weights by their path from another folder",
            )
        return path, digest


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
