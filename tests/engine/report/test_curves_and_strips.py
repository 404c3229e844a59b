"""What the report says of predictions and patches: curves, scores with the operating point, strips of patches."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from sam_mil_engine.annotations.localisation import FALSE_POSITIVES
from sam_mil_engine.mil.patch_calibration import PatchCalibration
from sam_mil_engine.mil.ranking import STRIP
from sam_mil_engine.prediction.patches import SlidePatches
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.report.charts import line_chart
from sam_mil_engine.report.content import ReportContent
from sam_mil_engine.report.curves import froc_chart, patch_score_chart, score_charts
from sam_mil_engine.report.page import render, write_report
from sam_mil_engine.report.strips import make_strips
from sam_mil_engine.slide.tiling import read_patch
from sam_mil_engine.training.run_files import TrainResult

CALIBRATION = PatchCalibration(
    "normal", ("instance",), (1.0,), 0.0, 0.2, 38, 19, operating_point=1.5, log_odds=(0.0, 1.5), shares=(0.5, 0.01)
)


def run_of(classes: tuple[str, ...], n: int = 30) -> TrainResult:
    rng = np.random.default_rng(0)
    label = np.arange(n) % len(classes)
    p = rng.dirichlet(np.ones(len(classes)), n) + 0.8 * np.eye(len(classes))[label]
    p /= p.sum(axis=1, keepdims=True)
    table = pd.DataFrame({"slide_id": [f"s{k}" for k in range(n)], "patient_id": [f"p{k // 2}" for k in range(n)]})
    table["label"] = [classes[k] for k in label]
    table["predicted"] = [classes[k] for k in p.argmax(axis=1)]
    for c, name in enumerate(classes):
        table[f"p_{name}"] = p[:, c]
    return TrainResult(Path("run"), classes, (), pd.DataFrame(), table, {})


def test_two_classes_have_one_curve_a_run_and_three_have_one_a_class() -> None:
    one = score_charts({"first": run_of(("normal", "tumour"))})
    assert [chart.title for chart in one] == ["ROC", "Precision and recall", "Calibration"]
    assert [series.name.split(",")[0] for series in one[0].series] == ["tumour"]
    assert "over patients" in one[0].note
    two = score_charts({"a": run_of(("normal", "tumour")), "b": run_of(("normal", "tumour"))})
    assert [series.name.split(",")[0] for series in two[0].series] == ["a tumour", "b tumour"]
    three = score_charts({"first": run_of(("x", "y", "z"))})
    assert [series.name.split(",")[0] for series in three[0].series] == ["x", "y", "z"]
    low, high = three[0].series[0].band
    assert (low <= high).all()
    drawn = str(line_chart(three[0]))
    assert drawn.count("fill-opacity: 0.15") == 3, "a band each"
    assert "stroke-dasharray" in drawn


def test_froc_has_a_point_per_rate_of_localisation_json(tmp_path: Path) -> None:
    assert froc_chart({"run": tmp_path}) is None
    figures = {
        f"sensitivity at {rate:g} false positives": {"value": k / 6, "low": k / 7, "high": None}
        for k, rate in enumerate(FALSE_POSITIVES)
    }
    figures["FROC score"] = {"value": 0.417, "low": None, "high": None}
    (tmp_path / "localisation.json").write_text(json.dumps({"figures": figures}))
    chart = froc_chart({"run": tmp_path})
    (series,) = chart.series
    assert series.name == "run, score 0.417"
    np.testing.assert_allclose(series.runs[0][0], FALSE_POSITIVES)
    np.testing.assert_allclose(series.runs[0][1], np.arange(6) / 6)
    for tick in ("0.25", "0.5", "8"):
        assert f">{tick}</text>" in str(line_chart(chart))


def patches(label: str, score: np.ndarray, attention: np.ndarray | None = None, **changes: object) -> SlidePatches:
    coords = np.zeros((len(score), 2), np.int32)
    return replace(SlidePatches("s", label, None, coords, attention, score.astype(np.float32)), **changes)


def test_patch_scores_show_the_operating_point_and_weigh_slides_the_same() -> None:
    many = patches("normal", np.full(1000, -2.0))
    few = patches("normal", np.array([2.0, 0.0, 0.0, 0.0]))
    tumour = patches("tumour", np.array([-1.0, 3.0]))
    chart = patch_score_chart([many, few, tumour], CALIBRATION, negative="normal", threshold=0.5)
    assert chart.mark == (1.5, "operating point")
    assert [series.name for series in chart.series] == [
        "slides of normal (2), 12.5% of patches marked",
        "other slides (1), 50.0% of patches marked",
    ]
    for series in chart.series:
        assert series.runs[0][1][::2].sum() == pytest.approx(1)
    assert "operating point" in str(line_chart(chart))
    raw = patch_score_chart([few, tumour], None, negative="normal", threshold=0.4)
    assert (raw.mark, raw.x_label) == ((0.4, "threshold (raw)"), "raw probability")
    assert patch_score_chart([many], CALIBRATION, negative="normal", threshold=0.5) is None


@pytest.fixture(scope="module")
def slide_with_bag(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A slide of noise with patches of its whole image."""
    folder = tmp_path_factory.mktemp("strips")
    pixels = np.random.default_rng(0).integers(60, 200, (768, 1024, 3), dtype=np.uint8)
    tifffile.imwrite(folder / "noise.tif", pixels, tile=(256, 256), photometric="rgb")
    result = process_slide(folder / "noise.tif", folder / "project", stages=("tissue", "tiles"), settings=None)
    return folder / "noise.tif", result.bag_path


def test_strips_show_the_patches_in_the_order_of_their_attention(slide_with_bag, tmp_path: Path) -> None:
    from sam_mil_engine.bag.h5 import read_grid
    from sam_mil_engine.slide.reader import open_slide

    path, bag = slide_with_bag
    grid = read_grid(bag)
    n = len(grid)
    attention = np.random.default_rng(1).permutation(n).astype(np.float32)
    known = patches("tumour", np.zeros(n), attention, bag_path=bag, coords_px0=grid.coords_px0, slide_id="no/ise")
    strips, notes = make_strips([known, patches("normal", np.zeros(3)), replace(known, attention=None)])
    assert not notes
    assert [(strip.kind, strip.of_class) for strip in strips] == [("most", "tumour"), ("least", "tumour")]
    order = np.argsort(-attention, kind="stable")[:STRIP]
    with open_slide(path) as slide:
        for image, patch in zip(strips[0].patches, order, strict=True):
            np.testing.assert_array_equal(image.rgb, read_patch(slide, grid, int(patch)))
            assert image.corner_px0 == tuple(grid.coords_px0[patch].tolist())
    assert strips[1].patches[0].value == "0×"
    content = ReportContent("t", "now", strips=strips)
    write_report(tmp_path / "report.html", content)
    files = sorted(file.name for file in (tmp_path / "report-tiles" / "tumour").iterdir())
    assert len(files) == 2 * min(STRIP, n)
    x, y = strips[0].patches[0].corner_px0
    first = next(file for file in files if file.startswith("most-01"))
    assert first == f"most-01-no-ise-{x}-{y}.png"
    with Image.open(tmp_path / "report-tiles" / "tumour" / first) as saved:
        np.testing.assert_array_equal(np.asarray(saved), strips[0].patches[0].rgb)
    assert render(content).count("<img") == len(files)


def test_one_slide_does_not_fill_a_strip_and_what_is_gone_is_named(slide_with_bag) -> None:
    from sam_mil_engine.bag.h5 import read_grid

    _, bag = slide_with_bag
    grid = read_grid(bag)
    n = len(grid)
    high = patches("a", np.zeros(n), np.full(n, 9.0), bag_path=bag, coords_px0=grid.coords_px0, slide_id="high")
    low = replace(high, slide_id="low", attention=np.ones(n, np.float32))
    strips, _ = make_strips([high, low])
    half = min(STRIP // 2, n)
    assert [image.slide_id for image in strips[0].patches] == ["high"] * half + ["low"] * half
    changed = replace(high, coords_px0=grid.coords_px0 + 1, slide_id="other")
    strips, notes = make_strips([changed])
    assert strips == ()
    assert notes == ("other: its patches are not shown (the bag was changed after the prediction).",)
