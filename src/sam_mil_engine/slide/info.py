"""What is known of a slide without reading a pixel, and the fingerprint of its file."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..tables.cells import nfc
from .place import SlidePlace
from .zarr_store import ZARR_ENDINGS, fingerprint_bytes

#: Facts that are part of a slide's fingerprint. A new fact of a slide must not make old results of it stale.
_FINGERPRINTED = frozenset(
    {"reader", "vendor", "size_px0", "level_sizes", "level_downsamples", "mpp", "objective_power", "bounds_px0"}
)

#: Endings with more than one dot, of which the name of a slide is without all.
LONG_ENDINGS = (".ome.tiff", ".ome.tif", *ZARR_ENDINGS)


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """The facts of a slide file.

    Attributes
    ----------
    path
        The file (or, for a DICOM series, one of its files; for OME-Zarr, its folder).
    reader
        Name of the reader that opened it: ``openslide``, ``tifffile``, ``wsidicom``, ``zarr`` and so on.
    vendor
        What the reader calls the format, for example ``aperio``.
    size_px0
        Width and height of level 0.
    level_sizes
        Width and height of every level, largest first.
    level_downsamples
        Exact ratio of dimensions to level 0, per level and axis (x, y).
    mpp
        Micrometres per level-0 pixel (x, y), or None where the file does not say or says the impossible.
    objective_power
        Magnification of the objective, or None.
    icc_profile
        The embedded ICC profile, or None.
    bounds_px0
        Part of the slide that holds data (x, y, width, height); limits where tissue is looked for.
    centre_offset_um
        Centre of the scan, seen from the centre of the glass (x, y), in micrometres; None where it is not stated.
    tile_sizes
        Width and height of the pieces in which every level is stored, or None where that is not known; empty where
        it is known of no level.
    warnings
        What is unusual about the file, in sentences.
    """

    path: Path
    reader: str
    vendor: str
    size_px0: tuple[int, int]
    level_sizes: tuple[tuple[int, int], ...]
    level_downsamples: tuple[tuple[float, float], ...]
    mpp: tuple[float, float] | None = None
    objective_power: float | None = None
    icc_profile: bytes | None = field(default=None, repr=False)
    bounds_px0: tuple[int, int, int, int] | None = None
    centre_offset_um: tuple[float, float] | None = None
    tile_sizes: tuple[tuple[int, int] | None, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def slide_id(self) -> str:
        """The name of the slide in every file of a project."""
        return slide_id_of(self.path)

    @property
    def place(self) -> SlidePlace:
        """Where the coordinates of other programs lie on the slide."""
        return SlidePlace(
            size_px0=self.size_px0, bounds_px0=self.bounds_px0, mpp=self.mpp, centre_offset_um=self.centre_offset_um
        )


def slide_id_of(path: Path) -> str:
    """Return the file name in one Unicode form, without its extension; ``.ome.tif`` or ``.ome.zarr`` are one."""
    name = nfc(path.name)
    for suffix in LONG_ENDINGS:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return Path(name).stem


def slide_sha(info: SlideInfo) -> str:
    """Sixteen hexadecimal digits of the slide file: its size, first and last MiB, and the facts in ``info``.

    Of a folder of OME-Zarr: all its metadata, and the first MiB of its coarsest level.
    """
    digest = hashlib.sha256()
    if info.path.is_dir():
        for content in fingerprint_bytes(info.path):
            digest.update(content)
        return _with_facts(digest, info)
    with info.path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        digest.update(str(size).encode())
        for start in (0, max(0, size - 2**20)):
            file.seek(start)
            digest.update(file.read(2**20))
    return _with_facts(digest, info)


def _with_facts(digest: Any, info: SlideInfo) -> str:
    facts = {name: value for name, value in asdict(info).items() if name in _FINGERPRINTED}
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return str(digest.hexdigest()[:16])
