"""SIGKILL at random moments, over and over: what is there is whole, and the end is the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from cheap_models import SETTINGS
from forked_runs import ForkedRuns

from sam_mil_engine.bag import h5
from sam_mil_engine.process.project import Project
from sam_mil_engine.settings import STAGES, TileSettings
from tiny_slides import write_tiny_slide

KILLS = 20
#: A run is killed within this share of the reports of a whole one: so twenty kills lie along the whole of it, on a
#: slow machine too.
SHARE = 0.12
#: And up to so much later, between two reports.
LATER_S = 0.05
OTHER = SETTINGS.model_copy(update={"tiles": TileSettings(patch_size=80)})

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedRuns]:
    with ForkedRuns(tmp_path_factory.mktemp("moment") / "moment") as started:
        yield started


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: syncing a disk would take most of the time."""
    shm = Path("/dev/shm")
    folder = shm / f"{tmp_path.name}-{os.getpid()}" if os.access(shm, os.W_OK) else tmp_path / "quick"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def slides(quick: Path) -> list[Path]:
    return [write_tiny_slide(quick / f"s{number}.tiff", seed=number) for number in range(5)]


def contents(project: Path) -> dict[str, bytes]:
    """Every file of a project that is made from the slides; `process.csv` holds seconds."""
    files = [path for path in sorted(project.rglob("*")) if path.is_file() and path.suffix != ".lock"]
    names = {str(path.relative_to(project)): path for path in files}
    return {name: path.read_bytes() for name, path in names.items() if name not in {"process.csv", "settings.json"}}


def values(bag: Path) -> dict[str, object]:
    """Every dataset and attribute of a bag; reading them all shows that the file is whole."""
    found: dict[str, object] = {}
    with h5py.File(bag) as file:
        found.update({f"@{key}": np.asarray(value).tolist() for key, value in file.attrs.items()})
        found["@stages"] = h5.read_stages(bag)

        def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
            found.update({f"{name}@{key}": np.asarray(value).tolist() for key, value in item.attrs.items()})
            if isinstance(item, h5py.Dataset):
                found[name] = item[()].tolist()

        file.visititems(look)
    return found


def assert_whole(project: Path) -> None:
    """Nothing that a reader opens is half written."""
    if (project / "settings.json").exists():
        json.loads((project / "settings.json").read_text())
    for bag in [*project.glob("bags/*.h5"), *project.glob("superseded/*/*.h5")]:
        assert set(values(bag)["@stages"]) <= set(STAGES)
    states = {row.state for row in Project(project).rows().values()} if project.exists() else set()
    assert states <= {"running", "done", "cancelled"}


def assert_done(project: Path, slides: list[Path]) -> None:
    """Every line says so, and nothing is left of the runs that were killed."""
    assert {name: row.state for name, row in Project(project).rows().items()} == {s.stem: "done" for s in slides}
    litter = [path for path in project.rglob(".*") if path.suffix != ".lock"]
    assert not litter


@pytest.mark.slow
def test_twenty_kills_and_one_clean_run(quick: Path, slides: list[Path], runs: ForkedRuns) -> None:
    """Byte for byte what an undisturbed run gives: bags, label images, masks, pictures."""
    project, whole = quick / "project", quick / "whole"
    assert runs.run(slides, whole, SETTINGS) == 0
    shutil.rmtree(whole)  # the first run reads what the later ones find in memory
    assert runs.run(slides, whole, SETTINGS) == 0
    reports = runs.reports()

    rng, hits, ended = random.Random(7), Counter[str](), 0
    while hits.total() < KILLS:
        pid = runs.start(slides, project, SETTINGS)
        # each fifth may be hit while it begins
        at_least = 1 if hits.total() % 5 else 0
        stage = runs.kill_after(rng.randint(at_least, round(SHARE * reports)), rng.uniform(0, LATER_S), pid)
        code = runs.end()
        assert_whole(project)
        if stage is not None:
            assert code == -signal.SIGKILL
            hits[stage] += 1
        else:  # all was done before the twentieth kill: the others hit a new project
            assert code == 0
            assert contents(project) == contents(whole)
            shutil.rmtree(project)
            ended += 1
    sys.stdout.write(f"killed in {dict(hits)}; {ended} runs ended before\n")  # pytest -rP shows it
    assert len(hits) >= 3, f"the kills hit {dict(hits)} only"

    assert runs.run(slides, project, SETTINGS) == 0
    assert_done(project, slides)
    assert contents(project) == contents(whole)
    assert runs.run(slides, project, SETTINGS) == 0
    assert contents(project) == contents(whole)


def test_kills_while_settings_change(quick: Path, slides: list[Path], runs: ForkedRuns) -> None:
    """Old and new results never mix, and what stood under other settings is kept whole.

    The bags hold the values of an undisturbed run; their bytes differ, since what is dropped and made again lies
    elsewhere in the file.
    """
    project, whole, slides = quick / "project", quick / "whole", slides[:2]
    assert runs.run(slides, whole, OTHER) == 0
    reports = runs.reports()
    assert runs.run(slides, project, SETTINGS) == 0
    old = {slide.stem: values(project / "bags" / f"{slide.stem}.h5") for slide in slides}
    rng = random.Random(3)
    for number in range(8):
        settings = (OTHER, SETTINGS)[number % 2]
        pid = runs.start(slides, project, settings)
        runs.kill_after(rng.randint(1, round(0.6 * reports)), rng.uniform(0, LATER_S), pid)
        runs.end()
        assert_whole(project)
    assert runs.run(slides, project, OTHER) == 0
    assert_done(project, slides)
    saved = json.loads((project / "settings.json").read_text())
    for slide in slides:
        assert values(project / "bags" / f"{slide.stem}.h5") == values(whole / "bags" / f"{slide.stem}.h5")
    kept = [path for path in project.glob("superseded/*/*.h5") if path.parent.name != saved["key"]]
    assert {path.stem for path in kept} == set(old)
    assert {path.parent.name for path in kept} == {item["key"] for item in saved["previous"]}
