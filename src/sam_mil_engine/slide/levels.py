"""Levels reduced by one factor in width and height: padding is hidden, and what fits no factor is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Size = tuple[int, int]

#: Pixels of a level by which rounding, once or again at every level, may move its width or height.
ROUNDING = 2.0
#: Levels from which on their sizes together say more than chance.
_PYRAMID = 4


@dataclass(frozen=True, slots=True)
class UsableLevels:
    """The levels of a file whose pixels can be placed.

    Attributes
    ----------
    numbers
        Number of each level in the file.
    sizes
        Width and height of what each level shows, without padding.
    warnings
        What was corrected or left out, in sentences.
    """

    numbers: tuple[int, ...]
    sizes: tuple[Size, ...]
    warnings: tuple[str, ...]


def usable_levels(stored: Sequence[Size], tiles: Sequence[Size | None]) -> UsableLevels:
    """Find what every level shows, where some are padded to whole tiles, or are no version of level 0 at all.

    Padding adds pixels at the right and at the bottom, so that level 0 divided by the stored size is too small a
    factor, and another one for the width than for the height. (Philips pads every level; where its metadata was
    removed from a file, nothing in it says so.)

    Parameters
    ----------
    stored
        Width and height of every level, largest first, as the file states them.
    tiles
        Width and height of the tiles of every level; None where it has none, empty where nothing is known.
    """
    full = stored[0]
    numbers, sizes = [0], [full]
    warnings: list[str] = []
    factors = [1.0]
    padding = _is_padded(stored, tiles)
    for number, size in enumerate(stored[1:], start=1):
        factor = _padded_factor(full, size, tiles[number], factors) if padding else None
        if factor is not None:
            shown = (_shown(full[0], size[0], factor), _shown(full[1], size[1], factor))
            if shown != size:
                warnings.append(
                    f"{_described(number, full, size)}: it is padded; its first {shown[0]} x {shown[1]} px are "
                    f"used ({factor:g} times less)."
                )
        elif in_proportion(full, size, slack=ROUNDING):
            shown, factor = size, full[0] / size[0]
        else:
            warnings.append(f"{_described(number, full, size)}: it is left out.")
            continue
        numbers.append(number)
        sizes.append(shown)
        factors.append(factor)
    return UsableLevels(tuple(numbers), tuple(sizes), tuple(warnings))


def _described(number: int, full: Size, size: Size) -> str:
    return (
        f"Level {number} has {size[0]} x {size[1]} px, {full[0] / size[0]:.3g} times less in width and "
        f"{full[1] / size[1]:.3g} times less in height than the slide"
    )


def in_proportion(size: tuple[int, int], smaller: tuple[int, int], *, slack: float = 1.0) -> bool:
    """Whether both sides of an image are reduced by one factor, within ``slack`` pixels of rounding."""
    (width, height), (small_width, small_height) = size, smaller
    if min(small_width, small_height) < 1:
        return False
    least = max(width / (small_width + slack), height / (small_height + slack))
    most = min(
        width / (small_width - slack) if small_width > slack else float("inf"),
        height / (small_height - slack) if small_height > slack else float("inf"),
    )
    return least <= most


def _is_padded(stored: Sequence[Size], tiles: Sequence[Size | None]) -> bool:
    """Whether the smaller levels are made of whole tiles, and could not be so without padding.

    Width and height that need different factors are enough. In a square slide they never do: there it takes a
    pyramid of several levels, all of whole tiles, in which some are not level 0 divided by a whole number.
    """
    whole = [
        tile is not None and size[0] % tile[0] == 0 and size[1] % tile[1] == 0
        for size, tile in zip(stored, tiles, strict=False)
    ]
    if len(whole) != len(stored) or not all(whole[1:]):
        return False
    if any(not in_proportion(stored[0], size, slack=ROUNDING) for size in stored[1:]):
        return True
    odd = any(not _is_whole_factor(stored[0], size) for size in stored[1:]) or len(set(stored)) < len(stored)
    return odd and whole[0] and len(stored) >= _PYRAMID


def _is_whole_factor(full: Size, size: Size) -> bool:
    factor = round(full[0] / size[0])
    return all(abs(long / factor - short) <= ROUNDING for long, short in zip(full, size, strict=True))


def _padded_factor(full: Size, size: Size, tile: Size | None, factors: Sequence[float]) -> float | None:
    """Find the power of two that gives this size after padding; None where there is none.

    Small levels are one tile each, and fit many: of these the step between the levels before decides.
    """
    if tile is None:
        return None
    fitting = [
        float(2**power)
        for power in range(max(full).bit_length() + 1)
        if 2**power > factors[-1]
        and all(
            math.ceil(math.ceil(long / 2**power) / side) * side == short
            for long, short, side in zip(full, size, tile, strict=True)
        )
    ]
    step = factors[-1] / factors[-2] if len(factors) > 1 else 2.0
    return min(fitting, key=lambda factor: (factor != factors[-1] * step, factor), default=None)


def _shown(full: int, stored: int, factor: float) -> int:
    return min(stored, math.ceil(full / factor))
