"""Training and testing with one bag per patient."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from sam_mil_engine.cli.main import app
from sam_mil_engine.errors import DataError, SettingsError
from sam_mil_engine.report.project import build_report
from sam_mil_engine.training.data import load_bags, match_bags
from sam_mil_engine.training.labels import read_labels
from sam_mil_engine.training.patient_bags import join_patients, splits_for
from sam_mil_engine.training.run_files import read_run

pytestmark = pytest.mark.usefixtures("one_thread")
Cohort = tuple[Path, Path]


@pytest.fixture
def patients(cohort: Cohort, tmp_path: Path) -> Path:
    """Labels of 20 patients with two slides each; half of them have a slide with tumour and one without."""
    table = pd.read_csv(cohort[1])
    table["patient_id"] = [f"P{row // 2:02d}" for row in range(40)]
    table["label"] = ["tumour" if row % 4 == 1 else "normal" for row in range(40)]
    table.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "labels.csv"


def test_a_patient_is_one_bag_of_the_class_of_its_worst_slide(cohort: Cohort, patients: Path) -> None:
    slides = match_bags(read_labels(patients), cohort[0])
    found = join_patients(slides)
    assert list(found.table["slide_id"]) == list(found.table["patient_id"]) == [f"P{i:02d}" for i in range(20)]
    assert list(found.table["label"]) == ["tumour", "normal"] * 10
    assert found.parts["P03"] == ("s06", "s07")
    loaded = load_bags(found)
    (example,) = loaded.pick(["P03"])
    assert (len(example.bag), example.bag.n_groups) == (120, 6)
    again = load_bags(found, budget=0).pick(["P03"])[0]
    assert again.bag.tokens.equal(example.bag.tokens), "read again, it is the same bag"


def test_slides_in_splits_stand_for_their_patients(cohort: Cohort, patients: Path, tmp_path: Path) -> None:
    found = join_patients(match_bags(read_labels(patients), cohort[0]))
    rows = [f"s{i:02d},{'train' if i < 24 else 'val' if i < 32 else 'test'}" for i in range(40)]
    (tmp_path / "splits.csv").write_text("\n".join(["slide_id,split", *rows]))
    (split,) = splits_for(tmp_path / "splits.csv", found)
    assert split.train == tuple(f"P{i:02d}" for i in range(12))
    assert (len(split.val), len(split.test)) == (4, 4)
    own = "\n".join(["slide_id,split", "P00,train", "P01,train", "P02,val", "P03,val"])
    (tmp_path / "splits.csv").write_text(own)
    assert splits_for(tmp_path / "splits.csv", found)[0].val == ("P02", "P03")


def test_what_does_not_make_one_bag_is_refused(cohort: Cohort, patients: Path) -> None:
    slides = match_bags(read_labels(patients), cohort[0])
    table = slides.table.assign(split=["train", "test"] * 20)
    with pytest.raises(DataError, match="patients are in several parts: P00, P01"):
        join_patients(type(slides)(table=table, classes=slides.classes, paths=slides.paths))
    unknown = slides.table.drop(columns="patient_id")
    with pytest.raises(DataError, match="the patient of 40 slides is not known"):
        join_patients(type(slides)(table=unknown, classes=slides.classes, paths=slides.paths))
    three = slides.table.assign(label=["a", "b", "c", "c"] * 10)
    with pytest.raises(DataError, match="the slides of 10 patients are of several classes: P00, P02"):
        join_patients(type(slides)(table=three, classes=("a", "b", "c"), paths=slides.paths))


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_train_and_test_on_patients(cohort: Cohort, patients: Path, tmp_path: Path) -> None:
    given = ["--bags", cohort[0], "--labels", patients, "--device", "cpu", "-q"]
    small = ["--epochs", 1, "--model", "sam-mil", "--set", "model.hidden=16"]
    level = ["--level", "patient", "--join", "bags"]
    told = run("cross-validate", *given, *small, *level, "--folds", 2, "-o", tmp_path / "cv")
    assert "2 folds, patients" in told
    found = read_run(tmp_path / "cv")
    assert sorted(found.predictions["slide_id"]) == [f"P{i:02d}" for i in range(20)]
    assert json.loads((tmp_path / "cv" / "settings.json").read_text())["train"]["bags"] == "patient"
    run("train", *given, *small, "--level", "patient", "-o", tmp_path / "one")
    one = read_run(tmp_path / "one").predictions
    assert one["slide_id"].str.startswith("P").all()

    with pytest.raises(DataError, match="20 slides were used to train or to validate this run"):
        run("evaluate", tmp_path / "cv", *given, "-o", tmp_path / "out")
    told = run("evaluate", tmp_path / "cv", *given, *level, "--allow-seen", "-o", tmp_path / "out")
    assert "2 models on other data, patients" in told
    evaluated = read_run(tmp_path / "out").predictions
    assert sorted(set(evaluated["slide_id"])) == [f"P{i:02d}" for i in range(20)]
    merged = evaluated.merge(found.predictions, on=["slide_id", "repeat", "fold"], suffixes=("", "_trained"))
    assert merged["p_tumour"].to_numpy() == pytest.approx(merged["p_tumour_trained"].to_numpy(), abs=2e-3)
    assert len(merged) == 20

    for folder, says in (("cv", ["Every bag is a patient: there are no images of slides."]), ("out", [])):
        assert list(build_report(tmp_path / folder).notes) == says

    with pytest.raises(SettingsError, match="--join bags is only for patients"):
        run("cross-validate", *given, *small, "--join", "bags", "-o", tmp_path / "no")
    with pytest.raises(SettingsError, match="annotations belong to slides"):
        run("cross-validate", *given, *small, *level, "--annotations", tmp_path, "-o", tmp_path / "no")
    with pytest.raises(SettingsError, match="joined in training"):
        run("compare-models", tmp_path / "cv", tmp_path / "cv", *level)
