"""Where the coordinates of other programs lie on the slide of a bag."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import SamMilError
from ..slide.place import SlidePlace
from ..slide.reader import open_slide
from . import h5


def read_slide_place(path: Path) -> SlidePlace:
    """Return the place that a bag keeps of its slide; where it keeps none, ask the slide, if it is still there.

    ``bounds_known`` is False where neither says it; annotations that count from bounds are then read with a note.
    """
    place = h5.read_place(path)
    if place.bounds_known:
        return place
    slide = Path(str(h5.read_attributes(path).get("slide_path", "")))
    if not slide.is_file():
        return place
    try:
        with open_slide(slide) as opened:
            return replace(opened.info.place, mpp=opened.info.mpp or place.mpp)
    except SamMilError:  # the slide is damaged: the note says that its bounds are not known
        return place
