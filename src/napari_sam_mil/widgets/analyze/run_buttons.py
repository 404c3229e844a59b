"""The buttons that start a job: a large one for all steps, and one for each step."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtWidgets import QHBoxLayout, QPushButton

#: What the main button does.
EVERYTHING_TIP = "Find the tissue, segment it, compute patch features and classify the slide"
_STEP_TIPS = {
    "Tissue": ("T&issue", "Find where the tissue is"),
    "Segment": ("Se&gment", "Divide the tissue into segments"),
    "Features": ("Featu&res", "Compute the features of every patch of tissue with the encoder"),
    "Classify": ("&Classify", "Run the missing steps, then classify the slide"),
}
_STYLE = (
    "#samMilMain { font-size: 13pt; font-weight: 600; padding: 10px; border-radius: 6px;"
    " background-color: #1f6fb2; color: white; }"
    "#samMilMain:hover { background-color: #2b82c9; } #samMilMain:pressed { background-color: #185a91; }"
    "#samMilMain:disabled { background-color: #5b6b7a; color: #e8edf2; }"
    "#samMilMain:focus { border: 2px solid #9fd0f5; }"
)


def main_button() -> QPushButton:
    """Return the main button. Its colours are legible in both themes, also when it is disabled."""
    button = QPushButton("&Segment/Classify")
    button.setObjectName("samMilMain")
    button.setStyleSheet(_STYLE)
    return button


def step_buttons() -> dict[str, QPushButton]:
    """Return name of the step -> its button."""
    buttons = {}
    for name, (text, tip) in _STEP_TIPS.items():
        buttons[name] = QPushButton(text)
        buttons[name].setToolTip(tip)
    return buttons


def in_a_row(buttons: Iterable[QPushButton]) -> QHBoxLayout:
    """Return a layout with the buttons side by side."""
    row = QHBoxLayout()
    row.setSpacing(4)
    for button in buttons:
        row.addWidget(button)
    return row
