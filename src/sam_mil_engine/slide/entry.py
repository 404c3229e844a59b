"""A slide of a cohort: its file, its name, and what is stated about it beside the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .info import slide_id_of


@dataclass(frozen=True, slots=True)
class SlideEntry:
    """A slide to process.

    Attributes
    ----------
    path
        The slide file.
    slide_id
        Its name in every file of a project.
    mpp
        Micrometres per level-0 pixel; it replaces what the file says. None leaves the file's.
    preset
        Tissue preset of this slide; None leaves the preset of the run.
    tissue
        File of its tissue as a person drew it; None finds the tissue.
    """

    path: Path
    slide_id: str
    mpp: float | None = None
    preset: str | None = None
    tissue: Path | None = None

    @classmethod
    def of(cls, slide: str | Path | SlideEntry) -> SlideEntry:
        """Return the entry of a slide file about which nothing is stated; an entry is returned as it is."""
        return slide if isinstance(slide, SlideEntry) else cls(Path(slide), slide_id_of(Path(slide)))
