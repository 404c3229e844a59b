"""Prompts and what each asks for, drawn from the nested truth of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

#: Share of clicks aimed at parts, objects, regions and pieces.
_AIMS = (0.12, 0.50, 0.30, 0.08)
#: Pixels of the truth below which nothing is asked for, and IoU above which two levels are one answer.
_SMALLEST, _SAME = 24, 0.9

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Prompts:
    """B prompts of one kind.

    Attributes
    ----------
    coords, labels
        (B, N, 2) x, y in pixels of the input, and (B, N) of Meta: 0 outside, 1 inside, 2 and 3 corners of a box.
    wanted
        For each, up to three nested masks (256, 256), the smallest first.
    single
        Whether one answer is asked for instead of three.
    """

    coords: Tensor
    labels: Tensor
    wanted: list[list[Mask]]
    single: bool


class Things:
    """Everything of an image that can be asked for: the truth's maps (4, 256, 256), numbered."""

    def __init__(self, truth: npt.NDArray[np.uint8]):
        self.truth = truth
        self.sizes = [np.bincount(level.ravel(), minlength=256) for level in truth]
        self.numbers = [np.flatnonzero((sizes >= _SMALLEST) & (np.arange(256) > 0)) for sizes in self.sizes]

    def any(self) -> bool:
        """Whether there is anything at all."""
        return any(len(numbers) for numbers in self.numbers)

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """Level and number of one thing: of the levels that have any, then of the things evenly."""
        odds = np.array([share * (len(numbers) > 0) for share, numbers in zip(_AIMS, self.numbers, strict=True)])
        level = int(rng.choice(4, p=odds / odds.sum()))
        return level, int(rng.choice(self.numbers[level]))

    def mask(self, level: int, number: int) -> Mask:
        """(256, 256) bool."""
        found: Mask = self.truth[level] == number
        return found

    def nested(self, row: int, column: int) -> list[Mask]:
        """What a click at a pixel may mean, the smallest first, at most three."""
        found: list[tuple[int, Mask]] = []
        for level in range(4):
            number = int(self.truth[level, row, column])
            size = int(self.sizes[level][number])
            if (
                not number
                or size < _SMALLEST
                or any(min(size, other) > _SAME * max(size, other) for other, _ in found)
            ):
                continue
            found.append((size, self.mask(level, number)))
        found.sort(key=lambda pair: pair[0])
        return [mask for _, mask in found][:3]


def clicks(rng: np.random.Generator, things: Things, count: int) -> Prompts:
    """One click each, anywhere in a thing."""
    coords, wanted = [], []
    while len(wanted) < count:
        row, column = _pixel(rng, things.mask(*things.draw(rng)))
        masks = things.nested(row, column)
        if masks:
            coords.append([_input(rng, column, row)])
            wanted.append(masks)
    return Prompts(_tensor(coords), torch.ones(count, 1), wanted, False)


def boxes(rng: np.random.Generator, things: Things, count: int) -> Prompts:
    """The box of a thing each, its sides moved by up to a tenth."""
    coords, wanted = [], []
    for _ in range(count):
        mask = things.mask(*things.draw(rng))
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]]) * 2.0
        moved = corners + rng.normal(0, 0.04, (2, 2)) * (corners[1] - corners[0]) + rng.normal(0, 1, (2, 2))
        coords.append(np.clip(moved, 0, 2 * np.array(mask.shape[::-1])).tolist())
        wanted.append([mask])
    return Prompts(_tensor(coords), torch.tensor([2.0, 3.0]).expand(count, 2), wanted, True)


def several(rng: np.random.Generator, things: Things, count: int) -> Prompts:
    """Two to five clicks for one thing each: the first inside, the others inside or close beside it."""
    number = int(rng.integers(2, 6))
    coords, labels, wanted = [], [], []
    for _ in range(count):
        mask = things.mask(*things.draw(rng))
        beside = _beside(mask)
        inside = [True, *(rng.random(number - 1) < 0.6 if beside.any() else np.ones(number - 1, bool))]
        pixels = [_pixel(rng, mask if is_in else beside) for is_in in inside]
        coords.append([_input(rng, column, row) for row, column in pixels])
        labels.append([float(is_in) for is_in in inside])
        wanted.append([mask])
    return Prompts(_tensor(coords), torch.tensor(labels), wanted, True)


def corrected(rng: np.random.Generator, before: Prompts, answers: Tensor) -> Prompts:
    """The prompts with one more click each, where the answers (B, 256, 256) bool are wrong."""
    coords, labels = [], []
    for answer, (mask,) in zip(answers.numpy(), before.wanted, strict=True):
        wrong = answer != mask
        row, column = _pixel(rng, wrong if wrong.any() else mask)
        coords.append([_input(rng, column, row)])
        labels.append([float(mask[row, column])])
    return Prompts(
        torch.cat([before.coords, _tensor(coords)], dim=1),
        torch.cat([before.labels, torch.tensor(labels)], dim=1),
        before.wanted,
        True,
    )


def _beside(mask: Mask) -> Mask:
    """Within a quarter of the mask's longer side of its box, outside of it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    margin = max(6, int(max(np.ptp(rows), np.ptp(columns)) / 4))
    near = np.zeros_like(mask)
    near[max(rows[0] - margin, 0) : rows[-1] + margin, max(columns[0] - margin, 0) : columns[-1] + margin] = True
    return near & ~mask


def _pixel(rng: np.random.Generator, mask: Mask) -> tuple[int, int]:
    places = np.flatnonzero(mask.ravel())
    row, column = divmod(int(places[rng.integers(len(places))]), mask.shape[1])
    return row, column


def _input(rng: np.random.Generator, column: int, row: int) -> list[float]:
    return [2 * column + float(rng.uniform(0, 2)), 2 * row + float(rng.uniform(0, 2))]


def _tensor(values: list[list[list[float]]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)
