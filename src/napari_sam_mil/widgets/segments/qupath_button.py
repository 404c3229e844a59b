"""One button that writes all that is known of the slide for QuPath."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from sam_mil_engine.annotations.qupath import ENDING
from sam_mil_engine.errors import Cancelled, SamMilError

from ...notices import show_error, tell
from ...session.viewer import Sessions
from ...writer import save_for_qupath

_TIP = (
    "Save tissue, all segments with their columns, outlines, and the patches with their scores in one file;\n"
    "open the slide in QuPath and drop the file onto it"
)


class QuPathButton(QPushButton):
    """*Send to QuPath…*: asks for a file and writes it. Its dock calls :meth:`enable` when the slide changes."""

    def __init__(self, sessions: Sessions, parent: QWidget):
        super().__init__("Send to &QuPath…", parent)
        self._sessions = sessions
        self.setToolTip(_TIP)
        self.clicked.connect(self._ask)

    def enable(self) -> None:
        """Enable the button if the current slide has results."""
        session = self._sessions.current
        self.setEnabled(session is not None and session.analysis is not None)

    def _ask(self) -> None:
        session = self._sessions.current
        if session is None:
            return
        name, kinds = f"{session.source.info.slide_id}{ENDING}", "GeoJSON for QuPath (*.geojson)"
        path, _ = QFileDialog.getSaveFileName(self, "Send to QuPath", name, kinds)
        if not path:
            return
        try:
            save_for_qupath(path, session)
        except Cancelled:
            return
        except (SamMilError, OSError) as error:
            show_error(error, doing="Saving for QuPath")
        else:
            tell(f"Saved {Path(path).name}. Open the slide in QuPath and drop this file onto it.")
