"""What opening a slide does to the window: colours, damaged tiles, scale bar, background loading.

napari is imported only if it is already running, so that reading a slide without a window stays light.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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
    "Slides now load in the background, so that panning and zooming never wait for tiles: napari's asynchronous "
    "slicing was switched on. The setting is in Plugins › SAM-MIL › Preferences and keys, "
    "and in napari's Preferences › Experimental."
)


def read_preferences() -> Preferences:
    """Return the preferences. If the file is damaged, warn and return the defaults, so that slides still open."""
    try:
        return preferences()
    except SamMilError as error:
        warn(str(error.for_window()))
        return Preferences()


def open_levels(
    path: str, values: Preferences, progress: ProgressCallback = silent
) -> tuple[Slide, list[LevelArray]]:
    """Open a slide and read its coarsest level, which napari requests in the window's thread.

    A child process reads a little of the slide first, so that a file over which a C library crashes does not end
    napari.

    Raises
    ------
    SlideError
        If it cannot be opened, or crashes or hangs the child process. Unreadable parts are reported as in
        :func:`levels_of`.
    Cancelled
        If ``progress`` raises it. The slide is then closed.
    """
    from sam_mil_engine.slide.first_read import require_readable
    from sam_mil_engine.slide.reader import open_slide

    if not napari_runs():
        slide = open_slide(path)
        return slide, levels_of(slide, values)
    begun = Progress("open", 0, 0, unit="tiles")
    load_for_slides()
    progress(begun)
    require_readable(Path(path), while_waiting=lambda: progress(begun))
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
    """Return the pyramid of a slide according to the preferences. Warn of an invalid ICC profile and ignore it."""
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
    """Whether napari's viewer is loaded in this process."""
    return "napari.viewer" in sys.modules


def prepare_window(slide: Slide, values: Preferences) -> None:
    """Prepare the open window for a slide. Without a window, do nothing."""
    if not napari_runs():
        return
    from napari import current_viewer

    from .session.cursor_readout import watch_cursor
    from .session.viewer import sessions_of

    viewer = current_viewer()
    if viewer is None:
        return
    sessions_of(viewer)  # from now on, a fully visible slide stays fully visible
    watch_cursor(viewer)
    if slide.info.mpp is not None:
        show_scale_bar(viewer)
    if not values.background_offered:
        _load_in_background(values)


def _load_in_background(values: Preferences) -> None:
    """Switch on napari's asynchronous slicing once and tell the user; if the user switches it off, it stays off."""
    from napari.settings import get_settings

    from .notices import tell

    experimental = get_settings().experimental
    was_on = bool(experimental.async_)
    try:
        save_preferences(replace(values, background_offered=True))
    except SamMilError as error:
        # if this cannot be saved, the message would appear at every start
        warn(str(error.for_window()))
        return
    if was_on:
        return
    experimental.async_ = True

    def undo(_notification: object) -> None:
        experimental.async_ = False

    tell(BACKGROUND, actions=[("Switch it off", undo)])


def _damage_notifier() -> Callable[[SlideError], None]:
    """Return a function that reports the first damaged tile of a slide. It may be called from any thread."""
    seen: list[SlideError] = []

    def notify_once(error: SlideError) -> None:
        from .notices import describe, tell

        seen.append(error)
        if len(seen) == 1:
            part = "A part of the slide cannot be read and is shown in magenta. There may be other such parts."
            tell(f"{part} {describe(error)}", "warning")

    return notify_once
