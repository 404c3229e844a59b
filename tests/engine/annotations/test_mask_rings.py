"""Outlines from corners are the union of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from sam_mil_engine.annotations.masks import mask_area


def union_of_pixels(mask):
    rows, columns = np.nonzero(mask)
    return shapely.union_all(shapely.box(columns, rows, columns + 1, rows + 1))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("seed", range(6))
def test_any_mask(share, seed):
    mask = np.random.default_rng(seed).random((9, 13)) < share
    area, expected = mask_area(mask), union_of_pixels(mask)
    assert area.is_valid
    assert area.equals(expected)
    assert area.area == mask.sum()


@pytest.mark.parametrize(
    "rows",
    [
        "#",
        "##",
        "#.#",
        "#.|.#",
        ".#|#.",
        "###|#.#|###",
        "#####|#...#|#.#.#|#...#|#####",
        "##.|#.#|.##",
        ".#.|#.#|.#.",
    ],
)
def test_small_shapes(rows):
    mask = np.array([[sign == "#" for sign in row] for row in rows.split("|")])
    assert mask_area(mask).equals(union_of_pixels(mask))


def test_nothing_has_no_area():
    assert mask_area(np.zeros((3, 4), dtype=bool)).is_empty
