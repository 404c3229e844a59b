"""The script that made the bundled colon classifier, run in small; and the models that ship."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import tifffile

from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.bag import h5
from sam_mil_engine.models.registry import available
from sam_mil_engine.prediction.batch import settings_for
from sam_mil_engine.prediction.candidates import candidates_for
from sam_mil_engine.prediction.slide import best_fit, predict
from sam_mil_engine.training.checkpoint import load_candidates, load_model
from sam_mil_engine.training.model_folders import AUTO, bundled_models
from warm_commands import run_script

SCRIPT = Path(__file__).parents[3] / "training" / "colon_classifier" / "train.py"


@pytest.fixture(scope="module")
def made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("colon")
    run_script(SCRIPT, work, "--data", shared_data, "--short")
    return work


def test_slides_share_no_photograph_between_parts(made: Path) -> None:
    groups: dict[str, set[str]] = {}
    for path in sorted((made / "slides").glob("*.tiff")):
        with tifffile.TiffFile(path) as tiff:
            says = json.loads(tiff.pages[0].tags["ImageDescription"].value)
        used = {group for names in says["groups"].values() for group in names}
        assert len(used) >= 3
        groups.setdefault(path.stem.split("-")[1], set()).update(used)
    assert set(groups) == {"train", "val", "test"}
    assert not groups["train"] & groups["val"]
    assert not groups["train"] & groups["test"]
    assert not groups["val"] & groups["test"]


def test_tumour_outlines_are_as_large_as_the_table_says(made: Path) -> None:
    labels = pd.read_csv(made / "labels.csv")
    assert sorted(labels["label"].unique()) == ["normal", "tumour"]
    for row in labels.to_dict("records"):
        outlines = made / "annotations" / f"{row['slide_id']}.geojson"
        assert outlines.exists() == (row["label"] == "tumour")
        tissue = h5.read_tissue(made / "project" / "bags" / f"{row['slide_id']}.h5")
        if row["label"] == "tumour":
            area = sum(annotation.polygon.area for annotation in read_annotations(outlines))
            # the engine finds the tissue that was laid out
            assert area / tissue.area_px0.sum() == pytest.approx(row["tumour_share"], rel=0.25)


def test_the_loss_falls_and_the_model_loads(made: Path) -> None:
    history = pd.read_csv(made / "runs" / "sam-mil-5" / "history.csv")
    assert len(history) == 10
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    model = load_model(made / "model", device="cpu")
    assert model.classes == ("normal", "tumour")
    assert (model.expects.patch_size, model.expects.encoder) == (224, "efficientnet-lite0")
    scores = predict(model, h5.read_bag(made / "project" / "bags" / "colon-test-000.h5"))
    assert scores.domain_distance is not None


def test_bundled_classifiers_fit_one_another_and_know_composed_colon(made: Path) -> None:
    models = load_candidates(AUTO, device="cpu")
    assert [model.name for model in models] == ["colon", "demo", "lymph-node"]
    assert models[0].expects.patch_size == models[1].expects.patch_size
    assert models[0].expects.mpp == pytest.approx(models[1].expects.mpp, rel=0.03)
    bag = h5.read_bag(made / "project" / "bags" / "colon-train-000.h5")
    assert best_fit(models, bag).name == "colon"
    slide = made / "slides" / "colon-train-000.tiff"
    assert "colon" in [model.name for model in candidates_for(models, slide, settings_for, device="cpu")]
    for name, folder in bundled_models().items():
        assert (folder / "model.safetensors").stat().st_size < 3_000_000
        card = (folder / "card.md").read_text()
        assert "not for diagnosis" in card.lower()
        assert all(word in card for word in ("licence", "interval", "validation")), name
    assert {item.name for item in available("classifier")} == {"colon", "demo", "lymph-node"}


def test_a_generated_slide_is_the_demonstration_models(shared_data: Path, tmp_path: Path) -> None:
    from sam_mil_engine.prediction.batch import predict_paths
    from sam_mil_engine.synthetic import make_slide

    make_slide(tmp_path / "generated.tiff", seed=3, tumour=True, size_px0=(1200, 900))
    skin = shared_data / "slides" / "aperio" / "CMU-1-Small-Region.svs"
    models = load_candidates(AUTO, device="cpu")
    generated, outside = predict_paths(models, [tmp_path / "generated.tiff", skin], tmp_path / "out", device="cpu")
    assert generated.row()["model"] == "demo"
    # a corner of a slide, so that it lies at the limit itself
    assert generated.row()["domain_distance"] < 1.2
    assert outside.row()["model"] in {"colon", "lymph-node"}, "of those that do not know it, one of real tissue"
    assert outside.row()["outside"] is True
    assert outside.row()["domain_distance"] > 1.2
