"""What opening a slide does to the window: colours, damaged tiles, scale bar, loading in the background.

Imports napari only where it runs already: reading a slide without a window stays light.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sam_mil_engine.errors import SamMilError, SlideError
from sam_mil_engine.progress import Progress, ProgressCallback, silent
from sam_mil_engine.slide.slide import Slide

from .layers.preload import load_for_slides
from .napari_compat.scale_bar import show_scale_bar
from .preferences import Preferences, preferences, save_preferences
from .warning import warn

if TYPE_CHECKING:
    from sam_mil_engine.slide.level_array import LevelArray

BACKGROUND = (
    "Slides load in the background now, so that moving never waits for tiles: napari's asynchronous slicing was "
    "switched on. You find it in Plugins › SAM-MIL › Preferences and keys, "
    "and in napari's Preferences › Experimental."
)


def read_preferences() -> Preferences:
    """Return the preferences; where they are damaged the defaults, with a warning, so that slides still open."""
    try:
        return preferences()
    except SamMilError as error:
        warn(str(error.for_window()))
        return Preferences()


def open_levels(
    path: str, values: Preferences, progress: ProgressCallback = silent
) -> tuple[Slide, list[LevelArray]]:
    """Open a slide and read its coarsest level, which napari asks for in the thread of the window.

    Raises
    ------
    SlideError
        If it cannot be opened; a part that cannot be read is told as :func:`levels_of` says.
    Cancelled
        If ``progress`` asks for it; the slide is closed then.
    """
    from sam_mil_engine.slide.reader import open_slide

    if not napari_runs():
        slide = open_slide(path)
        return slide, levels_of(slide, values)
    load_for_slides()
    progress(Progress("open", 0, 0, unit="tiles"))
    slide = open_slide(path)
    levels = levels_of(slide, values)
    coarsest = levels[-1]
    try:
        coarsest.fetch(lambda made: progress(Progress("open", made, coarsest.tiles_to_make, unit="tiles")))
    except BaseException:
        slide.close()
        raise
    return slide, levels


def levels_of(slide: Slide, values: Preferences) -> list[LevelArray]:
    """Return the pyramid of a slide as the preferences want it; an unusable ICC profile is told and left out."""
    from sam_mil_engine.slide.colour import to_srgb
    from sam_mil_engine.slide.pyramid import open_pyramid

    colours = None
    if values.srgb and slide.info.icc_profile is not None:
        try:
            colours = to_srgb(slide.info.icc_profile)
        except SlideError as error:
            warn(f"{slide.info.path.name}: {error.for_window()}")
    return open_pyramid(
        slide,
        cache_bytes=values.cache_bytes,
        colours=colours,
        on_bad_tile=_damage_notifier() if napari_runs() else None,
    )


def napari_runs() -> bool:
    """Whether this process has napari's viewer, loaded by whoever shows the slide."""
    return "napari.viewer" in sys.modules


def prepare_window(slide: Slide, values: Preferences) -> None:
    """Make the window that is open ready for a slide; does nothing without one."""
    if not napari_runs():
        return
    from napari import current_viewer

    from .session.cursor_readout import watch_cursor
    from .session.viewer import sessions_of

    viewer = current_viewer()
    if viewer is None:
        return
    sessions_of(viewer)  # from now on a slide that is seen whole stays whole
    watch_cursor(viewer)
    if slide.info.mpp is not None:
        show_scale_bar(viewer)
    if not values.background_offered:
        _load_in_background(values)


def _load_in_background(values: Preferences) -> None:
    """Switch napari's asynchronous slicing on, once and for all, and say so; whoever switches it off is obeyed."""
    from napari.settings import get_settings

    from .notices import tell

    experimental = get_settings().experimental
    was_on = bool(experimental.async_)
    try:
        save_preferences(replace(values, background_offered=True))
    except SamMilError as error:
        # what cannot be remembered would come back at every start
        warn(str(error.for_window()))
        return
    if was_on:
        return
    experimental.async_ = True

    def undo(_notification: object) -> None:
        experimental.async_ = False

    tell(BACKGROUND, actions=[("Switch it off", undo)])


def _damage_notifier() -> Callable[[SlideError], None]:
    """Return what tells of the first damaged tile of a slide; it is called from any thread."""
    seen: list[SlideError] = []

    def notify_once(error: SlideError) -> None:
        from .notices import describe, tell

        seen.append(error)
        if len(seen) == 1:
            part = "A part of the slide cannot be shown and is painted magenta; there may be more."
            tell(f"{part} {describe(error)}", "warning")

    return notify_once
