"""``evaluate`` and ``cross-validate`` with a folder of annotations."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from sam_mil_engine.cli.main import app
from sam_mil_engine.report.project import build_report

pytestmark = pytest.mark.usefixtures("one_thread")
Cohort = tuple[Path, Path]
QUICK = ["--epochs", "20", "--min-epochs", "0", "--device", "cpu", "--quiet", "--json",
         *[word for name in ("hidden=16", "attention=8") for word in ("--set", f"model.{name}")],
         "--learning-rate", "0.02"]  # fmt: skip


def outlines(folder: Path, slides: list[str]) -> Path:
    """The six shifted patches of every positive slide as GeoJSON."""
    folder.mkdir()
    ring = [[30 * 512, 0], [36 * 512, 0], [36 * 512, 512], [30 * 512, 512], [30 * 512, 0]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    properties = {"classification": {"name": "Tumour"}}
    content = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": shape, "properties": properties}],
    }
    for name in slides:
        (folder / f"{name}.geojson").write_text(json.dumps(content))
    return folder


def run(*words: object) -> dict[str, object]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_maps_are_compared_with_outlines(cohort: Cohort, tmp_path: Path) -> None:
    bags, labels = cohort
    positive = [f"s{number:02d}" for number in range(1, 40, 2)]
    folder = outlines(tmp_path / "outlines", positive)
    found = run("cross-validate", "--bags", bags, "--labels", labels, "--folds", 2, "--annotations", folder,
                "-o", tmp_path / "run", *QUICK)  # fmt: skip
    ((_, one),) = found["runs"].items()
    assert one["maps"]["patch AUC, mean over slides"]["value"] > 0.9
    table = pd.read_csv(tmp_path / "run" / "localisation.csv")
    assert sorted(table["slide_id"]) == [f"s{number:02d}" for number in range(40)], "test slides, each once"
    assert table.loc[table["slide_id"].isin(positive), "annotated"].eq(6).all()
    assert table.loc[~table["slide_id"].isin(positive), "annotated"].eq(0).all()
    assert table.groupby("slide_id")["lesions"].first().sum() == 20
    written = json.loads((tmp_path / "run" / "localisation.json").read_text())
    assert written["figures"] == one["maps"]
    assert written["without_annotations"] == []

    (shown,) = [
        table for table in build_report(tmp_path / "run").tables if table.title == "Maps against annotations"
    ]
    cells = {row[0].text: row[1] for row in shown.rows}
    assert set(cells) == set(written["figures"])
    assert cells["recall"].sort == written["figures"]["recall"]["value"]
    assert f"{written['figures']['recall']['low']:.3f} to" in cells["recall"].text

    (folder / "s01.geojson").unlink()
    again = run("evaluate", tmp_path / "run", "--bags", bags, "--labels", labels, "--annotations", folder,
                "-o", tmp_path / "again", "--allow-seen", "--device", "cpu", "--quiet", "--json")  # fmt: skip
    assert 0 <= again["maps"]["FROC score"]["value"] <= 1
    table = pd.read_csv(tmp_path / "again" / "localisation.csv")
    assert len(table) == 2 * 39, "both models, and not the slide without outlines"
    assert json.loads((tmp_path / "again" / "localisation.json").read_text())["without_annotations"] == ["s01"]


def test_a_folder_without_outlines_is_told(cohort: Cohort, tmp_path: Path) -> None:
    bags, labels = cohort
    folder = outlines(tmp_path / "outlines", ["other"])
    words = ["cross-validate", "--bags", bags, "--labels", labels, "--folds", 2, "--annotations", folder,
             "-o", tmp_path / "run", *QUICK]  # fmt: skip
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code != 0
    assert "no slide with tumour has annotations" in str(result.exception) + result.output
