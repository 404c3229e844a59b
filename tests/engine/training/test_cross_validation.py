"""Several models on the same folds: what is written, resumed, compared, and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sam_mil_engine as sme
from sam_mil_engine.errors import Cancelled, DataError, ProjectError, SettingsError
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import ModelSettings, TrainSettings
from sam_mil_engine.training.bootstrap import interval, resample, resample_metrics
from sam_mil_engine.training.comparison import COLUMNS, compare_runs
from sam_mil_engine.training.cross_validation import cross_validate
from sam_mil_engine.training.labels import read_labels
from sam_mil_engine.training.metrics import compute_metrics
from sam_mil_engine.training.patient_bags import with_patients
from sam_mil_engine.training.run_files import find_runs, read_run
from sam_mil_engine.training.split_files import read_splits
from sam_mil_engine.training.summary import scored_of
from warm_commands import run_until_there

pytestmark = pytest.mark.usefixtures("one_thread")
Cohort = tuple[Path, Path]
FILES = ("predictions.csv", "history.csv", "metrics.json", "splits.csv", "fold-0-1/model.safetensors")
MODELS = ("sam-mil", "abmil+groups")


def quick(**options: object) -> TrainSettings:
    model = ModelSettings(hidden=16, attention=8)
    values = {"epochs": 3, "learning_rate": 5e-3, "device": "cpu", **options}
    return TrainSettings.parse({"model": model, **values})


@pytest.fixture(scope="module")
def runs(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cv") / "runs"
    cross_validate(*cohort, folder, models=MODELS, settings=quick(), folds=2, repeats=2)
    return folder


def test_every_model_has_a_run_on_the_same_splits(runs: Path, cohort: Cohort) -> None:
    assert sorted(path.name for path in runs.iterdir()) == ["abmil+groups", "comparison.csv", "sam-mil"]
    first, second = (read_splits(runs / name / "splits.csv") for name in MODELS)
    assert first == second
    assert [(split.repeat, split.fold) for split in first] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    run = read_run(runs / "abmil+groups")
    assert sorted(path.name for path in (runs / "abmil+groups" / "fold-1-0").iterdir()) == [
        "domain.safetensors",
        "model.json",
        "model.safetensors",
    ]
    labels = read_labels(cohort[1])
    for repeat in (0, 1):
        rows = run.predictions[run.predictions["repeat"] == repeat]
        assert sorted(rows["slide_id"]) == sorted(labels["slide_id"]), "each slide is tested once a repeat"
    assert len(run.history) == 4 * 3
    settings = json.loads((runs / "abmil+groups" / "settings.json").read_text())["train"]
    assert (settings["model"]["name"], settings["model"]["groups"]) == ("abmil", True)


def test_what_metrics_say_of_the_whole(runs: Path) -> None:
    run = read_run(runs / "sam-mil")
    aucs = [fold["test"]["auc"] for fold in run.folds]
    assert run.metrics["auc"] == pytest.approx(np.mean(aucs))
    assert run.summary["sd"]["auc"] == pytest.approx(np.std(aucs, ddof=1))
    labels = (run.predictions["label"] == "tumour").to_numpy().astype(int)
    p = run.predictions[["p_normal", "p_tumour"]].to_numpy()
    pooled = run.summary["pooled"]
    expected = compute_metrics(
        labels, p, predicted=(run.predictions["predicted"] == "tumour").to_numpy().astype(int)
    )
    for name, value in expected.items():
        assert pooled[name]["value"] == pytest.approx(value), name
        assert pooled[name]["low"] <= value <= pooled[name]["high"]


def test_the_comparison(runs: Path) -> None:
    table = pd.read_csv(runs / "comparison.csv")
    assert tuple(table.columns) == COLUMNS
    row = table[(table["figure"] == "accuracy") & (table["model"] == "abmil+groups")].iloc[0]
    first = table[(table["figure"] == "accuracy") & (table["model"] == "sam-mil")].iloc[0]
    assert row["difference"] == pytest.approx(row["pooled"] - first["pooled"])
    assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert row["against"] == "sam-mil"
    assert pd.isna(first["p"])
    (test,) = table[table["test"] == "delong"].to_dict("records")
    assert (test["figure"], test["model"]) == ("auc", "abmil+groups")
    assert 0 < test["p"] <= 1
    again = compare_runs({name: read_run(runs / name) for name in MODELS})
    pd.testing.assert_frame_equal(again, table)
    same = compare_runs({"one": read_run(runs / "sam-mil"), "two": read_run(runs / "sam-mil")})
    assert (same.loc[same["model"] == "two", "difference"] == 0).all()
    assert (same.loc[same["model"] == "two", "p"] == 1).all()


def test_runs_on_other_folds_are_not_compared(runs: Path, cohort: Cohort, tmp_path: Path) -> None:
    cross_validate(*cohort, tmp_path, models=["mean"], settings=quick(epochs=1, seed=5), folds=2, repeats=2)
    with pytest.raises(DataError, match="not those of sam-mil"):
        compare_runs({"sam-mil": read_run(runs / "sam-mil"), "mean": read_run(tmp_path)})


def test_runs_are_found_by_folder(runs: Path, tmp_path: Path) -> None:
    assert list(find_runs([runs])) == ["sam-mil", "abmil+groups"], "in the order of the comparison"
    assert list(find_runs([runs / "sam-mil", runs / "sam-mil"])) == [str(runs / "sam-mil")]
    with pytest.raises(DataError, match="at least two runs"):
        find_runs([runs / "sam-mil"])
    with pytest.raises(DataError, match="no finished run"):
        find_runs([tmp_path])


def test_one_model_is_one_run_and_equals_the_same_of_several(runs: Path, cohort: Cohort, tmp_path: Path) -> None:
    result = cross_validate(*cohort, tmp_path, models=["abmil+groups"], settings=quick(), folds=2, repeats=2)
    assert list(result.runs) == ["abmil+groups"]
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (runs / "abmil+groups" / name).read_bytes()


@pytest.mark.parametrize("steps", [10, 16 * 3 * 2 + 5, 16 * 3 * 4 + 20])
def test_a_stopped_cross_validation_goes_on_with_the_same_numbers(
    steps: int, runs: Path, cohort: Cohort, tmp_path: Path
) -> None:
    """Stopped in the first fold, in the third, and in the first fold of the second model; 16 bags per fold."""
    left, told = steps, []

    def stop(progress: Progress) -> None:
        nonlocal left
        left -= progress.stage == "train"
        if left < 0:
            raise Cancelled("stop")

    options = {"models": MODELS, "settings": quick(), "folds": 2, "repeats": 2}
    with pytest.raises(Cancelled):
        cross_validate(*cohort, tmp_path, **options, progress=stop)
    with pytest.raises(ProjectError, match="already holds a run"):
        cross_validate(*cohort, tmp_path, **options)
    cross_validate(*cohort, tmp_path, **options, resume=True, progress=told.append)
    for model in MODELS:
        for name in FILES:
            assert (tmp_path / model / name).read_bytes() == (runs / model / name).read_bytes()
    trained = [report for report in told if report.stage == "folds" and report.done]
    assert len(trained) == 8 - steps // (16 * 3), "folds that were done are not trained again"
    assert (tmp_path / "comparison.csv").read_bytes() == (runs / "comparison.csv").read_bytes()


def test_a_killed_cross_validation_goes_on_with_the_same_numbers(
    runs: Path, cohort: Cohort, tmp_path: Path
) -> None:
    """SIGKILL in another process, as soon as the second fold has a checkpoint."""
    code = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from sam_mil_engine.training.cross_validation import cross_validate\n"
        "from sam_mil_engine.settings import TrainSettings\n"
        "import json; values = json.loads(sys.argv[4])\n"
        "settings = TrainSettings.parse(values)\n"
        "cross_validate(*sys.argv[1:4], models=sys.argv[5:], settings=settings, folds=2, repeats=2)"
    )
    values = json.dumps(quick().model_dump(mode="json", exclude_unset=True))
    checkpoint = tmp_path / "sam-mil" / "fold-0-1" / "last.pt"
    run_until_there(checkpoint, code, *cohort, tmp_path, values, *MODELS)
    options = {"models": MODELS, "settings": quick(), "folds": 2, "repeats": 2}
    cross_validate(*cohort, tmp_path, **options, resume=True)
    for model in MODELS:
        for name in FILES:
            assert (tmp_path / model / name).read_bytes() == (runs / model / name).read_bytes()


def test_test_labels_have_no_say_in_any_fold(cohort: Cohort, tmp_path: Path) -> None:
    """Splits with a test part of its own: its labels permuted change no weight, threshold or chosen epoch."""
    table = pd.read_csv(cohort[1])
    slides = table["slide_id"].tolist()
    folds = [(0, slides[0:12], slides[12:20]), (1, slides[8:20], slides[0:8])]
    lines = [
        f"{fold},{part},{slide}"
        for fold, train, val in folds
        for part, names in (("train", train), ("val", val), ("test", slides[20:]))
        for slide in names
    ]
    (tmp_path / "splits.csv").write_text("\n".join(["fold,split,slide_id", *lines]))
    at_test = table["slide_id"].isin(slides[20:])
    table.loc[at_test, "label"] = np.random.default_rng(0).permutation(table.loc[at_test, "label"])
    table.to_csv(tmp_path / "permuted.csv", index=False)
    results = []
    for name, labels in (("true", cohort[1]), ("permuted", tmp_path / "permuted.csv")):
        found = cross_validate(cohort[0], labels, tmp_path / name, models=["sam-mil"], settings=quick(epochs=4),
                               splits=tmp_path / "splits.csv")  # fmt: skip
        results.append(found.runs["sam-mil"])
    first, second = results
    assert not first.predictions["label"].equals(second.predictions["label"])
    assert first.predictions["p_tumour"].equals(second.predictions["p_tumour"])
    for fold in ("fold-0-0", "fold-0-1"):
        weights = [(tmp_path / name / fold / "model.safetensors").read_bytes() for name in ("true", "permuted")]
        assert weights[0] == weights[1]
    assert [(f["threshold"], f["best_epoch"]) for f in first.folds] == [
        (f["threshold"], f["best_epoch"]) for f in second.folds
    ]
    assert (tmp_path / "true" / "history.csv").read_bytes() == (tmp_path / "permuted" / "history.csv").read_bytes()


def test_protocols(cohort: Cohort, tmp_path: Path) -> None:
    found = cross_validate(*cohort, tmp_path / "c16", models=["mean"], protocol="c16", settings=quick(epochs=1))
    assert len(found.runs["mean"].folds) == 9
    settings = json.loads((tmp_path / "c16" / "settings.json").read_text())["train"]
    assert (settings["patience"], settings["min_epochs"]) == (30, 130)
    with pytest.raises(DataError, match="patient of 40 slides is not known"):
        cross_validate(*cohort, tmp_path / "t", models=["mean"], protocol="tcga", settings=quick())
    with pytest.raises(SettingsError, match="no protocol 'camelyon'"):
        cross_validate(*cohort, tmp_path / "t", models=["mean"], protocol="camelyon")


def test_tcga_by_patient(cohort: Cohort, tmp_path: Path) -> None:
    table = pd.read_csv(cohort[1])
    table["patient_id"] = [f"p{i // 4}{i % 2}" for i in range(len(table))]
    table.to_csv(tmp_path / "labels.csv", index=False)
    found = cross_validate(cohort[0], tmp_path / "labels.csv", tmp_path / "r", models=["mean"], protocol="tcga",
                           settings=quick(epochs=1, patience=3))  # fmt: skip
    assert len(found.runs["mean"].folds) == 5
    settings = json.loads((tmp_path / "r" / "settings.json").read_text())["train"]
    assert (settings["patience"], settings["min_epochs"]) == (3, 70), "what is set wins over the protocol"
    patient = dict(zip(table["slide_id"], table["patient_id"], strict=True))
    for split in read_splits(tmp_path / "r" / "splits.csv"):
        sides = [{patient[i] for i in part} for part in (split.train, split.val, split.test)]
        assert not sides[0] & sides[1]
        assert not sides[0] & sides[2]
        assert not sides[1] & sides[2]


def test_patients_from_the_names_of_tcga() -> None:
    labels = pd.DataFrame({"slide_id": ["TCGA-05-4244-01Z-00-DX1.abc", "TCGA-05-4244-01Z-00-DX2"], "label": "x"})
    assert with_patients(labels)["patient_id"].unique().tolist() == ["TCGA-05-4244"]
    with pytest.raises(DataError, match="patient of 1 slides is not known: other"):
        with_patients(pd.DataFrame({"slide_id": ["other"], "label": ["x"]}))


def test_a_patient_on_both_sides_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    table = pd.read_csv(cohort[1])
    table["patient_id"] = [f"p{i // 4}" for i in range(len(table))]
    table.to_csv(tmp_path / "labels.csv", index=False)
    part = ["train"] * 20 + ["val"] * 10 + ["test"] * 10
    rows = [f"{slide},{name}" for slide, name in zip(table["slide_id"], part, strict=True)]
    (tmp_path / "splits.csv").write_text("\n".join(["slide_id,split", *rows]))
    with pytest.raises(DataError, match="patients are in val and in test: p7"):
        cross_validate(cohort[0], tmp_path / "labels.csv", tmp_path / "run", settings=quick(),
                       splits=tmp_path / "splits.csv")  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_splits_of_clam_are_read(cohort: Cohort, tmp_path: Path) -> None:
    slides = pd.read_csv(cohort[1])["slide_id"].tolist()
    folder = tmp_path / "splits"
    folder.mkdir()
    for fold in (0, 1):
        order = slides[20 * fold :] + slides[: 20 * fold]
        parts = {"train": order[:24], "val": order[24:32], "test": order[32:]}
        pd.DataFrame({name: pd.Series(part) for name, part in parts.items()}).to_csv(folder / f"splits_{fold}.csv")
        pd.DataFrame({"train": [True], "val": [False], "test": [False]}).to_csv(folder / f"splits_{fold}_bool.csv")
    first, second = read_splits(folder)
    assert (len(first.train), len(first.val), len(first.test)) == (24, 8, 8)
    assert (first.fold, second.fold) == (0, 1)
    assert read_splits(folder / "splits_1.csv") == [second]
    with pytest.raises(DataError, match="boolean table of a split"):
        read_splits(folder / "splits_0_bool.csv")
    with pytest.raises(DataError, match=r"holds no splits_0.csv"):
        read_splits(tmp_path)
    found = cross_validate(*cohort, tmp_path / "run", models=["mean"], settings=quick(epochs=1), splits=folder)
    assert found.runs["mean"].predictions["slide_id"].tolist() == [*first.test, *second.test]


def test_what_is_refused_before_anything_is_written(cohort: Cohort, tmp_path: Path) -> None:
    cases = [
        ({"models": ["abmil", "abmil"]}, "named twice: abmil"),
        ({"models": ["transformer"]}, "no model 'transformer'"),
        ({"models": {"a/b": ModelSettings()}}, "cannot be called a/b"),
        ({"folds": 1}, "folds"),
        ({"folds": 2, "splits": cohort[1]}, "folds and repeats are those of the splits"),
    ]
    for options, says in cases:
        with pytest.raises(SettingsError, match=says):
            cross_validate(*cohort, tmp_path / "run", settings=quick(), **options)
    assert not (tmp_path / "run").exists()


def test_variants_of_a_model_have_names(cohort: Cohort, tmp_path: Path) -> None:
    variants = {"full": ModelSettings(hidden=16), "no-mask": ModelSettings(hidden=16, mask="none")}
    found = sme.cross_validate(*cohort, tmp_path, models=variants, settings=quick(epochs=1), folds=2)
    assert list(found.runs) == ["full", "no-mask"]
    settings = json.loads((tmp_path / "no-mask" / "settings.json").read_text())["train"]
    assert (settings["model"]["mask"], settings["learning_rate"]) == ("none", 5e-3)


def test_slides_in_no_split_are_told(cohort: Cohort, tmp_path: Path) -> None:
    slides = pd.read_csv(cohort[1])["slide_id"].tolist()
    rows = [f"{slide},{part}" for part, names in (("train", slides[:8]), ("val", slides[8:16])) for slide in names]
    (tmp_path / "s.csv").write_text("\n".join(["slide_id,split", *rows]))
    told: list[Progress] = []
    found = cross_validate(*cohort, tmp_path / "r", models=["mean"], settings=quick(epochs=1),
                           splits=tmp_path / "s.csv", progress=told.append)  # fmt: skip
    assert any("24 slides are in no split" in report.message for report in told)
    assert found.runs["mean"].summary["part"] == "val"


@pytest.mark.slow
def test_folds_side_by_side_give_the_same_numbers(runs: Path, cohort: Cohort, tmp_path: Path) -> None:
    from sam_mil_engine.cluster.folds import on_cluster

    told: list[Progress] = []
    options = {"models": MODELS, "settings": quick(), "folds": 2, "repeats": 2}
    cross_validate(*cohort, tmp_path, **options, runner=on_cluster("local"), progress=told.append)
    assert "cluster" in {report.stage for report in told}
    for model in MODELS:
        for name in FILES:
            assert (tmp_path / model / name).read_bytes() == (runs / model / name).read_bytes()


def test_patients_with_several_slides_are_drawn_as_one(cohort: Cohort, tmp_path: Path) -> None:
    labels = pd.read_csv(cohort[1])
    labels["patient_id"] = [f"0{number // 4}{number % 2}" for number in range(len(labels))]
    labels.to_csv(tmp_path / "labels.csv", index=False)
    found = cross_validate(
        cohort[0],
        tmp_path / "labels.csv",
        tmp_path / "runs",
        models=["mean", "max"],
        settings=quick(epochs=2),
        folds=2,
    )
    run = read_run(tmp_path / "runs" / "mean")
    patients = dict(zip(labels["slide_id"], labels["patient_id"], strict=True))
    assert run.predictions["patient_id"].tolist() == [patients[name] for name in run.predictions["slide_id"]]
    assert run.summary["bootstrap"]["over"] == "patients"
    assert set(found.comparison["test"].dropna()) == {"bootstrap over patients"}, "and no DeLong's test"
    scored = scored_of(run.predictions, run.classes)
    low, high = interval(resample_metrics(scored, resample(scored.patients))["auc"])
    assert (run.summary["pooled"]["auc"]["low"], run.summary["pooled"]["auc"]["high"]) == (low, high)
    # a run of a version that did not keep the patients
    old = replace(run, predictions=run.predictions.drop(columns="patient_id"))
    again = compare_runs({"mean": old, "max": read_run(tmp_path / "runs" / "max")})
    assert set(again["test"].dropna()) == {"bootstrap over patients"}
    other = replace(run, predictions=run.predictions.assign(patient_id="one"))
    with pytest.raises(DataError, match="patients of the slides are not the same in other and mean"):
        compare_runs({"mean": run, "other": other})
