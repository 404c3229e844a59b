"""The choice of the scale at which segments are found, with what it costs."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt

from sam_mil_engine.settings import FINE_SEGMENTS_MPP

from ..parts import ShortCombo

_COST = (
    "About one second of a processor core for each mm² of tissue without a SAM, and about 40 segments; a SAM takes"
    " as long for every tile of 3 mm² as for one image"
)
#: Text, changes of the settings, tooltip.
_CHOICES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("As in the project", {}, "A new project segments one image of the whole slide"),
    (
        "Off",
        {"segments.mpp": None},
        "One image of the whole slide, of at most 1,024 pixels: about 100 segments in a few seconds. Small lesions"
        " on a large slide are not found",
    ),
    (
        f"{FINE_SEGMENTS_MPP:g} µm per pixel",
        {"segments.mpp": FINE_SEGMENTS_MPP, "segments.both_scales": False},
        f"Segments from about 50 µm on, in tiles of the tissue. {_COST}",
    ),
    (
        f"{FINE_SEGMENTS_MPP:g} µm and one image",
        {"segments.mpp": FINE_SEGMENTS_MPP, "segments.both_scales": True},
        f"Small and large segments together. {_COST}",
    ),
)


def fine_segments_box() -> ShortCombo:
    """Return the box; the data of an entry are changes of the settings: dotted name -> value."""
    box = ShortCombo()
    for number, (text, changes, tip) in enumerate(_CHOICES):
        box.addItem(text, changes)
        box.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
    box.setToolTip(
        "Segments on one image of the whole slide, or at a resolution at which small structures are seen; other"
        " resolutions are in the list of all settings"
    )
    return box
