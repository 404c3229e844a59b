"""Each tile is made once, and where the view moves, before it is asked for."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from sam_mil_engine.slide.pyramid import open_pyramid
from sam_mil_engine.slide.reader import Slide
from sam_mil_engine.slide.tile_pool import TilePool


@pytest.fixture
def counted(array_reader: Any):
    """A slide of 10 x 10 tiles, and the tiles that were read of it."""
    reads: list[tuple[int, int]] = []

    class Counting(array_reader):
        def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
            reads.append((location[0] // 512, location[1] // 512))
            return super().read(level, location, size)

    return open_pyramid(Slide(Counting(np.zeros((5120, 5120, 3), np.uint8))))[0], reads


def settled(reads: list[Any], count: int) -> set[Any]:
    """Wait until so many tiles were read, and a moment longer, so that more would be seen."""
    while len(reads) < count:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(reads) == len(set(reads)), "no tile is read twice"
    return set(reads)


def test_a_pan_reads_ahead_in_its_direction(counted) -> None:
    level, reads = counted
    level[1024:2048, 1024:2048]
    assert settled(reads, 4) == {(2, 2), (3, 2), (2, 3), (3, 3)}, "standing still, nothing more is read"
    reads.clear()
    level[1024:2048, 1536:2560]
    columns = {column for column, _ in settled(reads, 6)}
    assert columns == {4, 5, 6}, "the new column, the one behind it, and one more"
    reads.clear()
    level[1024:2048, 2048:3072]
    assert settled(reads, 2) == {(7, 2), (7, 3)}, "what is shown was there already"


def test_at_the_border_and_after_a_jump_nothing_is_read_ahead(counted) -> None:
    level, reads = counted
    level[0:1024, 512:1536]
    settled(reads, 4)
    reads.clear()
    level[0:1024, 0:1024]
    assert settled(reads, 2) == {(0, 0), (0, 1)}
    reads.clear()
    level[4096:5120, 4096:5120]
    assert len(settled(reads, 4)) == 4


@pytest.fixture
def guessed(array_reader: Any, monkeypatch: pytest.MonkeyPatch):
    """Levels of 8192, 4096, 2048 and 1024 px in tiles of 512 px, and what is to be made ahead: (level, tiles)."""
    ahead: list[tuple[int, Any]] = []
    levels = open_pyramid(Slide(array_reader(np.zeros((8192, 8192, 3), np.uint8))))
    for number, level in enumerate(levels):
        monkeypatch.setattr(
            level, "make_ahead", lambda tiles, number=number, but=None: ahead.append((number, tiles))
        )
    return levels, ahead


def test_a_zoom_reads_ahead_around_the_point_that_it_keeps(guessed) -> None:
    levels, ahead = guessed
    levels[2][0:1024, 0:1024]
    levels[1][512:1536, 512:1536]
    # what stayed where it was on the screen is (1024, 1024) of this level: (2048, 2048) of the next
    assert ahead == [(0, (3, 3, 5, 5))]
    ahead.clear()
    levels[0][1536:2560, 1536:2560]
    assert ahead == [], "there is no finer level"
    levels[1][512:1536, 512:1536]
    assert ahead == [(2, (0, 0, 2, 2))], "on the way back it is the coarser one"


def test_a_look_at_another_level_in_the_same_size_or_far_away_is_no_zoom_to_go_on_with(guessed) -> None:
    levels, ahead = guessed
    levels[3][0:512, 0:512]
    levels[1][0:512, 0:512]
    assert ahead == [], "two levels at once"
    levels[2][0:256, 0:256]
    assert ahead == [(3, (0, 0, 1, 1))], "the same view: what is around its middle"


def test_what_is_guessed_is_in_the_cache_before_it_is_asked_for(array_reader: Any) -> None:
    levels = open_pyramid(Slide(array_reader(np.zeros((8192, 8192, 3), np.uint8))))
    levels[0][1536:2560, 1536:2560]
    levels[1][512:1536, 512:1536]
    while not levels[2].has(0, 0, 1024, 1024):
        time.sleep(0.01)
    assert levels[2].has(0, 0, 1024, 1024)


def test_what_is_made_ahead_gives_way_to_what_is_asked_for() -> None:
    pool = TilePool(2**30)
    made: list[tuple[int, int]] = []
    gate = threading.Event()

    def slow(place: tuple[int, int]) -> np.ndarray:
        gate.wait()
        made.append(place)
        return np.zeros((1, 1, 3), np.uint8)

    pool.make_ahead(slow, [(number, 0) for number in range(500)])
    gate.set()
    before = len(made)
    pool.map(lambda place: np.zeros((1, 1, 3), np.uint8), [(0, 0), (1, 1)])
    time.sleep(0.05)
    assert len(made) <= before + 499
    settled_count = len(made)
    time.sleep(0.05)
    assert len(made) == settled_count, "what was queued is dropped"


def test_threads_that_want_one_tile_wait_for_it_together() -> None:
    pool = TilePool(2**20)
    started, go, made = threading.Event(), threading.Event(), []

    def make() -> np.ndarray:
        started.set()
        go.wait(10)
        made.append(1)
        return np.zeros((2, 2, 3), np.uint8)

    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(pool.tile("a", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(made) == 1
    assert len({id(one) for one in found}) == 1


def test_a_tile_that_fails_can_be_asked_for_again() -> None:
    pool = TilePool(2**20)

    def fails() -> np.ndarray:
        raise ValueError("not now")

    with pytest.raises(ValueError, match="not now"):
        pool.tile("a", fails)
    assert pool.tile("a", lambda: np.ones((1, 1, 3), np.uint8)).max() == 1
