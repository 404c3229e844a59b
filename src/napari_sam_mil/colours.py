"""Colours of the layers: the same as in the report, so that a page and a window can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam_mil_engine.report.colours import ATTENTION_MAP, PROBABILITY_MAP, TISSUE, colour_table, css

TISSUE_EDGE = css(TISSUE)

#: From unlike class to class, with a neutral middle: probability and evidence.
DIVERGING = PROBABILITY_MAP
#: From little to much: attention.
QUANTITY = ATTENTION_MAP


def napari_colormap(name: str) -> dict[str, Any]:
    """Return the named colour map in the form in which a layer takes it.

    In a diverging map the neutral middle is nearly transparent: tissue that says nothing is left as it looks.
    """
    colours = np.ones((256, 4), dtype=np.float32)
    colours[:, :3] = colour_table(name) / 255
    if name == DIVERGING:
        colours[:, 3] = 0.2 + 0.8 * np.abs(np.linspace(-1, 1, 256)) ** 0.8
    return {"name": f"SAM-MIL {name}", "display_name": name, "colors": colours}
