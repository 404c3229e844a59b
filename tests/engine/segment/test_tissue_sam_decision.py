"""New weights of ``tissue-sam`` ship only if they answer every kind of prompt better, and the text says so."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pandas as pd
import pytest

from training_scripts import training_scripts

KINDS = ("one point, best of three", "one point, its own choice", "three clicks", "box")
SETS = ("GlaS", "EBHI-Seg, held-out patients")


@pytest.fixture(scope="module")
def decision() -> Iterator[ModuleType]:
    with training_scripts("tissue_sam", "decision") as (module,):
        yield module


def figures(decision: ModuleType, new: tuple[float, float, float, float]) -> pd.DataFrame:
    """One thing of each set; the weights that ship reach 0.5 at everything."""
    rows = [
        (name, rival, kind, value)
        for name in SETS
        for rival, values in (("tissue-sam", [0.5] * 4), (decision.NEW, new))
        for kind, value in zip(KINDS, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["set", "rival", "kind", "iou"])


def test_weights_that_answer_everything_better_ship(decision: ModuleType) -> None:
    better = figures(decision, (0.4, 0.51, 0.51, 0.6))  # the best of three does not count
    assert decision.answers_better(better)
    assert "It ships: in the package it is `tissue-sam`" in decision.decision_text(better)


def test_one_kind_that_is_not_better_keeps_the_old_weights(decision: ModuleType) -> None:
    mixed = figures(decision, (0.9, 0.9, 0.5, 0.9))
    assert not decision.answers_better(mixed)
    text = decision.decision_text(mixed)
    assert "three clicks 0.500 against 0.500" in text
    assert text.rstrip().endswith("It does not ship.")


def test_a_set_where_they_are_worse_is_weighed_with_the_other(decision: ModuleType) -> None:
    found = figures(decision, (0.6, 0.6, 0.6, 0.6))
    new_boxes = (found["rival"] == decision.NEW) & (found["kind"] == "box")
    found.loc[new_boxes & (found["set"] == SETS[0]), "iou"] = 0.3
    assert not decision.answers_better(found), "0.3 and 0.6 are 0.45 on the mean"
    found.loc[new_boxes & (found["set"] == SETS[1]), "iou"] = 0.8
    assert decision.answers_better(found)


def test_without_new_weights_nothing_is_decided(decision: ModuleType) -> None:
    old = figures(decision, (0, 0, 0, 0))
    assert decision.decision_text(old[old["rival"] == "tissue-sam"]) == ""
    assert decision.decision_text(pd.DataFrame()) == ""


@pytest.mark.parametrize(
    ("most", "chosen"),
    [(50.0, (0.3, 0.4)), (20.0, (0.2, 0.4))],
    ids=["enough masks first", "where none leaves enough, those that leave most"],
)
def test_thresholds_that_leave_a_few_good_masks_are_not_taken(most: float, chosen: tuple[float, float]) -> None:
    with training_scripts("tissue_sam", "calibrate") as (calibrate,):
        rows = {(0.2, 0.4): (0.58, 0.33, most), (0.3, 0.4): (0.55, 0.40, 0.8 * most), (0.2, 0.8): (0.34, 0.79, 6.0)}
        table = pd.DataFrame.from_dict(
            rows, orient="index", columns=["best IoU of things", "best IoU of masks", "masks"]
        )
        table.index = pd.MultiIndex.from_tuples(table.index)
        assert calibrate.best_pair(table) == chosen
