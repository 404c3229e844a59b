"""The spinner next to napari's *activity* button."""

from __future__ import annotations

from qtpy.QtWidgets import QApplication, QLabel

#: Percent of the original speed.
SPINNER_SPEED = 25


def slow_spinner() -> None:
    """Slow down the spinner.

    Why
        The whole window is composed again for each of its 30 frames per second. Without a graphics card, this takes
        a CPU core from the job.
    Seen in
        napari 0.9.2, where it is a ``QLabel`` with a movie in a widget of the class ``ActivityToggleItem``.
    Without it
        It runs at its original speed, and jobs on a machine without a graphics card are slower.
    """
    for widget in QApplication.allWidgets():
        spinner = widget.movie() if isinstance(widget, QLabel) else None
        if spinner is not None and type(widget.parent()).__name__ == "ActivityToggleItem":
            spinner.setSpeed(SPINNER_SPEED)
