from __future__ import annotations

import numpy as np
import pytest
from segment_anything import SamPredictor

from sam_mil_engine.errors import SegmentError
from sam_mil_engine.segment.predictor import SamPrompter


@pytest.fixture
def prompter(small_sam, tissue_image):
    one = SamPrompter(small_sam)
    one.set_image(tissue_image.rgb)
    return one


def test_a_click_gives_three_masks_best_first(prompter):
    masks, scores = prompter.predict([(90, 60)])
    assert masks.shape == (3, 120, 160)
    assert masks.dtype == bool
    assert masks[:, 60, 90].all()
    assert (np.diff(scores) <= 0).all()


def test_the_answer_is_that_of_metas_predictor(prompter, small_sam, tissue_image):
    predictor = SamPredictor(small_sam)
    predictor.set_image(tissue_image.rgb)
    points, labels = np.array([[90.0, 60.0], [30.0, 30.0]]), np.array([1, 0])
    expected, expected_scores, _ = predictor.predict(points, labels, multimask_output=False)
    masks, scores = prompter.predict(points, labels)
    np.testing.assert_array_equal(masks, expected)
    np.testing.assert_allclose(scores, expected_scores)


def test_a_box_gives_one_mask(prompter):
    masks, scores = prompter.predict(box_raster=(40, 30, 100, 80))
    assert masks.shape == (1, 120, 160)
    assert scores.shape == (1,)


def test_the_embedding_is_computed_once(prompter, small_sam, tissue_image, monkeypatch):
    calls = []
    original = small_sam.image_encoder.neck.forward
    monkeypatch.setattr(small_sam.image_encoder.neck, "forward", lambda x: calls.append(1) or original(x))
    prompter.set_image(tissue_image.rgb)
    prompter.predict([(90, 60)])
    prompter.predict([(20, 20)])
    assert len(calls) == 1


def test_an_embedding_is_kept_and_taken_up_again(prompter, small_sam, tissue_image, monkeypatch):
    first = prompter.embed(tissue_image.rgb)
    expected, _ = prompter.predict([(90, 60)])
    prompter.embed(tissue_image.rgb[:60])
    monkeypatch.setattr(small_sam.image_encoder.neck, "forward", None)
    prompter.use(first)
    masks, _ = prompter.predict([(90, 60)])
    np.testing.assert_array_equal(masks, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither a point nor a box"),
        ({"points_raster": [1, 2, 3]}, "points have shape"),
        ({"points_raster": [(1, np.nan)]}, "finite"),
        ({"points_raster": [(1, 2)], "labels": [1, 0]}, "labels"),
        ({"points_raster": [(1, 2)], "labels": [2]}, "labels"),
        ({"box_raster": [1, 2, 3]}, "box"),
    ],
)
def test_bad_prompts(prompter, arguments, message):
    with pytest.raises(SegmentError, match=message):
        prompter.predict(**arguments)


def test_prompting_needs_an_image(small_sam):
    with pytest.raises(SegmentError, match="no image"):
        SamPrompter(small_sam).predict([(1, 1)])


def test_a_grey_image_is_refused(small_sam):
    with pytest.raises(SegmentError, match="RGB"):
        SamPrompter(small_sam).set_image(np.zeros((10, 10), dtype=np.uint8))
