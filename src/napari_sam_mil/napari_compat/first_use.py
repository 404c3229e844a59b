"""Load in advance, in another thread, what napari would load in the window's thread on first use.

Each function is an optimisation: if a library has changed, the function does nothing, and napari loads it on first
use.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

logger = logging.getLogger(__name__)


def load(*names: str) -> None:
    """Import modules. A module that cannot be imported is logged, and napari reports it when it needs it.

    Seen in napari 0.9.2, which imports scipy, pandas and scikit-image when it creates the first layer of a type.
    """
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            logger.debug("%s was not preloaded: %s", name, error)


def read_units() -> None:
    """Let pint read its unit definitions, which napari's scale bar needs.

    Seen in napari 0.9.2 with pint 0.25 (``get_application_registry().parse_units``).
    Without it, the window reads them when the first slide appears: a third of a second.
    """
    _prepare("pint", lambda pint: pint.get_application_registry().parse_units("pixel"))


def make_dashes() -> None:
    """Create vispy's table of dashed lines, which the first shapes layer needs.

    Seen in vispy 0.17 (``vispy.visuals.line.dash_atlas.DashAtlas``).
    Without it, the window creates the table when the first outlines appear.
    """
    _prepare("vispy.visuals.line.dash_atlas", lambda module: module.DashAtlas())


def _prepare(name: str, use: Any) -> None:
    try:
        use(import_module(name))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        logger.debug("%s was not prepared: %s", name, error)
