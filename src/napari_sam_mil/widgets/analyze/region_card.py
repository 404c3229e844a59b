"""The choice of the part of the slide to analyse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout

from ..parts import Card, ShortCombo, text_label
from .region import SHAPE, VIEW, WHOLE, Rings, area_text, chosen_region, is_region

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from ...analysis.source import SlideSource
    from ...session.slide import SlideSession

_ENTRIES = (
    (WHOLE, "Whole slide", "All tissue of the slide"),
    (VIEW, "Current view", "The tissue that is in view when you press the button"),
    (SHAPE, "Selected shape", "The tissue in the shapes that are selected in a shapes layer"),
)


class RegionCard(Card):
    """The choice of whole slide, current view or selected shape, and the region of the shown results."""

    def __init__(self) -> None:
        super().__init__("Region")
        self.choice = ShortCombo()
        for place, (name, text, tip) in enumerate(_ENTRIES):
            self.choice.addItem(text, name)
            self.choice.setItemData(place, tip, Qt.ItemDataRole.ToolTipRole)
        self.choice.setToolTip("What is analysed; the results of a region never replace those of the whole slide")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Anal&yze", self.choice)
        #: the region of the shown results; the dock shows it outside the card, which may be hidden
        self.facts = text_label(faint=True)
        self.facts.hide()
        self.body.addLayout(form)
        self._asked = ""

    def region(self, viewer: Viewer, source: SlideSource) -> Rings | None:
        """Return the chosen region in level-0 pixels; raises :class:`SettingsError` if there is none."""
        region = chosen_region(self.choice.currentData(), viewer, source)
        self._asked = "" if region is None else area_text(region, source.mpp)
        return region

    def show_session(self, session: SlideSession | None) -> None:
        """Show whether the results are those of a region."""
        part = session is not None and session.analysis is not None and is_region(session.analysis)
        size = f" ({self._asked})" if self._asked else ""
        self.facts.setText(
            f"The results shown are those of a region{size}, not of the whole slide." if part else ""
        )
        self.facts.setVisible(part)
