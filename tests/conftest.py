"""Fixtures that every test may use: the folder of real slides, and small made-up ones."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tiny_slides import write_tiny_slide

ROOT = Path(__file__).resolve().parents[1]
#: No deadline: how long an example takes says more about the machine than about the code. The same examples in
#: every run, so that a commit passes everywhere or nowhere; ``pytest --hypothesis-profile=search`` finds new ones.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("steady")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while files are collected, and leave alone what is in memory then: above all, libraries.

    They are imported meanwhile, and looking at all of them over and over took two fifths of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


# The end of the process frees all of it; otherwise triton says on the terminal that it is leaked. Not before, since
# pytest collects garbage five times after the last test.
atexit.register(gc.unfreeze)


def _shared_data() -> Path | None:
    candidates = [os.environ.get("SAM_MIL_TEST_DATA"), ROOT.parent / "shared" / "data"]
    return next((Path(path) for path in candidates if path and Path(path).is_dir()), None)


SHARED = _shared_data()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files with slow tests go first, so that no process ends long after the other."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    """Wait for no disk in this process: thousands of times, for what no test could see. Its children do wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: os.fstat(file) and None)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real slides; where it is missing, tests that need it are skipped and say so."""
    if SHARED is None:
        pytest.skip("real slides are not here: set SAM_MIL_TEST_DATA to the folder that holds MANIFEST.tsv")
    return SHARED


@pytest.fixture(scope="session")
def cmu_slide(shared_data: Path) -> Path:
    """CMU-1-Small-Region.svs (2220 x 2967 px, 0.499 µm per pixel, CC0)."""
    return shared_data / "slides" / "aperio" / "CMU-1-Small-Region.svs"


@pytest.fixture
def tiny_slide(tmp_path: Path) -> Path:
    """One tiny slide with tissue."""
    return write_tiny_slide(tmp_path / "tiny.tiff")
