"""Open a slide with its results in napari and save an image of the window.

``python -m napari_sam_mil.showcase SLIDE --project PROJECT --model RUN --picture OUT.png [--show]``

Stored results are shown at once, and missing ones are computed. Without a display, a virtual one is used.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sam_mil_engine.errors import SamMilError

from .analysis.model import AUTO
from .napari_compat.display import ensure_display, has_display
from .napari_compat.event_loop import process_events

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from .widgets.analyze.dock import AnalyzeDock

#: Seconds after which the analysis of the slide is cancelled.
TIMEOUT_S = 1800.0


def save_window(
    slide: str | Path,
    project: str | Path,
    picture: str | Path | None = None,
    *,
    model: str | Path = AUTO,
    size: tuple[int, int] = (1920, 1080),
    show: bool = False,
) -> None:
    """Open a slide, run Segment/Classify, and save the whole window.

    Parameters
    ----------
    slide, project
        The slide, and the folder for its results.
    picture
        PNG to write; None writes none.
    model
        A RUN, a model folder, or the name of a bundled model.
    size
        Width and height of the window in pixels.
    show
        Leave the window open until the user closes it; ignored where there is no display.

    Raises
    ------
    SamMilError
        If the analysis fails, or the window cannot be drawn here.
    """
    show = show and has_display()
    with ensure_display(size=size):
        import napari

        viewer = napari.Viewer(title=f"{Path(slide).stem} - SAM-MIL", show=True)
        try:
            present(viewer, slide, project, model=model, size=size)
            if picture is not None:
                Path(picture).parent.mkdir(parents=True, exist_ok=True)
                viewer.window.screenshot(str(picture), flash=False, canvas_only=False)
            if show:
                napari.run()
        finally:
            if not show:
                viewer.close()


def present(
    viewer: Viewer, slide: str | Path, project: str | Path, *, model: str | Path, size: tuple[int, int]
) -> AnalyzeDock:
    """Open the slide and the Analyze dock in a viewer and wait for the result."""
    from .docks import open_dock

    viewer.window.resize(*size)
    viewer.open(str(slide), plugin="napari-sam-mil")
    dock: AnalyzeDock = open_dock(viewer, "Analyze")
    dock.choices_card.set_project(Path(project))
    if str(model) != AUTO:
        dock.choices_card.set_classifier(Path(model))
    failures: list[Exception] = []
    job = dock.run("Classify")
    if job is None:
        raise SamMilError("the file was opened, but not as a slide that can be analysed", where=slide)
    job.failed.connect(failures.append)
    end = time.monotonic() + TIMEOUT_S
    while dock.job is not None:
        process_events()
        if time.monotonic() > end:
            dock.cancel()
            raise SamMilError(f"the analysis took longer than {TIMEOUT_S:.0f} s", where=slide)
        time.sleep(0.01)
    if failures:
        raise failures[0]
    viewer.reset_view()
    wait_until_drawn()
    return dock


def wait_until_drawn(seconds: float = 1.0) -> None:
    """Process events for some seconds, so that the window is fully drawn."""
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        process_events()
        # processing events alone does not remove closed widgets from the image
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        time.sleep(0.01)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line. The exit code is 0 if the window was shown or saved."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_sam_mil.showcase", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("slide", type=Path)
    parser.add_argument("--project", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--model", default=AUTO, help="a RUN, a model folder, or a bundled model (default: %(default)s)"
    )
    parser.add_argument("--picture", type=Path, help="PNG of the whole window")
    parser.add_argument("--show", action="store_true", help="leave the window open if there is a display")
    chosen = parser.parse_args(arguments)
    try:
        save_window(chosen.slide, chosen.project, chosen.picture, model=chosen.model, show=chosen.show)
    except SamMilError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
