"""What the classifier says of the slide, and how to read the picture."""

from __future__ import annotations

from html import escape

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from sam_mil_engine.report.pictures import attention_limit

from ..analysis import Analysis
from ..colours import DIVERGING, QUANTITY
from ..group_table import shown_class
from ..layers import class_title
from .parts import Card, ColourBar, clear, plain_headings, text_label

NOT_FOR_DIAGNOSIS = "Not for diagnosis."


class ResultCard(Card):
    """Class, probability, threshold, legends of the maps, model card; hidden until there is a prediction."""

    def __init__(self) -> None:
        super().__init__("Result")
        self.hide()

    def show_result(self, analysis: Analysis | None) -> None:
        """Show a prediction, or hide the card where there is none."""
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
            warning = text_label(f"Warning: {scores.warning}.")
            warning.setObjectName("samMilOutside")
            warning.setStyleSheet("color: #e0a030; font-weight: bold")
            self.body.addWidget(warning)
        two = len(scores.classes) == 2
        threshold = f", threshold {scores.threshold:.2f}" if two else ""
        self.body.addWidget(text_label(f"Probability of {scores.classes[column]}: {probability:.3f}{threshold}"))
        self.body.addWidget(text_label(title[:1].upper() + title[1:], faint=True))
        self.body.addWidget(ColourBar(DIVERGING, "0", "1", mark=scores.threshold if two else None))
        relative = scores.relative_attention
        if relative is not None:
            self.body.addWidget(text_label("Attention (1 = all patches alike)", faint=True))
            self.body.addWidget(ColourBar(QUANTITY, "0", f"{attention_limit(relative):.1f}"))
        self.body.addWidget(text_label(_counts(analysis), faint=True))
        if analysis.model is not None:
            card = text_label(_model(analysis))
            card.setTextFormat(Qt.TextFormat.MarkdownText)
            self.body.addWidget(card)


def _counts(analysis: Analysis) -> str:
    scores, segments = analysis.scores, analysis.processed.segments
    assert scores is not None
    above = int(np.sum(scores.patch_probability[:, shown_class(scores)] >= scores.threshold))
    parts = [f"{len(scores.coords_px0)} patches, {above} of them above the threshold"]
    if segments is not None:
        parts.append(f"{len(segments)} segments")
    return "; ".join(parts)


def _model(analysis: Analysis) -> str:
    model = analysis.model
    assert model is not None
    card = (model.card or "").strip()
    text = plain_headings(card)
    if "not for diagnosis" not in card.lower():
        text = f"{NOT_FOR_DIAGNOSIS} {text}"
    return f"**{model.name}**\n\n{text}"
