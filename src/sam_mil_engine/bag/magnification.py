"""The magnification that a resolution usually means: TRIDENT asks for one, and not every slide names it."""

from __future__ import annotations

#: Upper limits in micrometres per pixel of the usual objectives, as TRIDENT divides them.
_POWERS = ((0.16, 80.0), (0.2, 60.0), (0.3, 40.0), (0.6, 20.0), (1.2, 10.0), (2.4, 5.0))


def magnification(mpp: float | None, power: float | None) -> float | None:
    """Return the slide's own magnification, else the usual one for its resolution, else None."""
    if power is not None or mpp is None:
        return power
    return next((usual for limit, usual in _POWERS if mpp < limit), None)
