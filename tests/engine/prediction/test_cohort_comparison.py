"""compare-groups over a cohort: a row per slide and class, and rows of all slides together."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.bag import h5
from sam_mil_engine.bag.place import read_slide_place
from sam_mil_engine.cli.main import app
from sam_mil_engine.errors import DataError
from sam_mil_engine.prediction.cohort_comparison import POOLED, compare_cohort
from sam_mil_engine.prediction.comparison import compare_bag
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import ProcessSettings
from sam_mil_engine.synthetic import make_slide


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Three slides of two sizes with bags; outlines of two, of one and of two classes."""
    folder = tmp_path_factory.mktemp("cohort")
    (folder / "annotations").mkdir()
    slides = []
    for number, size in enumerate([(1024, 768), (2048, 1024), (1024, 768)]):
        slides.append(folder / f"s{number}.tif")
        make_slide(slides[-1], seed=number, tumour=True, size_px0=size)
    settings = ProcessSettings.parse({"tiles": {"patch_size": 128}})
    results = process_slides(slides, folder / "study", settings=settings, device="cpu")
    assert [one.error for one in results] == [None] * 3
    for number, classes in enumerate((["Tumour"], ["Tumour", "Stroma"])):
        bag = folder / "study" / "bags" / f"s{number}.h5"
        tissue = shapely.box(300, 200, 700, 600)
        shapes = [
            Annotation(name, name, shapely.affinity.translate(tissue, 120 * k)) for k, name in enumerate(classes)
        ]
        write_geojson(folder / "annotations" / f"s{number}.geojson", shapes, info=read_slide_place(bag))
    (folder / "annotations" / "gone.xml").write_text("<ASAP_Annotations/>")
    return folder / "study", folder / "annotations"


def test_a_row_per_slide_and_class_and_the_areas_together(cohort: tuple[Path, Path]) -> None:
    study, annotations = cohort
    said: list[Progress] = []
    rows = compare_cohort(study / "bags", annotations, progress=said.append)
    assert [(row["slide_id"], row["annotation"]) for row in rows] == [
        ("s0", "Tumour"), ("s1", "Tumour"), ("s1", "Stroma"), (POOLED, "Tumour"), (POOLED, "Stroma"),
    ]  # fmt: skip
    notices = " ".join(one.message for one in said)
    assert "1 slides have no annotations: s2" in notices
    assert "gone.xml" in notices
    ones = {
        (name, one.classification): one
        for name in ("s0", "s1")
        for one in compare_bag(study / "bags" / f"{name}.h5", annotations / f"{name}.geojson")
    }
    hit = size = total = 0.0
    for name in ("s0", "s1"):
        segments = h5.read_segments(study / "bags" / f"{name}.h5")
        one = ones[name, "Tumour"]
        union = np.zeros(segments.size_raster[::-1], dtype=bool)
        for number in one.cover.segments:
            union |= segments.mask(number)
        mpp = h5.read_attributes(study / "bags" / f"{name}.h5")["mpp"]
        pixel = np.prod(segments.frame.downsample) * np.prod(mpp)
        size += union.sum() * pixel
        total += one.annotation_raster * pixel
        hit += one.cover.recall * one.annotation_raster * pixel
        row = next(row for row in rows if (row["slide_id"], row["annotation"]) == (name, "Tumour"))
        assert row["cover_iou"] == one.cover.iou
        assert row["annotation_um2"] == pytest.approx(400 * 400 * np.prod(mpp), rel=0.02)
    pooled = rows[3]
    assert pooled["cover_recall"] == pytest.approx(hit / total)
    assert pooled["cover_purity"] == pytest.approx(hit / size)
    assert pooled["cover_iou"] == pytest.approx(hit / (total + size - hit))
    assert pooled["segments"] == len(ones["s0", "Tumour"]) + len(ones["s1", "Tumour"])
    assert pooled["best_iou"] == pytest.approx((rows[0]["best_iou"] + rows[1]["best_iou"]) / 2)
    assert pooled["cover_iou"] != pytest.approx((rows[0]["cover_iou"] + rows[1]["cover_iou"]) / 2, abs=1e-6)


def test_the_command_writes_one_table_and_refuses_what_does_not_fit(
    cohort: tuple[Path, Path], tmp_path: Path
) -> None:
    study, annotations = cohort
    table = tmp_path / "all.csv"
    words = ["compare-groups", str(study / "bags"), "-a", str(annotations), "-o", str(table), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    with table.open(encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["slide_id"] for row in written] == [row["slide_id"] for row in rows]
    assert float(written[3]["cover_iou"]) == pytest.approx(rows[3]["cover_iou"])
    wrong = CliRunner().invoke(app, ["compare-groups", str(study), "-a", str(annotations / "s0.geojson")])
    assert wrong.exit_code == 2
    assert "a folder of annotations" in wrong.output
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no bag has annotations"):
        compare_cohort(study / "bags", tmp_path / "empty")
