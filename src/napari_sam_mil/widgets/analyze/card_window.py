"""Show a model card in its own window, since its tables are too wide for a dock."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from ..parts import without_empty_headers

_SIZE = (760, 620)


def show_card(name: str, markdown: str, parent: QWidget) -> QDialog:
    """Open the card. The main window stays usable, and closing it closes the card."""
    dialog = QDialog(parent.window())
    dialog.setObjectName("samMilModelCard")
    dialog.setWindowTitle(f"Model card: {name}")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    screen = parent.screen().availableSize()
    dialog.resize(min(_SIZE[0], screen.width() - 80), min(_SIZE[1], screen.height() - 120))
    page = QTextBrowser()
    page.setOpenExternalLinks(True)
    page.setMarkdown(without_empty_headers(markdown))
    page.setAccessibleName(f"Model card of {name}")
    page.setToolTip("What the model was trained on, how well it performs, and its limits")
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.reject)
    layout = QVBoxLayout(dialog)
    layout.addWidget(page)
    layout.addWidget(buttons)
    dialog.show()
    return dialog
