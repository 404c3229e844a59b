"""What reading and writing of a bag share."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np

from ...slide.info import SlideInfo

FORMAT_VERSION = 1

#: What each stage of ``process`` owns in the file.
STAGE_NAMES: dict[str, tuple[str, ...]] = {
    "tissue": ("tissue",),
    "tiles": ("coords",),
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
