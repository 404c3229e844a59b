"""Chosen segments: what the prediction is without them and of them alone, computed beside the window."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from by_hand import CTRL, chosen_segments, click_row, until

from napari_sam_mil.analysis.without_segments import (
    Predictions,
    describe_predictions,
    predict_groups,
    predict_without_segments,
    stored_predictions,
)
from napari_sam_mil.widgets.segments import prediction_without as widget
from sam_mil_engine.errors import BagError, Cancelled
from sam_mil_engine.prediction.slide import predict
from sam_mil_engine.progress import Progress
from sam_mil_engine.segment.membership import assign_groups
from sam_mil_engine.training.checkpoint import load_model


def prediction_of_tissue(analysis, stays):
    """Probability of tumour of a bag that is made of these patches and the segments again."""
    processed = analysis.processed
    bare = replace(processed.bag, groups=None, group_features=None)
    bare = replace(bare, coords_px0=bare.coords_px0[stays], features=bare.features[stays])
    groups = assign_groups(processed.segments, bare.coords_px0, processed.grid.size_px0, mpp=processed.info.mpp)
    return float(predict(load_model(analysis.model.path), bare.with_groups(groups)).probabilities[1])


def patches_of(analysis, numbers):
    groups = analysis.processed.bag.groups
    members = groups.matrix().toarray()[np.isin(groups.segment_of_group, numbers)]
    return members.any(axis=0)


def small_segments(analysis, count):
    """Numbers (from 0) of the segments with the fewest patches: some stay when they go."""
    groups = analysis.processed.bag.groups
    return groups.segment_of_group[np.argsort(groups.sizes, kind="stable")[:count]].tolist()


def choose_segments(dock, numbers):
    dock.table.clearSelection()
    for number in numbers:
        click_row(dock.table, dock.model.row_of(number), CTRL)
    assert sorted(chosen_segments(dock.table)) == sorted(number + 1 for number in numbers)


def test_several_rows_say_the_prediction_of_a_bag_made_without_them(groups):
    _, session, dock, _ = groups
    analysis, three = session.analysis, small_segments(session.analysis, 3)
    choose_segments(dock, three)
    assert dock.without.text().startswith("Without these three segments: probability of tumour …")
    until(lambda: "…" not in dock.without.text(), "the prediction without three segments")
    inside = patches_of(analysis, three)
    before = analysis.scores.probabilities[1]
    without, only = (prediction_of_tissue(analysis, stays) for stays in (~inside, inside))
    described = dock.without.text().splitlines()
    assert f"Without these three segments: probability of tumour {before:.3f} → {without:.3f}" in described[0]
    assert f"Only these three segments: {before:.3f} → {only:.3f}" in described[1]
    found = predict_without_segments(analysis, three)
    assert [found.without[1], found.only[1]] == pytest.approx([without, only], abs=1e-5)


def test_one_row_is_said_at_once_from_what_is_known(groups, monkeypatch):
    _, session, dock, _ = groups
    monkeypatch.setattr(widget, "predict_without_segments", None)
    (number,) = small_segments(session.analysis, 1)
    choose_segments(dock, [number])
    scores = session.analysis.scores
    place = list(session.analysis.processed.bag.groups.segment_of_group).index(number)
    without, only = scores.groups.probability_without[place, 1], scores.groups.probability_only[place, 1]
    described = dock.without.text().splitlines()
    before = scores.probabilities[1]
    assert f"Without segment {number + 1}: probability of tumour {before:.3f} → {without:.3f}" in described[0]
    assert f"Only segment {number + 1}: {before:.3f} → {only:.3f}" in described[1]
    assert session.table()["slide without"][number] == pytest.approx(without, abs=1e-4), "the table rounds"
    found = predict_without_segments(session.analysis, [number])
    np.testing.assert_allclose(found.without, scores.groups.probability_without[place], atol=1e-5)
    np.testing.assert_allclose(found.only, scores.groups.probability_only[place], atol=1e-5)


def test_a_newer_choice_stops_the_older_one(groups, monkeypatch):
    _, session, dock, _ = groups
    begun, stopped, here = [], [], threading.get_ident()

    def work(analysis, numbers, *, progress):
        begun.append(numbers)
        assert threading.get_ident() != here
        while len(numbers) < 3:  # the older choice never comes to an end by itself
            try:
                progress(Progress("segments", 0, 4))
            except Cancelled:
                stopped.append(numbers)
                raise
        return Predictions(np.array([0.9, 0.1], np.float32), np.array([0.2, 0.8], np.float32))

    monkeypatch.setattr(widget, "predict_without_segments", work)
    three = small_segments(session.analysis, 3)
    choose_segments(dock, three[:2])
    until(lambda: begun, "the older choice")
    click_row(dock.table, dock.model.row_of(three[2]), CTRL)
    until(lambda: "0.100" in dock.without.text(), "the newer choice")
    assert stopped == [sorted(three[:2])]
    choose_segments(dock, three[:2])
    until(lambda: len(begun) == 3, "a choice again")
    dock.table.clearSelection()
    until(lambda: len(stopped) == 2, "no choice stops it as well")
    assert dock.without.text() == ""


def test_segments_edited_in_the_window_and_a_bag_made_again(analysed):
    _, session = analysed
    analysis = session.analysis
    processed = analysis.processed
    groups, coords = processed.bag.groups, processed.bag.coords_px0
    chosen = [int(np.argmin(groups.sizes))]
    regrouped = assign_groups(processed.segments, coords, processed.grid.size_px0, rule="majority", mpp=None)
    changed = replace(analysis, processed=replace(processed, bag=processed.bag.with_groups(regrouped)))
    number = int(regrouped.segment_of_group[0])
    found = predict_without_segments(changed, [number])
    inside = regrouped.matrix().toarray()[0] > 0
    model = load_model(analysis.model.path)
    alone = replace(processed.bag, groups=None, group_features=None)
    alone = replace(alone, coords_px0=coords[inside], features=processed.bag.features[inside])
    again = assign_groups(processed.segments, alone.coords_px0, processed.grid.size_px0, rule="majority", mpp=None)
    expected = predict(model, alone.with_groups(again)).probabilities
    np.testing.assert_allclose(found.only, expected, atol=1e-5)
    with pytest.raises(BagError, match="its patches are others"):
        predict_groups(analysis.model.path, processed.bag_path, coords + 1, groups, chosen)


def test_words_for_what_has_no_patch_and_for_what_leaves_none(analysed):
    _, session = analysed
    analysis = session.analysis
    scores = analysis.scores
    none = np.full(2, np.nan, np.float32)
    all_of_it = Predictions(none, scores.probabilities)
    described = describe_predictions(analysis, [0, 1], all_of_it).splitlines()
    assert described[0] == "Without these two segments, no patch would be left."
    assert "by less than 0.001" in described[1]
    beyond = len(analysis.processed.segments)
    assert describe_predictions(analysis, [beyond], None).endswith("the prediction does not change without it.")
    assert describe_predictions(analysis, [beyond, beyond + 1], None).startswith(
        "These two segments have no patches"
    )
    assert stored_predictions(analysis, beyond) is None
    turned = replace(scores, probabilities=np.array([0.02, 0.98], np.float32), threshold=0.5)
    crossing = describe_predictions(
        replace(analysis, scores=turned), [0, 1], Predictions(np.array([0.98, 0.02]), None)
    )
    assert crossing == (
        "Without these two segments: probability of tumour 0.980 → 0.020 (−0.960), which crosses the threshold."
    )
