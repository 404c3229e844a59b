"""Prompts and edits without a window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam_mil.analysis import sam_calls
from napari_sam_mil.analysis.model import Choices
from napari_sam_mil.analysis.prompting import (
    Prompt,
    PromptHistory,
    RegionCache,
    answer_prompts,
    embed_view,
    view_bounds,
)
from napari_sam_mil.analysis.run import analyse
from napari_sam_mil.analysis.segment_edits import (
    add_segment,
    delete_segments,
    merge_segments,
    names_of,
    rename_segment,
    resample,
)
from napari_sam_mil.analysis.source import SlideSource
from sam_mil_engine.errors import SegmentError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.predictor import SamPrompter
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.reader import open_slide
from small_sams import build_small_sam

MPP = (0.5, 0.5)


@pytest.fixture(scope="module")
def sam():
    return build_small_sam()


@pytest.fixture
def counted(sam, monkeypatch, in_this_process):
    """Prompting uses the small SAM; the list has one entry for every run of its image encoder."""
    calls = []
    forward = sam.image_encoder.neck.forward
    monkeypatch.setattr(sam.image_encoder.neck, "forward", lambda image: calls.append(1) or forward(image))
    monkeypatch.setattr(sam_calls, "prompter", lambda _name: SamPrompter(sam, name="small", version="1"))
    return calls


@pytest.fixture(scope="module")
def analysis(processed, run_folder):
    path, project = processed
    with open_slide(path) as slide:
        return analyse(SlideSource(slide), Choices(classifier=str(run_folder), project=project))


def point(x, y, kind="positive"):
    return Prompt(kind, ((x, y),))


def test_prompts_can_be_taken_back_and_given_again():
    history = PromptHistory()
    history.add(point(1, 1))
    history.add(Prompt("box", ((0, 0), (5, 5))))
    history.add(Prompt("box", ((0, 0), (9, 9))))
    assert [prompt.points_px0[-1] for prompt in history.prompts] == [(1, 1), (9, 9)], "one box at a time"
    history.undo()
    assert history.prompts[-1].points_px0[1] == (5, 5)
    history.redo()
    history.clear()
    assert history.prompts == ()
    history.undo()
    assert len(history.prompts) == 2
    history.add(point(2, 2))
    assert not history.can_redo


def test_the_view_is_embedded_once_and_kept_for_every_prompt_in_it(counted, tiny_slide):
    regions = RegionCache()
    with open_slide(tiny_slide) as slide:
        first = answer_prompts(slide, regions, (point(300, 250),), (100, 100, 500, 400), sam="small")
        assert first.masks.shape[0] == 3
        x, y = first.region.frame.from_px0((300, 250)).astype(int)
        assert first.masks[0][y, x]
        answer_prompts(
            slide, regions, (point(200, 150), point(400, 300, "negative")), (102, 99, 502, 399), sam="small"
        )
        assert len(counted) == 1, "a small pan needs no new embedding"
        answer_prompts(slide, regions, (point(50, 50),), (0, 0, 120, 120), sam="small")
        assert len(counted) == 2
        again = answer_prompts(slide, regions, (point(300, 250),), (100, 100, 500, 400), sam="small")
        assert len(counted) == 2, "the way back is free"
        np.testing.assert_array_equal(again.masks, first.masks)


def test_a_look_beforehand_leaves_the_first_answer_nothing_to_embed(counted, tiny_slide):
    regions, view = RegionCache(), (100, 100, 500, 400)
    with open_slide(tiny_slide) as slide:
        region = embed_view(slide, regions, view, sam="small")
        assert embed_view(slide, regions, view, sam="small") is region
        assert answer_prompts(slide, regions, (point(300, 250),), view, sam="small").region is region
        assert len(counted) == 1
        with pytest.raises(SegmentError, match="not in view"):
            embed_view(slide, regions, (-500, -500, -100, -100), sam="small")


def test_a_closer_look_is_embedded_anew_and_prompts_must_lie_in_view(counted, processed):
    regions = RegionCache()
    with open_slide(processed[0]) as slide:
        slide_view = (0, 0, *slide.info.size_px0)
        answer_prompts(slide, regions, (point(500, 400),), slide_view, sam="small")
        with pytest.raises(SegmentError, match="outside the view"):
            answer_prompts(slide, RegionCache(), (point(900, 700),), (0, 0, 64, 64), sam="small")
        with pytest.raises(SegmentError, match="not in view"):
            view_bounds((-500, -500, -100, -100), slide.info.size_px0)


def test_a_mask_comes_to_the_raster_of_the_segments_by_area():
    segments = Segments.empty(Frame((80, 40), (8, 8)), (30, 20))
    mask = np.zeros((64, 64), bool)
    mask[16:48, 24:56] = True
    full = resample(mask, Frame((80, 40), (2, 2)), segments)
    expected = np.zeros((20, 30), bool)
    expected[4:12, 6:14] = True
    np.testing.assert_array_equal(full, expected)
    with pytest.raises(SegmentError, match="smaller than a pixel"):
        resample(mask[16:18, 24:26], Frame((1000, 1000), (2, 2)), segments)


def test_adding_changes_groups_and_prediction_and_leaves_the_features(analysis):
    segments = analysis.processed.segments
    mask = np.zeros((segments.size_raster[1], segments.size_raster[0]), bool)
    mask[20:200, 20:200] = True
    after = add_segment(analysis, mask, segments.frame, score=0.75, mpp=MPP)
    assert len(after.processed.segments) == len(segments) + 1
    np.testing.assert_array_equal(after.processed.segments.mask(len(segments)), mask)
    before_bag, bag = analysis.processed.bag, after.processed.bag
    assert bag.features is before_bag.features
    members = bag.groups.patches(len(bag.groups) - 1)
    np.testing.assert_allclose(bag.group_features[-1], bag.features[members].mean(axis=0), rtol=1e-4)
    assert len(after.scores.groups.attention_mass) == len(bag.groups)
    assert not np.array_equal(after.scores.probabilities, analysis.scores.probabilities)
    back = delete_segments(after, [len(segments)], mpp=MPP)
    np.testing.assert_allclose(back.scores.probabilities, analysis.scores.probabilities, atol=1e-6)


def test_merging_unites_masks_and_keeps_a_name(analysis):
    named = rename_segment(analysis, 1, " gland ")
    assert names_of(named)[:2] == ("", "gland")
    segments = analysis.processed.segments
    after = merge_segments(named, [0, 1], mpp=MPP)
    assert len(after.processed.segments) == len(segments) - 1
    union = segments.mask(0) | segments.mask(1)
    np.testing.assert_array_equal(after.processed.segments.mask(len(segments) - 2), union)
    assert names_of(after)[-1] == "gland"
    with pytest.raises(SegmentError, match="two segments"):
        merge_segments(analysis, [3], mpp=MPP)
