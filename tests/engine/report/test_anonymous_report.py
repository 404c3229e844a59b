"""Reports that leave the hospital: no name of a slide, no path, whatever holds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam_mil_engine.report.anonymous import LEFT_OUT, anonymous
from sam_mil_engine.report.content import PatchImage, PredictionRow, ReportContent, SlideSection, Strip
from sam_mil_engine.report.page import render, write_report
from sam_mil_engine.report.process_list import process_table

DOE, MUSTER = "Doe Jane 1961", "Muster-07"


@pytest.fixture
def content() -> ReportContent:
    rows = [
        {"slide_id": DOE, "state": "done", "tiles": "4", "segments": "2"},
        {"slide_id": MUSTER, "state": "failed", "error": f"/data/{MUSTER}.svs: it is broken", "hint": "Copy it"},
    ]
    patch = PatchImage(np.full((8, 8, 3), 200, np.uint8), DOE, corner_px0=(64, 128), value="2×")
    return ReportContent(
        title=f"Study of {DOE}",
        date="2030-01-01",
        facts=(("Models of", "/home/jane/run"), ("Slides", "2")),
        settings=(("features.encoder", "uni"), ("source", "C:\\Users\\jane")),
        predictions=(PredictionRow(DOE, "tumour", 0.9, "tumour"), PredictionRow(MUSTER, None, 0.1, "normal")),
        strips=(Strip("Most attended, tumour", "most", "tumour", (patch,)),),
        tables=(process_table(rows, frozenset({DOE})),),
        slides=(SlideSection(DOE, image=np.full((40, 40, 3), 230, np.uint8), notes=(f"{DOE}: seen before.",)),),
        notes=(f"{MUSTER}: the bag is no longer in /data/{MUSTER}/bags.", "Images show 1 of 2 slides."),
    )


def test_no_name_and_no_path_is_left(content: ReportContent, tmp_path: Path) -> None:
    page = render(anonymous(content))
    assert DOE in render(content)
    for secret in (DOE, "Doe", MUSTER, "/data", "/home", "jane", "Users"):
        assert secret not in page
    assert "Slide 1" in page
    assert "Slide 2" in page
    assert LEFT_OUT in page
    assert "Images show 1 of 2 slides." in page
    write_report(tmp_path / "r.html", anonymous(content))
    assert [path.name for path in tmp_path.rglob("*.png")] == ["most-01-Slide-1-64-128.png"]


def test_the_same_slide_has_one_number_everywhere(content: ReportContent) -> None:
    found = anonymous(content)
    assert found.slides[0].slide_id == "Slide 1"
    assert found.slides[0].notes == ("Slide 1: seen before.",)
    assert [row.slide_id for row in found.predictions] == ["Slide 1", "Slide 2"]
    assert [row[0].text for row in found.tables[0].rows] == ["Slide 1", "Slide 2"]
