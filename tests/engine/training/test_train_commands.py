"""The commands of training and comparing, from the words that are typed to what is printed and written."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from cohorts import witness_bag, write_bag
from typer.testing import CliRunner, Result

from sam_mil_engine.cli.assignments import assign
from sam_mil_engine.cli.main import app
from sam_mil_engine.errors import DataError, SettingsError
from sam_mil_engine.report.page import write_report
from sam_mil_engine.report.project import build_report
from sam_mil_engine.settings import ModelSettings, TrainSettings
from sam_mil_engine.settings.changes import setting_names
from sam_mil_engine.training.run_files import read_run

pytestmark = pytest.mark.usefixtures("one_thread")
Cohort = tuple[Path, Path]
EXAMPLES = Path(__file__).parents[3] / "examples"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False, env={"COLUMNS": "200"})


def small(cohort: Cohort) -> list[object]:
    return ["--bags", cohort[0], "--labels", cohort[1], "--device", "cpu", "--epochs", 2, "--quiet",
            "--set", "model.hidden=16"]  # fmt: skip


@pytest.fixture(scope="module")
def runs(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands") / "runs"
    result = run("cross-validate", *small(cohort), "--model", "sam-mil", "--model", "mean", "--folds", 2,
                 "--seed", 3, "-o", folder)  # fmt: skip
    assert result.exit_code == 0
    for words in ("2 folds: mean ± SD over folds", "pooled AUC (95%)", "delong", f"runs: {folder}"):
        assert words in result.stdout
    return folder


def test_settings_of_every_kind_reach_the_run(cohort: Cohort, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('learning_rate = 0.01\nseed = 5\n[model]\nname = "sam-mil"\nmask = "random"\nattention = 7\n')
    result = run("train", *small(cohort), "--config", config, "--seed", 6, "--set", "model.mask=none",
                 "--set", "weight_decay=0.5", "--as-released", "-o", tmp_path / "run", "--json")  # fmt: skip
    assert json.loads(result.stdout)["folds"][0]["epochs"] == 2
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())["train"]
    model = settings["model"]
    assert (settings["learning_rate"], settings["seed"], settings["weight_decay"]) == (0.01, 6, 0.5)
    assert (model["mask"], model["attention"], model["hidden"], model["as_released"]) == ("none", 7, 16, True)
    with pytest.raises(SettingsError, match="only for dtfd, srmil, sam-mil"):
        run("train", *small(cohort), "--model", "mean", "--as-released", "-o", tmp_path / "other")


def test_the_examples_are_what_they_say(cohort: Cohort, tmp_path: Path) -> None:
    result = run("train", *small(cohort), "--config", EXAMPLES / "train.toml", "-o", tmp_path / "run")
    assert result.exit_code == 0
    result = run("cross-validate", *small(cohort), "--config", EXAMPLES / "ablation.toml", "--epochs", 1,
                 "--folds", 2, "-o", tmp_path / "parts")  # fmt: skip
    assert result.exit_code == 0
    models = {
        path.parent.name: json.loads(path.read_text())["train"]["model"]
        for path in (tmp_path / "parts").glob("*/settings.json")
    }
    full = models.pop("full")
    changed = {name: {key for key in full if model[key] != full[key]} for name, model in models.items()}
    assert changed == {
        "no-group-tokens": {"groups"},
        "no-mask": {"mask"},
        "random-mask": {"mask"},
        "random-patch-mask": {"mask"},
        "no-pseudo-bags": {"pseudo_bags"},
        "consistency": {"consistency_weight"},
        "fixed-consistency": {"consistency_weight", "consistency_patches"},
        "area-in-patches": {"mask_area"},
        "abmil": {"name"},
    }


def test_every_setting_can_be_set() -> None:
    """Each default, written as TOML, sets what it was: so every setting has a name and takes a value."""
    names = setting_names(TrainSettings)
    assert {"model.mask_ratio", "model.srmil.window", "epochs", "cache_gib", "optimizer"} <= set(names)
    words = []
    for name in names:
        value: object = TrainSettings()
        for part in name.split("."):
            value = getattr(value, part)
        if value is not None:
            words.append(f"{name}={json.dumps(value)}")
    assert len(words) > 30
    assert TrainSettings.parse(assign({}, words, TrainSettings)) == TrainSettings()


def test_values_are_read_as_toml_or_as_text() -> None:
    values = {"model": {"name": "abmil"}, "epochs": 3}
    words = ["model.dropout=0.5", "model.gated = true", "classes=['a', 'b']", "model.mask=none", "epochs=1_0"]
    found = assign(values, words, TrainSettings)
    assert found == {
        "model": {"name": "abmil", "dropout": 0.5, "gated": True, "mask": "none"},
        "classes": ["a", "b"],
        "epochs": 10,
    }
    assert values == {"model": {"name": "abmil"}, "epochs": 3}, "what was given is left alone"
    assert TrainSettings.parse(found).model == ModelSettings(name="abmil", dropout=0.5, gated=True, mask="none")


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("model.srmil.windw=3", r"no setting 'model.srmil.windw'. Did you mean model.srmil.window"),
        ("mask_ratio=0.5", "model.mask_ratio"),
        ("model.srmil=3", "Did you mean .*model.srmil"),
        ("model.hidden", "is not an assignment"),
        ("model.hidden=many", "model.hidden: Input should be a valid integer"),
        ("model.hidden=0", "model.hidden: Input should be greater than or equal to 1"),
    ],
)
def test_wrong_words_are_told_with_what_is_near(word: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        TrainSettings.parse(assign({}, [word], TrainSettings))


def test_variants_of_a_configuration(cohort: Cohort, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("epochs = 9\n[models.whole]\n[models.unmasked]\nmask = 'none'\n")
    result = run("cross-validate", *small(cohort), "--config", config, "--folds", 2, "-o", tmp_path / "r", "--json")
    found = json.loads(result.stdout)
    assert list(found["runs"]) == ["whole", "unmasked"]
    assert {row["model"] for row in found["comparison"]} == {"whole", "unmasked"}
    model = json.loads((tmp_path / "r" / "unmasked" / "settings.json").read_text())["train"]["model"]
    assert (model["mask"], model["hidden"]) == ("none", 16)


def test_compare_models(runs: Path, tmp_path: Path) -> None:
    result = run("compare-models", runs / "mean", runs / "sam-mil", "-o", tmp_path)
    table = pd.read_csv(tmp_path / "comparison.csv")
    assert set(table["against"].dropna()) == {"mean"}
    assert "bootstrap" in result.stdout
    rows = json.loads(run("compare-models", runs, "--json").stdout)
    assert rows[0]["model"] == "sam-mil"
    assert rows[0]["p"] is None


def test_evaluate_on_other_data(runs: Path, cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "bags").mkdir()
    lines = ["slide_id,label"]
    for i in range(12):
        write_bag(tmp_path / "bags", witness_bag(f"o{i:02d}", bool(i % 2), seed=500 + i))
        lines.append(f"o{i:02d},{'tumour' if i % 2 else 'normal'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    given = ["--bags", tmp_path / "bags", "--labels", tmp_path / "labels.csv", "--device", "cpu", "-q"]
    result = run("evaluate", runs / "sam-mil", *given, "-o", tmp_path / "out")
    assert "2 models on other data" in result.stdout
    found = read_run(tmp_path / "out")
    assert [(fold["repeat"], fold["fold"]) for fold in found.folds] == [(0, 0), (0, 1)]
    thresholds = [fold["threshold"] for fold in read_run(runs / "sam-mil").folds]
    assert [fold["threshold"] for fold in found.folds] == thresholds, "chosen in training, not here"
    assert len(found.predictions) == 24
    assert found.summary["pooled"]["auc"]["value"] is not None
    write_report(tmp_path / "page.html", build_report(tmp_path / "out"))
    assert "Evaluation on other data" in (tmp_path / "page.html").read_text()

    (tmp_path / "labels.csv").write_text("\n".join(line for line in lines if not line.endswith("tumour")))
    run("evaluate", runs / "sam-mil", *given, "-o", tmp_path / "one")
    one = read_run(tmp_path / "one")
    assert one.summary["pooled"]["auc"]["value"] is None, "one class has no AUC"
    assert 0 <= one.metrics["accuracy"] <= 1

    seen = ["--bags", cohort[0], "--labels", cohort[1], "--device", "cpu", "-q", "-o", tmp_path / "seen"]
    with pytest.raises(DataError, match="40 slides were used to train or to validate this run"):
        run("evaluate", runs / "sam-mil", *seen)
    assert run("evaluate", runs / "sam-mil", *seen, "--allow-seen").exit_code == 0
    (tmp_path / "labels.csv").write_text("slide_id,label\no00,normal\no01,other\n")
    with pytest.raises(DataError, match="do not fit the classes"):
        run("evaluate", runs / "sam-mil", *given, "-o", tmp_path / "bad")


@pytest.fixture
def clam_labels(tmp_path: Path) -> Path:
    """CLAM's table of the cohort: two slides of one class per patient, a column that nobody asked for."""
    rows = [f"p{i // 4}-{i % 2},s{i:02d},{'tumour' if i % 2 else 'normal'},x" for i in range(40)]
    file = tmp_path / "clam.csv"
    file.write_text("\n".join(["case_id,slide_id,label,site", *rows]))
    return file


def loud(cohort: Cohort, labels: Path) -> list[object]:
    return ["--bags", cohort[0], "--labels", labels, "--device", "cpu"]


def test_patients_of_clam_stay_on_one_side_and_the_classes_are_told(
    cohort: Cohort, clam_labels: Path, tmp_path: Path
) -> None:
    result = run("cross-validate", *loud(cohort, clam_labels), "--model", "mean", "--epochs", 1, "--folds", 2,
                 "-o", tmp_path / "cv")  # fmt: skip
    assert result.exit_code == 0
    told = ["patient_id is the column case_id", "columns that are not used: site",
            "40 slides of 20 patients; classes: normal 20, tumour 20"]  # fmt: skip
    assert [line for line in result.stderr.splitlines() if line.startswith("labels: ")] == [
        f"labels: {line}" for line in told
    ]
    splits, labels = (pd.read_csv(file, dtype=str) for file in (tmp_path / "cv" / "splits.csv", clam_labels))
    sides = splits.merge(labels, on="slide_id").groupby(["fold", "case_id"])["split"].nunique()
    assert len(sides) == 40
    assert set(sides) == {1}

    result = run("train", *loud(cohort, clam_labels), "--model", "mean", "--epochs", 1, "-o", tmp_path / "one",
                 "--patient-column", "slide_id")  # fmt: skip
    assert f"labels: {told[-1].replace('20 patients', '40 patients')}" in result.stderr
    result = run("evaluate", tmp_path / "cv", *loud(cohort, clam_labels), "--allow-seen", "-o", tmp_path / "other")
    assert f"labels: {told[-1]}" in result.stderr


def test_what_is_not_clear_in_labels_stops_training(cohort: Cohort, clam_labels: Path, tmp_path: Path) -> None:
    text = clam_labels.read_text(encoding="utf-8")
    faults = {
        "several columns: case_id, PATIENT": text.replace("site", "PATIENT"),
        r"the label is missing \(NA\) in 1 of 40 rows: s01, line 3": text.replace("s01,tumour", "s01,NA"),
        "'Tumour' 1, 'tumour' 19": text.replace("s01,tumour", "s01,Tumour"),
        "there is no column outcome": text,
    }
    for says, changed in faults.items():
        clam_labels.write_text(changed, encoding="utf-8")
        named = ["--label-column", "outcome"] if changed == text else []
        with pytest.raises(DataError, match=says):
            run("train", *loud(cohort, clam_labels), *named, "-o", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_class_that_looks_missing_is_trained_where_it_is_named(cohort: Cohort, tmp_path: Path) -> None:
    rows = [f"s{i:02d},{'tumour' if i % 2 else 'none'}" for i in range(40)]
    (tmp_path / "labels.csv").write_text("\n".join(["slide_id;label", *rows]).replace(",", ";"))
    result = run("train", *loud(cohort, tmp_path / "labels.csv"), "--model", "mean", "--epochs", 1,
                 "--set", 'classes=["none", "tumour"]', "-o", tmp_path / "run")  # fmt: skip
    assert "labels: 40 slides, no patients given; classes: none 20, tumour 20" in result.stderr
    assert read_run(tmp_path / "run").classes == ("none", "tumour")


def test_splits_of_clam_with_numbers_as_decimals_are_trained_on(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "bags").mkdir()
    for i in range(40):
        (tmp_path / "bags" / f"{1000 + i}.h5").symlink_to(cohort[0] / f"s{i:02d}.h5")
    rows = [f"{1000 + i},{'tumour' if i % 2 else 'normal'},test" for i in range(40)]
    (tmp_path / "labels.csv").write_text("\n".join(["slide_id,label,split", *rows]))
    names = [
        [f"{number}.0" for number in part] for part in (range(1000, 1020), range(1020, 1030), range(1030, 1040))
    ]
    lines = [",".join([str(row), *(part[row] if row < len(part) else "" for part in names)]) for row in range(20)]
    (tmp_path / "splits_0.csv").write_text("\n".join([",train,val,test", *lines]))
    result = run("train", *loud((tmp_path / "bags", cohort[1]), tmp_path / "labels.csv"), "--model", "mean",
                 "--epochs", 1, "--splits", tmp_path / "splits_0.csv", "-o", tmp_path / "run")  # fmt: skip
    assert result.exit_code == 0
    assert "labels: the column split is not used: the splits are given" in result.stderr
    assert sorted(read_run(tmp_path / "run").predictions["slide_id"]) == [
        str(number) for number in range(1030, 1040)
    ]


def test_evaluate_the_one_model_of_a_split(cohort: Cohort, tmp_path: Path) -> None:
    run("train", *small(cohort), "--model", "mean", "-o", tmp_path / "run")
    given = ["--bags", cohort[0], "--labels", cohort[1], "--device", "cpu", "-q", "--allow-seen"]
    result = run("evaluate", tmp_path / "run", *given, "-o", tmp_path / "out")
    assert "1 model on other data" in result.stdout
    (row,) = (line for line in result.stdout.splitlines() if line.startswith("run "))
    assert "±" not in row, "one model does not vary"


def test_reports_of_one_run_and_of_several(runs: Path, tmp_path: Path) -> None:
    content = build_report(runs)
    assert [item.model for item in content.metrics] == ["sam-mil", "mean"]
    assert [chart.title for chart in content.charts] == ["Validation loss", "Validation AUC"]
    (table,) = content.tables
    assert table.title == "Differences between models"
    assert len(table.rows) == 8, "seven metrics and DeLong's test"
    write_report(tmp_path / "page.html", content)
    assert "DeLong" in (tmp_path / "page.html").read_text()
    single = build_report(runs / "mean")
    assert dict(single.facts)["Splits"] == "2"
    assert dict(single.facts)["Epochs"] == "2, 2"
    assert len(single.predictions) == 40
