"""The prediction for the slide, and the legends of the maps."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from sam_mil_engine.drawing.images import attention_limit

from ...analysis.calibration import calibration_note
from ...analysis.model import Analysis
from ...analysis.segment_table import class_title, shown_class
from ...layers.colours import PROBABILITY, QUANTITY
from ...text import sentence_case
from ..parts import Card, ColourBar, clear, text_label, warning_label
from .card_window import show_card
from .gallery import Gallery

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores
    from sam_mil_engine.segment.segments import Segments

    from ...analysis.classifier import Classifier
    from ...session.viewer import Sessions

NOT_FOR_DIAGNOSIS = "Not for diagnosis."


class ResultCard(Card):
    """Class, probability, legends of the maps, a gallery of patches, model card; hidden without a prediction."""

    def __init__(self, sessions: Sessions) -> None:
        super().__init__("Result")
        self._sessions = sessions
        self.patches: Gallery | None = None
        self._order = 0
        self._shown: Analysis | None = None
        self.hide()

    def show_result(self, analysis: Analysis | None) -> None:
        """Show a prediction, or hide the card where there is none."""
        if analysis is self._shown:
            return
        self._shown = analysis
        if self.patches is not None:
            self._order = self.patches.order.currentIndex()
        self.patches = None
        clear(self.body, keep=1)
        self.setVisible(analysis is not None and analysis.scores is not None)
        if analysis is None or analysis.scores is None:
            return
        scores = analysis.scores
        column = shown_class(scores)
        title = class_title(scores.classes[column])
        probability = float(scores.probabilities[column])
        verdict = QLabel(f"<span style='font-size: 15pt'><b>{escape(scores.predicted)}</b></span>")
        verdict.setObjectName("samMilVerdict")
        self.body.addWidget(verdict)
        if scores.warning is not None:
            warning = warning_label("samMilOutside")
            warning.setText(f"Warning: {scores.warning}.")
            self.body.addWidget(warning)
        two = len(scores.classes) == 2
        threshold = f", threshold {scores.threshold:.2f}" if two else ""
        self.body.addWidget(text_label(f"Probability of {scores.classes[column]}: {probability:.3f}{threshold}"))
        self.body.addWidget(text_label(f"{sentence_case(title)} of patches ({scores.calibrated})", faint=True))
        self.body.addWidget(ColourBar(PROBABILITY, "0", "1", mark=scores.patch_threshold(column)))
        relative = scores.relative_attention
        if relative is not None:
            self.body.addWidget(text_label("Attention (1 = the mean patch)", faint=True))
            self.body.addWidget(ColourBar(QUANTITY, "0", f"{attention_limit(relative):.1f}"))
        session, grid = self._sessions.current, analysis.processed.grid
        if session is not None and grid is not None and len(grid) == len(scores.coords_px0):
            self.patches = Gallery(self._sessions, session, grid, scores, order=self._order)
            self.body.addWidget(self.patches)
        self.body.addWidget(text_label(_counts(scores, analysis.processed.segments), faint=True))
        self.body.addWidget(self._about(scores, analysis.model))

    def _about(self, scores: SlideScores, model: Classifier | None) -> QWidget:
        """Say what predicted and what that is worth, with its card behind a button."""
        name = str(scores.attrs.get("model", "model")) if model is None else model.name
        card = "" if model is None else (model.card or "").strip()
        about = QWidget()
        column = QVBoxLayout(about)
        column.setContentsMargins(0, 0, 0, 0)
        notes = [f"{sentence_case(note)}." for note in scores.attrs.get("notes", ())]
        worth = " ".join([calibration_note(None if model is None else model.path, scores), *notes])
        column.addWidget(text_label(worth, faint=True))
        words = _first_words(card)
        closing = "" if "not for diagnosis" in words.lower() else NOT_FOR_DIAGNOSIS
        first = text_label(f"Model **{name}**. {words} {closing}".strip())
        first.setTextFormat(Qt.TextFormat.MarkdownText)
        column.addWidget(first)
        self.card = QPushButton("Model c&ard…")
        tip = "What the model was trained on, how well it performs, and its limits"
        self.card.setToolTip(tip if card else "This model has no card")
        self.card.setEnabled(bool(card))
        self.card.clicked.connect(lambda: show_card(name, card, self))
        column.addWidget(self.card)
        return about


def _counts(scores: SlideScores, segments: Segments | None) -> str:
    column = shown_class(scores)
    above = int(np.sum(scores.patch_probability[:, column] >= scores.patch_threshold(column)))
    parts = [f"{len(scores.coords_px0)} patches, {above} of them above the threshold"]
    if segments is not None:
        parts.append(f"{len(segments)} segments")
    return "; ".join(parts)


def _first_words(card: str) -> str:
    """Return the first paragraph of a card that is neither its heading nor a table."""
    paragraphs = (" ".join(part.split()) for part in card.split("\n\n"))
    text = next((one for one in paragraphs if one and not one.startswith(("#", "|"))), "").replace("**", "")
    return text if not text or text.endswith(".") else f"{text}."
