"""The HDF5 layout of a bag, and what reading and writing share.

:data:`DATASETS` and :data:`ATTRIBUTES` are the layout; ``docs/files.md`` shows :func:`markdown`; a test compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from ...slide.info import SlideInfo

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset of a bag.

    Attributes
    ----------
    name
        Its path in the file.
    shape
        Its shape: N patches, D features, L groups, S segments, P points and R rings of T pieces of tissue, and K
        pieces that were left out.
    dtype
        Type of its numbers; empty where it is that of the encoder or text.
    what
        What it holds, and its attributes.
    """

    name: str
    shape: str
    dtype: str
    what: str


DATASETS = (
    Dataset("/tissue/points", "(P, 2)", "float64", what="outlines of the tissue; attribute `method` of the group"),
    Dataset("/tissue/rings", "(R, 3)", "int64", what="first point, piece, 1 where a hole"),
    Dataset("/tissue/area_px0", "(T,)", "float64", what="areas of the pieces, in level-0 pixels"),
    Dataset("/tissue/left_out_px0", "(K,)", "float64", what="areas of those that were too small for the settings"),
    Dataset(
        "/coords",
        "(N, 2)",
        "int32",
        what="x, y of each patch's top left corner, level-0 pixels; attributes that CLAM and TRIDENT read",
    ),
    Dataset(
        "/artefacts/kinds",
        "(h, w)",
        "uint8",
        what="where the slide is spoilt: 0 or a number in the attribute `names`, from 1; attributes `origin_px0`,"
        " `downsample`; only with `--artefacts`",
    ),
    Dataset(
        "/artefacts/of_patch",
        "(N,)",
        "uint8",
        what="the kind that spoils each patch, 0 = none; attribute `dropped`: JSON, kind -> patches left out",
    ),
    Dataset(
        "/features",
        "(N, D)",
        "",
        what="attributes `encoder`, `encoder_version`, `weights_sha256`, `preprocessing`",
    ),
    Dataset(
        "/segments/packed",
        "(B,)",
        "uint8",
        what="the masks, each crop bit-packed on its own; attributes `origin_px0`, `downsample`, `size_raster`",
    ),
    Dataset(
        "/segments/box",
        "(S, 4)",
        "int32",
        what="x, y, width, height on the raster of every segment, also of those without a patch",
    ),
    Dataset(
        "/segments/step",
        "(S,)",
        "int32",
        what="sides of the squares of which a mask consists, in raster pixels; only where any is above 1",
    ),
    Dataset("/segments/area", "(S,)", "int64", what="raster pixels"),
    Dataset("/segments/predicted_iou", "(S,)", "float32", what="SAM's own estimate; NaN from other segmenters"),
    Dataset("/segments/stability", "(S,)", "float32", what="SAM's stability score"),
    Dataset("/segments/name", "(S,)", "", what="names that a person gave; only where there are any"),
    Dataset("/groups/features", "(L, D)", "", what="mean feature of a group's patches"),
    Dataset("/groups/indptr", "(L + 1,)", "int64", what="which patches each group holds (compressed rows)"),
    Dataset("/groups/indices", "(nnz,)", "int32", what="the patches of all groups, one group after the other"),
    Dataset("/groups/of_patch", "(N,)", "int32", what="the smallest group of each patch, -1 = none"),
    Dataset("/groups/segment", "(L,)", "int32", what="the segment that a group was made of"),
    Dataset("/groups/area", "(L,)", "float64", what="of the group's segment, in raster pixels"),
    Dataset("/groups/area_um2", "(L,)", "float64", what="the same in µm²; NaN where the resolution is not known"),
    Dataset("/groups/box", "(L, 4)", "int32", what="box of the group's segment"),
    Dataset("/groups/predicted_iou", "(L,)", "float32", what="of the group's segment"),
    Dataset("/groups/stability", "(L,)", "float32", what="of the group's segment"),
)

#: Attributes of the file -> what they say.
ATTRIBUTES: dict[str, str] = {
    "format_version": f"{FORMAT_VERSION}",
    "slide_id": "name of the slide",
    "slide_sha": "fingerprint of the slide file",
    "slide_path": "where the slide was",
    "vendor": "the scanner's format",
    "mpp": "µm per level-0 pixel, x and y",
    "objective_power": "as the slide states it",
    "settings_key": "key of all settings",
    "stages": "JSON: stage -> key of the settings it was made with",
    "bounds_px0": "x, y, width, height of the part of the slide that holds data (QuPath counts from its corner);"
    " four zeros where it states none",
    "centre_offset_um": "x, y of the scan on the glass, for NDPA",
}


def markdown() -> str:
    """Return the layout as two tables for the documentation."""
    rows = [("name", "shape", "what"), ("---",) * 3]
    rows += [(f"`{one.name}`", f"{one.shape} {one.dtype}".strip(), one.what) for one in DATASETS]
    attributes = [("attribute of the file", "what"), ("---",) * 2]
    attributes += [(f"`{name}`", what) for name, what in ATTRIBUTES.items()]
    tables: list[list[tuple[str, ...]]] = [[*rows], [*attributes]]
    return "\n\n".join("\n".join(f"| {' | '.join(row)} |" for row in table) for table in tables)


#: What each stage of ``process`` owns in the file.
STAGE_NAMES: dict[str, tuple[str, ...]] = {
    "tissue": ("tissue",),
    "tiles": ("coords", "artefacts"),
    "segments": ("segments",),
    "features": ("features",),
    "groups": ("groups",),
}


def stages_of(file: h5py.File) -> dict[str, str]:
    """Stage -> key of what is done."""
    return {str(name): str(key) for name, key in json.loads(file.attrs.get("stages", "{}")).items()}


def plain(attributes: Any) -> dict[str, Any]:
    """Return HDF5 attributes as Python numbers, strings and tuples."""
    result: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, np.ndarray):
            result[name] = tuple(value.tolist())
        else:
            result[name] = value.item() if isinstance(value, np.generic) else value
    return result


def slide_facts(info: SlideInfo) -> dict[str, Any]:
    """Return the attributes of a bag that say of which slide it is; values of None are not stored."""
    return {
        "slide_path": str(info.path.resolve()),
        "vendor": info.vendor,
        "bounds_px0": info.bounds_px0 or (0, 0, 0, 0),
        "centre_offset_um": info.centre_offset_um,
    }
