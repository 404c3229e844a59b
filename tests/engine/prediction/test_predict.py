"""A model and a bag -> scores: what adds up, what is refused, what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.errors import BagError, DataError, ModelError
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.scores import SlideScores
from sam_mil_engine.prediction.slide import predict, predict_only, predict_without, read_scores, save_scores
from sam_mil_engine.settings import ModelSettings
from sam_mil_engine.training.checkpoint import TrainedModel
from sam_mil_engine.training.expects import Expects

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
NAMES = ["sam-mil", "abmil", "abmil+groups", "mean", "max"]
FITS = Expects(12, encoder="fake", patch_size=512, mpp=0.5)


def trained(
    name: str = "sam-mil", *, classes: tuple[str, ...] = ("normal", "tumour"), **expects: object
) -> TrainedModel:
    torch.manual_seed(4)
    settings = ModelSettings(name=name, hidden=32, attention=16)
    model = build_aggregator(settings, dim=12, n_classes=len(classes)).eval()
    torch.nn.init.normal_(model.head.bias)
    return TrainedModel(model, classes, 0.3, replace(FITS, **expects), name=name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [("normal", "tumour"), ("a", "b", "c")])
def test_scores_add_up(name: str, classes: tuple[str, ...], make_bag: MakeBag) -> None:
    bag = make_bag(150, 6)
    scores = predict(trained(name, classes=classes), bag)
    assert scores.slide_id == bag.slide_id
    np.testing.assert_allclose(scores.probabilities.sum(), 1, atol=1e-6)
    np.testing.assert_allclose(scores.patch_probability.sum(axis=1), 1, atol=1e-5)
    total = scores.evidence.sum(0) + scores.groups.token_evidence.sum(0) + scores.bias
    np.testing.assert_allclose(total, scores.logits, atol=1e-5)
    with_tokens = name in {"sam-mil", "abmil+groups"}
    if name in {"mean", "max"}:
        assert scores.attention is None
    else:
        np.testing.assert_allclose(scores.attention.sum() + scores.groups.token_attention.sum(), 1, atol=1e-5)
        assert (scores.groups.token_attention > 0).all() == with_tokens
    for values in (scores.probabilities, scores.patch_probability, scores.evidence, scores.groups.evidence):
        assert values.dtype == np.float32


@pytest.mark.parametrize("name", NAMES)
def test_groups_by_loops(name: str, make_bag: MakeBag) -> None:
    bag, model = make_bag(80, 5), trained(name)
    scores = predict(model, bag)
    for k in range(5):
        members = bag.groups.patches(k)
        mass = 0 if scores.attention is None else scores.attention[members].sum()
        found = scores.groups
        assert found.attention_mass[k] == pytest.approx(mass + found.token_attention[k], abs=1e-6)
        expected = scores.evidence[members].sum(0) + found.token_evidence[k]
        np.testing.assert_allclose(found.evidence[k], expected, atol=1e-5)
        np.testing.assert_allclose(found.mean_probability[k], scores.patch_probability[members].mean(0), atol=1e-5)
        with torch.no_grad():
            stays = torch.ones(len(bag), dtype=torch.bool)
            stays[torch.from_numpy(members)] = False
            rest = model.model(BagTensors.of(bag).keeping(stays)).logits
            alone = model.model(BagTensors.of(bag).keeping(~stays)).logits
        np.testing.assert_allclose(predict_without(model, bag, [k]), torch.softmax(rest, 0).numpy(), atol=1e-5)
        np.testing.assert_allclose(predict_only(model, bag, [k]), torch.softmax(alone, 0).numpy(), atol=1e-5)
        np.testing.assert_allclose(found.probability_only[k], torch.softmax(alone, 0).numpy(), atol=1e-5)
        np.testing.assert_allclose(found.probability_without[k], torch.softmax(rest, 0).numpy(), atol=1e-5)


def test_a_bag_without_groups(make_bag: MakeBag) -> None:
    scores = predict(trained("sam-mil"), make_bag(40, 0))
    assert scores.groups is None
    assert any("no groups" in note for note in scores.attrs["notes"])
    assert not predict(trained("abmil"), make_bag(40, 0)).attrs["notes"]
    with_groups = make_bag(40, 3)
    plain = predict(trained("sam-mil"), replace(with_groups, groups=None, group_features=None))
    assert not np.allclose(plain.logits, predict(trained("sam-mil"), with_groups).logits)


def test_one_patch_one_group(make_bag: MakeBag) -> None:
    scores = predict(trained(), make_bag(1, 1, unsegmented=0.0))
    assert np.isfinite(scores.probabilities).all()
    assert np.isnan(scores.groups.probability_without).all()


@pytest.mark.parametrize(
    ("expects", "says"),
    [
        ({"encoder": "resnet50"}, "expects encoder resnet50, the bag has fake"),
        ({"patch_size": 256}, "expects patch size 256, the bag has 512"),
        ({"dim": 13}, "expects feature width 13, the bag has 12"),
        ({"mpp": 0.25}, "expects mpp 0.25, the bag has 0.5"),
        ({"mpp": 0.4}, "expects mpp 0.4, the bag has 0.5"),
    ],
)
def test_a_bag_of_another_kind_is_refused_with_both_named(
    expects: dict[str, object], says: str, make_bag: MakeBag
) -> None:
    with pytest.raises(ModelError, match=says):
        predict(trained(**expects), make_bag(10, 2))


def test_what_is_not_known_is_noted(make_bag: MakeBag) -> None:
    bag = make_bag(10, 2)
    assert predict(trained(mpp=0.47), bag).attrs["notes"] == ()
    unknown = replace(bag, attrs={name: value for name, value in bag.attrs.items() if name != "tile_mpp"})
    (note,) = predict(trained(), unknown).attrs["notes"]
    assert note == "mpp not compared: model 0.5, bag unknown"
    bare = predict(trained(), replace(bag, attrs={})).attrs["notes"]
    assert len(bare) == 3
    (note,) = predict(trained(segmenter="vit_b"), bag).attrs["notes"]
    assert "segments from vit_b" in note


def test_a_damaged_bag_is_refused(make_bag: MakeBag) -> None:
    bag = make_bag(10, 2)
    bag.features[4, 0] = np.nan
    with pytest.raises(BagError, match="row 4"):
        predict(trained(), bag)


def test_half_precision_features(make_bag: MakeBag) -> None:
    bag = make_bag(30, 3)
    half = replace(
        bag, features=bag.features.astype(np.float16), group_features=bag.group_features.astype(np.float16)
    )
    np.testing.assert_allclose(predict(trained(), half).logits, predict(trained(), bag).logits, atol=0.01)


@pytest.mark.parametrize("name", ["sam-mil", "max"])
@pytest.mark.parametrize("n_groups", [0, 4])
def test_files_go_there_and_back(name: str, n_groups: int, make_bag: MakeBag, tmp_path: Path) -> None:
    scores = predict(trained(name, classes=("a", "b, c", "d")), make_bag(25, n_groups))
    file = save_scores(scores, tmp_path)
    assert file == tmp_path / f"{scores.slide_id}.json"
    assert_equal(read_scores(file), scores)
    assert json.loads(file.read_text())["predicted"] == scores.predicted


def assert_equal(found: SlideScores, expected: SlideScores) -> None:
    for field in fields(SlideScores):
        ours, theirs = getattr(found, field.name), getattr(expected, field.name)
        if field.name == "groups" and theirs is not None:
            for part in fields(theirs):
                np.testing.assert_array_equal(getattr(ours, part.name), getattr(theirs, part.name))
        elif field.name == "attrs":
            assert json.dumps(dict(ours)) == json.dumps(dict(theirs))
        elif isinstance(theirs, np.ndarray):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
        else:
            assert ours == theirs


@pytest.mark.parametrize("name", ["../outside", "a/b", "", "..", "a\\b"])
def test_a_slide_id_never_leaves_the_folder(name: str, make_bag: MakeBag, tmp_path: Path) -> None:
    scores = predict(trained(), replace(make_bag(5, 0), slide_id=name))
    with pytest.raises(DataError, match="is not a valid file name"):
        save_scores(scores, tmp_path / "out")
    assert not list(tmp_path.rglob("*.csv"))


def test_damaged_files(make_bag: MakeBag, tmp_path: Path) -> None:
    scores = predict(trained(), make_bag(5, 2))
    file = save_scores(scores, tmp_path)
    (tmp_path / f"{scores.slide_id}.groups.csv").unlink()
    with pytest.raises(DataError, match="not readable as scores"):
        read_scores(file)
    file.write_text("{")
    with pytest.raises(DataError, match="not readable as scores"):
        read_scores(file)
    with pytest.raises(DataError, match="not readable as scores"):
        read_scores(tmp_path / "none.json")


def test_the_threshold_decides_for_two_classes(make_bag: MakeBag) -> None:
    scores = predict(trained(), make_bag(20, 2))
    positive = float(scores.probabilities[1])
    assert replace(scores, threshold=positive + 0.01).predicted == "normal"
    assert replace(scores, threshold=positive - 0.01).predicted == "tumour"


def test_an_unknown_group_is_named(make_bag: MakeBag) -> None:
    with pytest.raises(BagError, match="there is no group 3, 7: the bag has 3 groups"):
        predict_without(trained(), make_bag(10, 3), [7, 0, 3])
    with pytest.raises(BagError, match="the bag has 0 groups"):
        predict_only(trained(), make_bag(10, 0), [0])


@pytest.mark.parametrize("name", ["abmil", "abmil+groups", "sam-mil"])
def test_the_mean_patch_has_relative_attention_one(name: str, make_bag: MakeBag) -> None:
    scores = predict(trained(name), make_bag(60, 5))
    assert scores.relative_attention.mean() == pytest.approx(1, abs=1e-5)
    expected = scores.attention / scores.attention.sum() * 60
    np.testing.assert_allclose(scores.relative_attention, expected, rtol=1e-5)
    nothing = replace(scores, attention=np.zeros_like(scores.attention))
    np.testing.assert_array_equal(nothing.relative_attention, 1)
