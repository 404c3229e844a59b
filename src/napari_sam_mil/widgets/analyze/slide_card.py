"""The facts of the open slide, and a field for the resolution if the file does not state it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QWidget
from superqt.utils import signals_blocked

from sam_mil_engine.process.results import ProcessedSlide

from ...analysis.model import ResolutionQuestion
from ...analysis.source import SlideSource
from ...keys import key_of
from ...napari_compat.event_loop import call_later
from ...session.measuring import toggle_measuring
from ...session.slide import SlideSession
from ...text import sentence_case
from ..parts import Card, text_label, warning_label

if TYPE_CHECKING:
    from ...session.viewer import Sessions

NO_SLIDE = "No slide is open. Drag a slide into the window, or use File › Open File(s)… or File › Open Sample."
#: Width of the buttons of the number field on both sides, with the border, in pixels.
_BUTTONS = 56
#: Formats whose names are not the vendor's word with a capital letter.
_FORMATS = {"czi": "CZI", "isyntax": "iSyntax", "ome-zarr": "OME-Zarr"}


class SlideCard(Card):
    """Name, vendor, size and resolution. ``mpp_entered`` carries the user's value (0 = not known)."""

    mpp_entered = Signal(float)

    def __init__(self) -> None:
        super().__init__("Slide")
        self._facts = text_label(NO_SLIDE, rich=True)
        self._entry, self._mpp = self._mpp_row()
        self._left_out = warning_label("samMilLeftOut")
        self._left_out.hide()
        self.body.addWidget(self._facts)
        self.body.addWidget(self._left_out)
        self.measure = QPushButton("Measure a distance")
        self.body.addWidget(self.measure)
        self.question, self.suggested = text_label(), QPushButton("Use the estimate")
        self.suggested.setToolTip("Use the estimate; check it, since all areas and patches depend on it")
        self.suggested.clicked.connect(self._take_suggestion)
        self._suggestion = 0.0
        for widget in (self.question, self._entry, self.suggested):
            self.body.addWidget(widget)
            widget.hide()

    def show_slide(self, session: SlideSession | None) -> None:
        """Show the facts of a slide, and the question for its resolution if there is one; None for no slide."""
        source = None if session is None else session.source
        self.measure.setVisible(source is not None)
        self._entry.setVisible(source is not None and source.info.mpp is None)
        self._show_question(None if session is None or session.question is None else session.question[1])
        self._facts.setText(escape(NO_SLIDE) if source is None else describe(source))
        if source is not None:
            self.setToolTip(str(source.info.path))
            with signals_blocked(self._mpp):
                self._mpp.setValue(source.user_mpp or 0.0)

    def add_measuring(self, sessions: Sessions, keys_changed: Any) -> None:
        """Let the button *Measure a distance* work on the current slide; ``keys_changed`` is a signal."""

        def show_key() -> None:
            what = "Drag a line on the slide to see its length; press again to put the tool away"
            self.measure.setToolTip(f"{what} ({key_of('measure')})")

        show_key()
        keys_changed.connect(show_key)
        self.measure.clicked.connect(lambda: toggle_measuring(sessions))

    def take_answer(self) -> None:
        """Focus the resolution field."""
        call_later(self._take_focus)

    def _show_question(self, asked: ResolutionQuestion | None) -> None:
        """Ask for the resolution, and offer the estimate."""
        estimate = None if asked is None else asked.estimate
        self.question.setVisible(asked is not None)
        self.suggested.setVisible(estimate is not None)
        if asked is None:
            return
        text = f"The classifier expects {asked.expected:.3g} µm per pixel. How large is a pixel of this slide?"
        if estimate is not None:
            self._suggestion = estimate.usual
            text += (
                f" The size of the nuclei suggests about {estimate.usual:.3g} µm ({estimate.low:.2g} to"
                f" {estimate.high:.2g}). This is an estimate, so check it."
            )
            self.suggested.setText(f"Use {estimate.usual:.3g} µm/px")
        self.question.setText(text)

    def _take_focus(self) -> None:
        self._mpp.setFocus()
        self._mpp.selectAll()

    def _take_suggestion(self) -> None:
        self._mpp.setValue(self._suggestion)

    def warn_of(self, processed: ProcessedSlide | None) -> None:
        """Warn if much of the tissue was excluded because its pieces are too small, and of artefacts."""
        tissue = None if processed is None else processed.tissue
        artefacts = None if processed is None else processed.artefacts
        told = [] if tissue is None or tissue.warning is None else [f"{sentence_case(tissue.warning)}."]
        told += [] if artefacts is None or artefacts.warning is None else [f"{sentence_case(artefacts.warning)}."]
        self._left_out.setVisible(bool(told))
        self._left_out.setText(" ".join(told))

    def _mpp_row(self) -> tuple[QWidget, QDoubleSpinBox]:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        field = _MppField()
        field.setRange(0.0, 40.0)
        field.setDecimals(4)
        field.setSingleStep(0.05)
        field.setSpecialValueText("not known")
        field.setSuffix(" µm/px")
        field.setKeyboardTracking(False)
        field.setToolTip(
            "The file does not state the size of a pixel. At 40×, it is usually 0.25 µm per pixel; at 20×, 0.5.\n"
            "Classifiers that expect a resolution need it, and areas are then given in µm²."
        )
        field.valueChanged.connect(self.mpp_entered)
        label = QLabel("Res&olution")
        label.setBuddy(field)
        layout.addWidget(label)
        layout.addWidget(field, 1)
        return row, field


class _MppField(QDoubleSpinBox):
    """A number field without trailing zeros, and wide enough for all decimals."""

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """Return ``0.5`` for 0.5000, with the decimal point of the locale."""
        text = f"{value:.{self.decimals()}f}".rstrip("0").rstrip(".")
        return text.replace(".", str(self.locale().decimalPoint()))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the width of the longest usual value and the buttons."""
        size = super().minimumSizeHint()
        return QSize(self.fontMetrics().horizontalAdvance("0.2525 µm/px") + _BUTTONS, size.height())

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the minimum size; the layout extends it if there is room."""
        return self.minimumSizeHint()


def describe(source: SlideSource) -> str:
    """Return the facts of a slide as two or three lines of rich text."""
    info = source.info
    width, height = info.size_px0
    facts = [
        _FORMATS.get(info.vendor, info.vendor.replace("-", " ").capitalize()),
        f"{width:,} × {height:,} px".replace(",", "\u202f"),
    ]
    if info.mpp is not None:
        facts.append(f"{info.mpp[0]:.4g} µm/px")
        facts.append(f"{width * info.mpp[0] / 1000:.1f} × {height * info.mpp[1] / 1000:.1f} mm")
    if info.objective_power is not None:
        facts.append(f"{info.objective_power:g}×")
    lines = [f"<b>{escape(info.slide_id)}</b>", " · ".join(escape(fact).replace(" ", "&nbsp;") for fact in facts)]
    if info.mpp is None:
        lines.append("The file does not state its resolution.")
    lines += [escape(f"⚠ {warning}") for warning in info.warnings]
    return "<br>".join(lines)
