"""The quality of a cohort at a glance: what looks wrong comes first, with words and an image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from cheap_models import SETTINGS, use_cheap_models

from sam_mil_engine.bag import h5
from sam_mil_engine.geometry import Frame
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.report.page import render
from sam_mil_engine.report.project import build_report
from sam_mil_engine.settings import TileSettings
from sam_mil_engine.slide.artefact_map import ArtefactMap
from tiny_slides import write_tiny_slide


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One good slide, one whose left half is pen, one that fails."""
    use_cheap_models(put=monkeypatch.setattr)
    monkeypatch.setattr("sam_mil_engine.slide.artefacts.find_artefacts", pen_on_one)
    slides = [
        write_tiny_slide(tmp_path / f"{name}.tiff", tissue=name != "blank") for name in ("good", "pen", "blank")
    ]
    settings = SETTINGS.model_copy(update={"tiles": TileSettings(patch_size=64, artefacts="mark")})
    list(process_slides(slides, tmp_path / "p", settings=settings, stages=("tissue", "tiles"), device="cpu"))
    return tmp_path / "p"


def pen_on_one(slide: object, **options: object) -> ArtefactMap:
    kinds = np.zeros((32, 40), np.uint8)
    if slide.info.slide_id == "pen":  # type: ignore[attr-defined]
        kinds[:, :20] = 1
    return ArtefactMap(kinds, Frame(downsample=(16.0, 16.0)))


def test_the_worst_come_first_and_say_why(project: Path) -> None:
    content = build_report(project)
    assert [item.slide_id for item in content.quality] == ["blank", "pen", "good"]
    blank, pen, good = content.quality
    assert blank.warnings[0].startswith("failed: ")
    assert "no tissue was found" in blank.warnings[0]
    assert any(text.startswith("artefacts spoil") for text in pen.warnings)
    assert good.concern < pen.concern < blank.concern
    assert good.facts == f"{len(h5.read_grid(project / 'bags' / 'good.h5'))} patches"


def test_thumbnails_show_patches_and_artefacts(project: Path) -> None:
    _, pen, good = build_report(project).quality
    mask = cv2.cvtColor(cv2.imread(str(project / "masks" / "good.jpg")), cv2.COLOR_BGR2RGB)
    side = max(good.thumbnail.shape)
    assert side <= 240
    small = cv2.resize(mask, good.thumbnail.shape[1::-1], interpolation=cv2.INTER_AREA)
    middle = tuple(length // 2 for length in small.shape[:2])
    changed = np.abs(good.thumbnail[middle].astype(int) - small[middle].astype(int))
    assert changed.max() > 20, "a patch is drawn there"
    assert pen.thumbnail[middle[0], 20].tolist() == [230, 60, 20]
    assert pen.thumbnail[middle[0], -20].tolist() != [230, 60, 20]


def test_the_page_shows_them_in_this_order(project: Path) -> None:
    page = render(build_report(project)).partition("Quality, worst first")[2]
    places = [page.index(f'alt="{name} with tissue and patches"') for name in ("pen", "good")]
    assert page.index("no tissue was found") < places[0] < places[1]


def test_a_damaged_bag_is_of_most_concern(project: Path) -> None:
    (project / "bags" / "good.h5").write_bytes(b"no bag")
    worst = {item.slide_id: item for item in build_report(project).quality[:2]}
    assert "not an HDF5 file" in worst["good"].warnings[-1]
