"""What a model knows: distances of slides from the training features, kept with the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import witness_bag
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.errors import BagError, ModelError
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.score_files import read_scores, save_scores
from sam_mil_engine.prediction.batch import settings_for
from sam_mil_engine.prediction.candidates import candidates_for
from sam_mil_engine.prediction.slide import best_fit, predict
from sam_mil_engine.settings import ModelSettings
from sam_mil_engine.training.checkpoint import TrainedModel, load_model, save_model
from sam_mil_engine.training.domain import FILE, FeatureDomain, load_domain, save_domain
from sam_mil_engine.training.expects import Expects


def cloud(seed: int, *, n: int = 400, dim: int = 12, shift: float = 0.0) -> np.ndarray:
    """Patches that spread widely in two directions and little in the others."""
    rng = np.random.default_rng(seed)
    spread = np.r_[5.0, 3.0, np.full(dim - 2, 0.5)]
    return (rng.standard_normal((n, dim)) * spread + shift * np.eye(dim)[-1]).astype(np.float32)


@pytest.fixture(scope="module")
def domain() -> FeatureDomain:
    fitted = FeatureDomain.fit((cloud(seed) for seed in range(6)), components=2)
    return fitted.with_limit(cloud(seed) for seed in range(10, 18))


def test_it_is_mahalanobis_distance(domain: FeatureDomain) -> None:
    patches = cloud(30)
    covariance = domain.basis @ np.diag(domain.variances - domain.noise) @ domain.basis.T
    covariance += domain.noise * np.eye(12)
    centred = (patches - domain.mean).astype(np.float64)
    expected = np.sqrt(np.einsum("nd,de,ne->n", centred, np.linalg.inv(covariance), centred) / 12)
    np.testing.assert_allclose(domain.patch_distances(patches), expected, rtol=1e-4)
    # the model is the one that the patches were drawn from
    np.testing.assert_allclose(np.sort(domain.variances), [9, 25], rtol=0.2)
    assert domain.noise == pytest.approx(0.25, rel=0.1)
    assert (expected**2).mean() == pytest.approx(1, rel=0.1)


def test_like_slides_are_inside_and_others_outside(domain: FeatureDomain) -> None:
    assert all(domain.distance(cloud(seed)) < 1 for seed in range(40, 60))
    assert domain.distance(cloud(70, shift=4.0)) > 1
    # along a direction in which training patches spread widely, the same shift is nothing
    assert domain.distance(cloud(71) + 4 * np.eye(12, dtype=np.float32)[0]) < 1


def test_a_few_odd_patches_do_not_move_a_slide(domain: FeatureDomain) -> None:
    patches = cloud(80)
    patches[:80] += 1000
    assert domain.distance(patches) < 1.2


def test_the_limit_comes_from_the_validation_slides_alone() -> None:
    fitted = FeatureDomain.fit([cloud(0)], components=2)
    slides = [cloud(seed, shift=shift) for seed, shift in ((1, 0.0), (2, 0.0), (3, 2.0))]
    found = sorted(float(np.median(fitted.patch_distances(slide))) for slide in slides)
    limited = fitted.with_limit(slides)
    assert limited.limit == pytest.approx(found[1] + 1.5 * (found[2] - found[1]))
    assert max(limited.distance(slide) for slide in slides) < 1


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 9), st.sampled_from([np.float16, np.float32]))
@settings(max_examples=40)
def test_any_training_gives_finite_distances(seed: int, n: int, dim: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    patches = [rng.standard_normal((n, dim)).astype(dtype), np.ones((1, dim), dtype=dtype)]
    fitted = FeatureDomain.fit(patches).with_limit(patches)
    assert np.isfinite(fitted.patch_distances(patches[0])).all()
    # neither the order of slides nor that of patches counts
    turned = FeatureDomain.fit([patches[1], patches[0][::-1]])
    np.testing.assert_allclose(
        turned.patch_distances(patches[0]), fitted.patch_distances(patches[0]), rtol=1e-3, atol=1e-3
    )


def test_no_slide_is_an_error() -> None:
    with pytest.raises(BagError, match="no slide to learn the domain from"):
        FeatureDomain.fit([])


def test_files(domain: FeatureDomain, tmp_path: Path) -> None:
    sha256 = save_domain(tmp_path, domain)
    again = load_domain(tmp_path, sha256=sha256, dim=12)
    patches = cloud(90)
    np.testing.assert_allclose(again.patch_distances(patches), domain.patch_distances(patches), rtol=5e-3)
    assert again.limit == pytest.approx(domain.limit)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-1])
    with pytest.raises(ModelError, match="sha256 differs"):
        load_domain(tmp_path, sha256=sha256, dim=12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"limit": 0.0}, "not positive"),
        ({"noise": -1.0}, "not positive"),
        ({"variances": np.zeros(2, np.float32)}, "not positive"),
        ({"limit": float("nan")}, "not finite"),
        ({"mean": np.full(12, np.inf, np.float32)}, "not finite"),
        ({"mean": np.zeros(11, np.float32)}, "12 features"),
        ({"basis": np.ones((12, 3), np.float32)}, "12 features"),
    ],
)
def test_a_domain_whose_numbers_make_no_sense_is_refused(
    domain: FeatureDomain, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    sha256 = save_domain(tmp_path, replace(domain, **change))
    with pytest.raises(ModelError, match=words):
        load_domain(tmp_path, sha256=sha256, dim=12)


def test_slides_of_one_single_feature_vector_have_a_distance() -> None:
    same = np.ones((5, 4), np.float32)
    fitted = FeatureDomain.fit([same]).with_limit([same])
    assert fitted.distance(same) == 0
    assert fitted.distance(same + 1) > 1


def trained(name: str, domain: FeatureDomain | None) -> TrainedModel:
    settings = ModelSettings(name="sam-mil", hidden=16, attention=8)
    return TrainedModel(
        model=build_aggregator(settings, dim=8, n_classes=2).eval(),
        classes=("normal", "tumour"),
        threshold=0.5,
        expects=Expects(8, encoder="fake", patch_size=512, mpp=0.5, segmenter="regions"),
        name=name,
        domain=domain,
    )


def test_a_prediction_says_how_far_and_warns(tmp_path: Path) -> None:
    known = [witness_bag(f"s{seed}", False, seed=seed) for seed in range(8)]
    domain = FeatureDomain.fit(bag.features for bag in known[:4]).with_limit(bag.features for bag in known[4:])
    model = trained("here", domain)
    save_model(tmp_path / "model", model)
    model = load_model(tmp_path / "model", device="cpu")
    inside = predict(model, witness_bag("in", False, seed=20))
    assert inside.domain_distance is not None
    assert inside.domain_distance < 1.1
    far = witness_bag("far", False, seed=21)
    far = replace(far, features=far.features + 20)
    outside = predict(model, far)
    assert outside.warning is not None
    assert f"{outside.domain_distance:.1f} times as far" in outside.warning
    assert read_scores(save_scores(outside, tmp_path)).warning == outside.warning
    assert predict(trained("none", None), far).domain_distance is None

    elsewhere = trained("elsewhere", replace(domain, mean=domain.mean + 20))
    assert best_fit([model, elsewhere], far).name == "elsewhere"
    assert best_fit([elsewhere, model], witness_bag("in", False, seed=20)).name == "here"
    # hardly farther is as near: the first wins
    slightly = trained("slightly", replace(domain, limit=domain.limit * 0.95))
    assert best_fit([slightly, model], far).name == "slightly"
    assert best_fit([trained("first", None), trained("second", None)], far).name == "first"


def test_of_models_that_expect_other_patches_only_those_are_asked_that_fit() -> None:
    bag = witness_bag("in", False, seed=20)
    domain = FeatureDomain.fit([bag.features]).with_limit([bag.features])
    small = trained("small", replace(domain, limit=domain.limit * 100))
    small = replace(small, expects=replace(small.expects, patch_size=96, mpp=1.0))
    usual = trained("usual", domain)
    assert best_fit([small, usual], bag).name == "usual"
    with pytest.raises(ModelError, match="expects patch size 96, the bag has 512"):
        best_fit([small], bag)


def test_a_slide_is_not_read_where_all_models_expect_the_same_patches(tmp_path: Path) -> None:
    models = [trained("one", None), trained("two", None)]
    assert candidates_for(models, tmp_path / "missing.tiff", settings_for) == models


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("mpp", 0.54, True),
        ("mpp", 0.6, False),
        ("patch_size", 256, False),
        ("dim", 9, False),
        ("encoder", None, True),
    ],
)
def test_which_models_can_share_a_bag(field: str, value: object, same: bool) -> None:
    expects = trained("here", None).expects
    assert expects.same_patches(replace(expects, **{field: value})) is same
