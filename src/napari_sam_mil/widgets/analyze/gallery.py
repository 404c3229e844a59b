"""The most or least attended or probable patches of the slide as small images; a click brings one into view."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QSize
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from sam_mil_engine.mil.ranking import STRIP
from sam_mil_engine.progress import ProgressCallback

from ...analysis.gallery import orders, read_small
from ...background.dock_jobs import DockJobs
from ...layers.view import show_px0
from ..parts import ShortCombo

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores
    from sam_mil_engine.slide.tile_grid import TileGrid

    from ...session.slide import SlideSession
    from ...session.viewer import Sessions

#: Patches in a row and the side of an icon in pixels: a row fits the narrowest dock beside its scroll bar.
_ROW, _SIDE = 4, 46
#: Share of the canvas that a patch takes when it is brought into view.
_SHARE = 0.3


class Gallery(QWidget):
    """Buttons with the images of patches, which are read in the background.

    Parameters
    ----------
    sessions, session
        The open slides, and the one whose patches are shown.
    grid, scores
        Its patches and their scores.
    order
        Number of the order that is shown first.
    """

    def __init__(
        self, sessions: Sessions, session: SlideSession, grid: TileGrid, scores: SlideScores, *, order: int = 0
    ):
        super().__init__()
        self._sessions, self._session, self._grid = sessions, session, grid
        self._orders = orders(scores)
        self._images: dict[int, QIcon] = {}
        self._again = False
        self.jobs = DockJobs(self)
        self.order, self.more = ShortCombo(), QPushButton("More patches")
        self.order.addItems([one.title for one in self._orders])
        self.order.setCurrentIndex(min(order, len(self._orders) - 1))
        self.order.setAccessibleName("Patches that are shown")
        self.order.setToolTip("Which patches are shown; click one to see it on the slide")
        self.more.setToolTip(f"Show the {STRIP} patches that follow in this order")
        self.buttons: list[QToolButton] = []
        self._rows = QGridLayout()
        self._rows.setSpacing(4)
        self._rows.setColumnStretch(_ROW, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.order)
        column.addLayout(self._rows)
        column.addWidget(self.more)
        self.order.currentIndexChanged.connect(lambda _place: self._show())
        self.more.clicked.connect(self._add)
        self._add()

    def _add(self) -> None:
        """Make room for further patches."""
        first = len(self.buttons)
        for place in range(first, min(first + STRIP, len(self._grid))):
            button = QToolButton()
            button.setIconSize(QSize(_SIDE, _SIDE))
            button.setFixedSize(_SIDE + 6, _SIDE + 6)
            button.clicked.connect(partial(self._go_to, place))
            self._rows.addWidget(button, place // _ROW, place % _ROW)
            self.buttons.append(button)
        for before, after in pairwise((self.order, *self.buttons, self.more)):
            QWidget.setTabOrder(before, after)
        self.more.setVisible(len(self.buttons) < len(self._grid))
        self._show()

    def _shown(self) -> list[int]:
        """Return the numbers of the shown patches."""
        numbers: list[int] = self._orders[self.order.currentIndex()].numbers[: len(self.buttons)].tolist()
        return numbers

    def _show(self) -> None:
        """Show the patches of the chosen order, and read those that were not read yet."""
        order, numbers = self._orders[self.order.currentIndex()], self._shown()
        for place, (button, number) in enumerate(zip(self.buttons, numbers, strict=True)):
            said = order.text(number)
            button.setToolTip(f"Patch {place + 1} of {len(self._grid)} in this order: {said}")
            button.setAccessibleName(f"Patch {place + 1}, {said}")
            button.setIcon(self._images.get(number, QIcon()))
        missing = [number for number in numbers if number not in self._images]
        if self.jobs.busy:
            self._again = True  # what is being read is of another order
            self.jobs.cancel()
        elif missing:
            slide, grid = self._session.source.slide, self._grid

            def work(progress: ProgressCallback) -> Any:
                return read_small(slide, grid, missing, progress=progress)

            self.jobs.start(work, doing="Reading the patches", then=self._keep, otherwise=self._on_cancelled)

    def _keep(self, images: Mapping[int, npt.NDArray[np.uint8]]) -> None:
        self._again = False
        for number, pixels in images.items():
            height, width = pixels.shape[:2]
            image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            self._images[number] = QIcon(QPixmap.fromImage(image))
        self._show()

    def _on_cancelled(self) -> None:
        if self._again:
            self._again = False
            self._show()

    def _go_to(self, place: int, _checked: bool = False) -> None:
        if self._session not in self._sessions.all():
            return
        corner = self._grid.coords_px0[self._shown()[place]].astype(float)
        corners = [corner, corner + self._grid.size_px0]
        show_px0(self._sessions.viewer, corners, self._session.source.place, share=_SHARE)
