"""Warnings from any thread. No Qt, and napari only if it is already running."""

from __future__ import annotations

import sys
import warnings


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Show a warning in the window if one is open, else through Python's ``warnings``."""
    if "napari.viewer" in sys.modules:
        from napari import current_viewer

        if current_viewer() is not None:
            from .notices import tell

            tell(message if message.endswith(".") else f"{message}.", "warning")
            return
    warnings.warn(message, category, stacklevel=3)
