"""What holds for the predictions of every model alike: a group less, a file in between, and what is not defined."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from every_model import (
    CLASS_ATTENTION,
    DIM,
    MODELS,
    NO_ATTENTION,
    NO_EVIDENCE,
    MakeBag,
    build,
    made_again,
    nested_bag,
    some_bags,
    trained,
)

from sam_mil_engine.mil import counterfactual, pooling_of_parts
from sam_mil_engine.mil.aggregator import Aggregator, BagTensors
from sam_mil_engine.mil.counterfactual import logits_of_groups, logits_of_parts, logits_without_groups
from sam_mil_engine.mil.patch_scores import patch_scores
from sam_mil_engine.prediction.slide import predict
from sam_mil_engine.training.checkpoint import TrainedModel, load_model, save_model
from sam_mil_engine.training.expects import Expects

pytestmark = pytest.mark.usefixtures("one_thread")


def as_trained(model: Aggregator, classes: tuple[str, ...]) -> TrainedModel:
    return TrainedModel(model, classes, 0.5, Expects(DIM, encoder="fake"), name="m")


@pytest.mark.parametrize("block", [2_000_000, 300], ids=["one block", "blocks"])
@pytest.mark.parametrize("name", MODELS)
def test_a_part_of_the_bag_is_predicted_as_a_bag_made_of_it(
    name: str, block: int, make_bag: MakeBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without each group, each alone, without several: as the model on a bag made of features and segments."""
    monkeypatch.setattr(counterfactual, "_BLOCK", block)
    monkeypatch.setattr(pooling_of_parts, "_BLOCK", block)
    bag, model = nested_bag(make_bag), build(name, 3)
    tensors, members = BagTensors.of(bag), bag.groups.matrix().toarray() > 0
    sets, n = [[0, 2], [1], [], [2, 1, 2]], len(bag)
    with torch.no_grad():
        output = model(tensors)
        found = {
            "without": logits_without_groups(model, tensors, output),
            "only": logits_of_groups(model, tensors, output),
            "without several": logits_of_parts(model, tensors, output, sets),
            "several alone": logits_of_parts(model, tensors, output, sets, only=True),
        }
        unions = np.array([members[group].any(axis=0) if group else np.zeros(n, bool) for group in sets])
        parts = {"without": ~members, "only": members, "without several": ~unions, "several alone": unions}
        for what, stays in parts.items():
            for row, patches in zip(found[what], stays, strict=True):
                if not patches.any():
                    assert row.isnan().all()
                    continue
                expected = model(BagTensors.of(made_again(bag, patches))).logits
                torch.testing.assert_close(row, expected, atol=1e-5, rtol=0, msg=what)


def test_memberships_are_sorted_once_for_any_number_of_blocks(
    make_bag: MakeBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, model = BagTensors.of(nested_bag(make_bag)), build("sam-mil", 3)
    argsort, sorted_sizes = torch.argsort, []

    def counted(values: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
        sorted_sizes.append(len(values))
        return argsort(values, *arguments, **options)

    monkeypatch.setattr(torch, "argsort", counted)
    counts = []
    for block in (2_000_000, 1):
        monkeypatch.setattr(counterfactual, "_BLOCK", block)
        with torch.no_grad():
            logits_without_groups(model, tensors, model(tensors))
        counts.append(len(sorted_sizes))
        sorted_sizes.clear()
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("only", [False, True])
def test_a_part_that_is_nearly_nothing_is_summed_up_again(make_bag: MakeBag, only: bool) -> None:
    """Where the attention of all but a few patches goes, the difference of two sums would say nothing."""
    tensors, model = BagTensors.of(nested_bag(make_bag)), build("sam-mil", 3)
    with torch.no_grad():
        output = model(tensors)
        scores = output.scores.clone()
        scores[0] = scores.max() + 60
        pooling = pooling_of_parts.PoolingOfParts(model, tensors, scores, output.values)
        stays = torch.ones((2, len(tensors)), dtype=torch.bool)
        stays[:, 0] = False
        stays[1, 1:4] = False
        found = pooling.pooled(stays, only=only)
        exact = pooling._densely(stays, pooling._changed(stays, *torch.nonzero(~stays, as_tuple=True), only=False))
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-5)


def test_mean_features_are_those_of_the_patches_that_stay(make_bag: MakeBag) -> None:
    bag = nested_bag(make_bag)
    stays = np.random.default_rng(0).random((3, len(bag))) < [[0.2], [0.6], [0.9]]
    members = bag.groups.matrix().toarray() > 0
    row, group = np.nonzero((stays @ members.T) > 0)
    tensors = BagTensors.of(bag)
    shuffled = torch.randperm(len(tensors.member_group))
    tensors = replace(
        tensors, member_group=tensors.member_group[shuffled], member_patch=tensors.member_patch[shuffled]
    )
    found = tensors.group_means().of(*map(torch.from_numpy, (stays, row, group)))
    expected = [bag.features[stays[r] & members[k]].mean(axis=0) for r, k in zip(row, group, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("classes", [("normal", "tumour"), ("a", "b", "c")])
def test_a_saved_model_predicts_the_same(
    name: str, classes: tuple[str, ...], make_bag: MakeBag, tmp_path: Path
) -> None:
    model = trained(name, len(classes), some_bags(make_bag))
    assert model.stage == model.stages[-1]
    saved = as_trained(model, classes)
    save_model(tmp_path, saved)
    loaded = load_model(tmp_path, device="cpu")
    assert loaded.settings == saved.settings
    assert loaded.model.stage == model.stage
    bag = make_bag(50, 4, dim=DIM)
    ours, theirs = predict(saved, bag), predict(loaded, bag)
    for field in fields(ours):
        value = getattr(ours, field.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(theirs, field.name), value, err_msg=field.name)
    np.testing.assert_array_equal(theirs.groups.probability_without, ours.groups.probability_without)
    assert theirs.attrs["notes"] == ours.attrs["notes"]


@pytest.mark.parametrize("name", MODELS)
def test_a_result_says_what_it_cannot(name: str, make_bag: MakeBag) -> None:
    classes = ("normal", "tumour")
    model = build(name)
    scores = predict(as_trained(model, classes), make_bag(50, 4, dim=DIM))
    notes, plain = " ".join(scores.attrs["notes"]), model.settings.name
    assert (f"{plain} defines no evidence" in notes) == (scores.evidence is None) == (name in NO_EVIDENCE)
    assert (f"{plain} defines no attention" in notes) == (scores.attention is None) == (name in NO_ATTENTION)
    winner = classes[int(scores.logits.argmax())]
    assert (f"attention is that of the class {winner}" in notes) == (name in CLASS_ATTENTION)
    assert scores.attrs["patch_probability"] == "instance"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_model_gives_scores_that_rank_patches(name: str, n_classes: int, make_bag: MakeBag) -> None:
    """The odds of not being negative, and the attention in front of the softmax where it is one for all classes."""
    bag, model = BagTensors.of(make_bag(50, 4, dim=DIM)), build(name, n_classes)
    with torch.no_grad():
        output = model(bag)
        found = patch_scores(model, output, 50, negative=1)
        p = torch.softmax(model.patch_logits(output, 50), dim=1)[:, 1]
    torch.testing.assert_close(found[:, 0], torch.log((1 - p) / p), atol=1e-4, rtol=1e-4)
    softmax_pooling = model.activation_parts(output) is not None and output.attention is not None
    assert found.shape == (50, 2 if softmax_pooling else 1)
    if softmax_pooling and output.scores is not None:
        order = torch.argsort(output.attention[:50])
        assert (found[order, 1].diff() >= 0).all()
