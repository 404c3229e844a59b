"""A slide whose resolution a slide table states: its results are known again, and the resolution with them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from cheap_models import SETTINGS, use_cheap_models

from napari_sam_mil.analysis.model import StoredResults
from napari_sam_mil.analysis.results import OtherSlide, StoredAnalysis, read_stored
from napari_sam_mil.analysis.source import SlideSource
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.slide.entry import SlideEntry
from sam_mil_engine.slide.reader import open_slide
from tiny_slides import write_tiny_slide


def test_results_with_a_stated_resolution_are_those_of_the_slide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cheap_models(put=monkeypatch.setattr)
    path, other = (write_tiny_slide(tmp_path / f"{seed}.tiff", seed=seed) for seed in (1, 2))
    entry = SlideEntry(path, "A-1", mpp=0.25)
    process_slide(entry, tmp_path / "p", settings=SETTINGS, stages=("tissue", "tiles"))
    stored = StoredResults(tmp_path / "p", slide_id="A-1")
    with closing(open_slide(path)) as slide:
        source = SlideSource(slide)
        assert source.mpp != (0.25, 0.25)
        found = read_stored(source, stored)
        assert isinstance(found, StoredAnalysis)
        assert found.analysis.processed.info.mpp == (0.25, 0.25)
        assert source.take_resolution(found.analysis.processed.info)
        assert source.mpp == (0.25, 0.25)
        assert not source.take_resolution(found.analysis.processed.info)
    with closing(open_slide(other)) as slide:
        assert isinstance(read_stored(SlideSource(slide), stored), OtherSlide)
