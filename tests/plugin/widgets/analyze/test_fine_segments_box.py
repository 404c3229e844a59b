"""The scale of segments in the Analyze dock."""

from __future__ import annotations

import pytest

from napari_sam_mil.analysis.model import Choices
from napari_sam_mil.analysis.run import analyse
from napari_sam_mil.analysis.source import SlideSource
from napari_sam_mil.layers import results
from napari_sam_mil.layers.results import segments_layer
from napari_sam_mil.widgets.analyze.choices_card import ChoicesCard
from sam_mil_engine.settings import FINE_SEGMENTS_MPP
from sam_mil_engine.slide.reader import open_slide


@pytest.fixture
def card(qtbot):
    card = ChoicesCard()
    qtbot.addWidget(card)
    return card


def test_the_choice_says_what_it_costs_and_becomes_settings(card, qtbot):
    assert card.choices().changes == {}
    texts = [card.fine.itemText(number) for number in range(card.fine.count())]
    assert texts[0] == "As in the project"
    with qtbot.waitSignal(card.changed):
        card.fine.setCurrentIndex(2)
    assert card.choices().changes == {"segments.mpp": FINE_SEGMENTS_MPP, "segments.both_scales": False}
    assert "fine segments" in card.summary()
    assert "mm²" in card.fine.itemData(2, 3)  # the tooltip
    card.fine.setCurrentIndex(1)
    assert card.choices().changes == {"segments.mpp": None}
    assert "fine segments" not in card.summary()


def test_a_project_with_fine_segments_goes_on_with_them_until_they_are_off(tiny_slide, run_folder, tmp_path):
    def choose(**changes):
        return Choices(classifier=str(run_folder), project=tmp_path / "p", changes=changes)

    with open_slide(tiny_slide) as slide:
        source = SlideSource(slide).facts
        on = {"segments.mpp": 1.0, "segments.max_side": 64, "segments.superpixels": 40}
        fine = analyse(source, choose(**on), step="Segment").processed.segments
        again = analyse(source, choose(), step="Segment").processed
        assert again.reused == ("tissue", "segments")
        off = analyse(source, choose(**{"segments.mpp": None}), step="Segment").processed.segments
    assert len(fine) == len(again.segments)
    assert fine.frame.downsample == (2.0, 2.0)
    assert off.frame.downsample[0] > 8, "one image of 64 px"


def test_of_a_large_raster_every_second_pixel_is_shown(tiny_slide, run_folder, tmp_path, monkeypatch):
    choices = Choices(classifier=str(run_folder), project=tmp_path / "p")
    with open_slide(tiny_slide) as slide:
        source = SlideSource(slide).facts
        segments = analyse(source, choices, step="Segment").processed.segments
    whole, keywords, _ = segments_layer(segments, {}, mpp=(0.5, 0.5))
    monkeypatch.setattr(results, "_LABEL_PIXELS", whole.size // 4 + 1)
    half, coarse, _ = segments_layer(segments, {}, mpp=(0.5, 0.5))
    assert (half == whole[1::2, 1::2]).all()
    assert list(coarse["scale"]) == [2 * scale for scale in keywords["scale"]]
