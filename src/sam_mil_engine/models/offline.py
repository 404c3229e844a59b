"""Whether the user forbids the network."""

from __future__ import annotations

import os

#: Environment variables by which a user forbids the network.
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "SAM_MIL_OFFLINE")


def is_offline() -> bool:
    """Whether the user forbids the network through one of :data:`OFFLINE_VARIABLES`."""
    return any(os.environ.get(name, "0") not in ("", "0") for name in OFFLINE_VARIABLES)
