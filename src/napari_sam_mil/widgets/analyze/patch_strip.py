"""The most attended patches of the slide, side by side; a click brings one into view."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSize
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QToolButton, QVBoxLayout, QWidget

from sam_mil_engine.progress import ProgressCallback

from ...analysis.attended import COUNT, most_attended, read_small
from ...background.dock_jobs import DockJobs
from ...layers.view import show_px0
from ..parts import text_label

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores
    from sam_mil_engine.slide.tile_grid import TileGrid

    from ...session.slide import SlideSession
    from ...session.viewer import Sessions

#: Patches in a row and the side of an icon in pixels: a row fits the narrowest dock beside its scroll bar.
_ROW, _SIDE = 4, 46
#: Share of the canvas that a patch takes when it is brought into view.
_SHARE = 0.3


class PatchStrip(QWidget):
    """Buttons with the images of patches, which are read in the background."""

    def __init__(self, sessions: Sessions, session: SlideSession, grid: TileGrid, scores: SlideScores):
        super().__init__()
        self._sessions, self._session, self._grid = sessions, session, grid
        found = most_attended(scores)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(text_label(f"{found.title}; click to see one on the slide", faint=True))
        rows = QGridLayout()
        rows.setSpacing(4)
        rows.setColumnStretch(_ROW, 1)
        self.buttons: list[QToolButton] = []
        for place, (number, value) in enumerate(zip(found.numbers, found.values, strict=True)):
            button = QToolButton()
            button.setIconSize(QSize(_SIDE, _SIDE))
            button.setFixedSize(_SIDE + 6, _SIDE + 6)
            button.setToolTip(f"Patch {place + 1} of the first {COUNT}: {value}")
            button.setAccessibleName(f"Patch {place + 1}, {value}")
            button.clicked.connect(partial(self._go_to, number))
            rows.addWidget(button, place // _ROW, place % _ROW)
            self.buttons.append(button)
        column.addLayout(rows)
        slide, numbers = session.source.slide, found.numbers

        def work(progress: ProgressCallback) -> Any:
            return read_small(slide, grid, numbers, progress=progress)

        self.jobs = DockJobs(self)
        self.jobs.start(work, doing="Reading the most attended patches", then=self._show)

    def _show(self, images: list[np.ndarray]) -> None:
        for button, pixels in zip(self.buttons, images, strict=True):
            height, width = pixels.shape[:2]
            image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            button.setIcon(QIcon(QPixmap.fromImage(image)))

    def _go_to(self, number: int, _checked: bool = False) -> None:
        if self._session not in self._sessions.all():
            return
        corner = self._grid.coords_px0[number].astype(float)
        corners = [corner, corner + self._grid.size_px0]
        show_px0(self._sessions.viewer, corners, self._session.source.place, share=_SHARE)
