"""What turns next to napari's *activity* button."""

from __future__ import annotations

from qtpy.QtWidgets import QApplication, QLabel

#: Percent of its own speed.
SPINNER_SPEED = 25


def slow_spinner() -> None:
    """Slow down the spinner.

    Why
        For each of its 30 images per second the whole window is put together again: without a graphics card that
        takes a core, which the work could have.
    Seen in
        napari 0.9.2, where it is a ``QLabel`` with a movie in a widget of the class ``ActivityToggleItem``.
    Without it
        It turns at its own speed, and work on a machine without a graphics card is slower.
    """
    for widget in QApplication.allWidgets():
        spinner = widget.movie() if isinstance(widget, QLabel) else None
        if spinner is not None and type(widget.parent()).__name__ == "ActivityToggleItem":
            spinner.setSpeed(SPINNER_SPEED)
