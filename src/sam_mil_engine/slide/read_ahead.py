"""Tiles that a viewer will request next, predicted from its last two views and made ahead of time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .level_array import Bounds, LevelArray

#: Two views whose sides differ by less than this share are the same size: there is no point that a zoom keeps.
_SAME_SIZE = 0.05


class ReadAhead:
    """Follows the views of one pyramid.

    Where the view moves by less than itself, what the same move would bring next is made; where it goes to the next
    level, what the same zoom shows on the one behind that.

    Parameters
    ----------
    levels
        Finest first; may grow between two views.
    """

    def __init__(self, levels: Sequence[LevelArray]):
        self._levels = levels
        self._last: int | None = None
        self._looks: dict[int, Bounds] = {}

    def look(self, number: int, bounds: Bounds) -> None:
        """Take note of a view of left, top, right, bottom of a level, and make the tiles that may come next."""
        last, self._last = self._last, number
        before, self._looks[number] = self._looks.get(number), bounds
        if last is not None and abs(last - number) == 1:
            self._zoomed(last, number)
        elif before is not None:
            self._panned(self._levels[number], before, bounds)

    def _panned(self, level: LevelArray, bounds_before: Bounds, bounds: Bounds) -> None:
        before, now = level.tiles_of(*bounds_before), level.tiles_of(*bounds)
        step = (now[0] - before[0], now[1] - before[1])
        size = (now[2] - now[0], now[3] - now[1])
        if step == (0, 0) or abs(step[0]) > size[0] or abs(step[1]) > size[1]:
            return
        # a tile more: equal moves on the screen are unequal numbers of tiles
        across, down = (number + (number > 0) - (number < 0) for number in step)
        level.make_ahead((now[0] + across, now[1] + down, now[2] + across, now[3] + down), but=now)

    def _zoomed(self, before: int, number: int) -> None:
        following = 2 * number - before
        if not 0 <= following < len(self._levels):
            return
        old, level, new = (self._levels[one] for one in (before, number, following))
        was, now = _sides(self._looks[before]) * _scale(old, level), _sides(self._looks[number])
        fixed = _fixed_point(was, now)
        # as many pixels as now, around the point that stays where it is on the screen
        scale = _scale(level, new)
        wanted = np.maximum(fixed * scale + (now - fixed), 0).astype(int)
        new.make_ahead(new.tiles_of(*wanted.ravel().tolist()))


def _sides(bounds: Bounds) -> npt.NDArray[np.float64]:
    """Left, top, right, bottom -> ((left, top), (right, bottom))."""
    return np.asarray(bounds, dtype=np.float64).reshape(2, 2)


def _scale(old: LevelArray, new: LevelArray) -> npt.NDArray[np.float64]:
    """Pixels of one level in a pixel of another, (x, y)."""
    return np.divide(new.shape[1::-1], old.shape[1::-1])


def _fixed_point(was: npt.NDArray[np.float64], now: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the point (x, y) that lies at the same place in both views: what a mouse wheel zooms about."""
    ratio = (now[1] - now[0]) / np.maximum(was[1] - was[0], 1)
    alike = np.abs(1 - ratio) < _SAME_SIZE
    kept = (now[0] - ratio * was[0]) / np.where(alike, 1, 1 - ratio)
    fixed: npt.NDArray[np.float64] = np.clip(np.where(alike, now.mean(axis=0), kept), now[0], now[1])
    return fixed
