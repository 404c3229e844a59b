"""Colours of the layers: the same as in the report, so that the two can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam_mil_engine.drawing.colours import (
    ATTENTION_MAP,
    EVIDENCE_MAP,
    PROBABILITY_MAP,
    TISSUE,
    colour_table,
    css,
    opacity_table,
)

TISSUE_EDGE = css(TISSUE)

#: With a neutral middle: evidence, and columns that count for or against a class.
DIVERGING = EVIDENCE_MAP
#: From low to high: attention.
QUANTITY = ATTENTION_MAP
#: From 0 to 1: probability.
PROBABILITY = PROBABILITY_MAP


def napari_colormap(name: str) -> dict[str, Any]:
    """Return the named colour map in the form that a layer takes. Uninformative values are transparent."""
    colours = np.ones((256, 4), dtype=np.float32)
    colours[:, :3] = colour_table(name) / 255
    colours[:, 3] = opacity_table(name)
    return {"name": f"SAM-MIL {name}", "display_name": name, "colors": colours}
