"""What napari loads or makes when it first needs it, in the thread of the window: loaded before, in another thread.

Each function is an optimisation: where a library has changed, it does nothing, and napari loads it as before.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

logger = logging.getLogger(__name__)


def load(*names: str) -> None:
    """Import modules; one that cannot be imported is named in the log, and napari says so when it needs it.

    Seen in napari 0.9.2, which imports scipy, pandas and scikit-image when it makes the first layer of a kind.
    """
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            logger.debug("%s was not loaded before it is needed: %s", name, error)


def read_units() -> None:
    """Let pint read its definitions of units, which napari's scale bar needs.

    Seen in napari 0.9.2 with pint 0.25 (``get_application_registry().parse_units``).
    Without it, the window reads them when the first slide appears: a third of a second.
    """
    _prepare("pint", lambda pint: pint.get_application_registry().parse_units("pixel"))


def make_dashes() -> None:
    """Make vispy's table of dashed lines, which the first shapes layer needs.

    Seen in vispy 0.17 (``vispy.visuals.line.dash_atlas.DashAtlas``).
    Without it, the window makes it when the first outlines appear.
    """
    _prepare("vispy.visuals.line.dash_atlas", lambda module: module.DashAtlas())


def _prepare(name: str, use: Any) -> None:
    try:
        use(import_module(name))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        logger.debug("%s was not prepared before it is needed: %s", name, error)
