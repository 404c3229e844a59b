"""The command line as its users run it: in processes of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from sam_mil_engine.cli.main import COMMANDS, app
from tiny_slides import write_tiny_slide
from warm_commands import run_command as run


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sam_mil_engine", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", result.stdout, re.MULTILINE)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "pydantic", "h5py", "openslide", "pandas"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_has_an_example(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"sam-mil-engine {name}" in shown.output


def test_importing_the_package_loads_nothing() -> None:
    code = "import sam_mil_engine, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False False"


def test_info(tiny_slide: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.svs"
    text.write_text("hello")
    (tmp_path / "empty.svs").write_bytes(b"")
    result = run("info", tiny_slide, text, tmp_path / "empty.svs", tmp_path / "none.svs", code=1)
    assert "640 x 512 px" in result.stdout
    assert "µm per pixel: 0.5 x 0.5" in result.stdout
    for words in (
        "text.svs: this is a text file",
        "empty.svs: the file is empty",
        "none.svs: there is no such file",
    ):
        assert words in result.stderr
    facts = json.loads(run("info", tiny_slide, "--json").stdout)
    assert facts[0]["size_px0"] == [640, 512]


def test_bad_usage_has_exit_code_2(tiny_slide: Path, tmp_path: Path) -> None:
    assert (
        "there is no tissue preset 'none'"
        in run("process", tiny_slide, "-o", tmp_path / "p", "--preset", "none", code=2).stderr
    )
    assert "patch_size" in run("process", tiny_slide, "-o", tmp_path / "p", "--patch-size", 0, code=2).stderr
    (tmp_path / "folder").mkdir()
    assert (
        "there is no slide in this folder"
        in run("process", tmp_path / "folder", "-o", tmp_path / "p", code=2).stderr
    )
    assert (
        "no such"
        in run("train", "--bags", tmp_path, "--labels", tmp_path / "x.csv", "-o", tmp_path / "r", code=2).stderr
    )


@pytest.mark.slow
def test_from_slides_to_a_report(tmp_path: Path) -> None:
    """process, train, predict, compare-groups, report: each takes what the one before wrote."""
    slides = tmp_path / "slides"
    slides.mkdir()
    lines = ["slide_id,label,split"]
    for number in range(6):
        write_tiny_slide(slides / f"s{number}.tiff", seed=number)
        lines.append(f"s{number},{('normal', 'tumour')[number % 2]},{('train', 'val', 'test')[number // 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    project, result, page = tmp_path / "study", tmp_path / "result", tmp_path / "page.html"

    processed = run("process", slides, "-o", project, "--patch-size", 64, "--json")
    assert [row["state"] for row in json.loads(processed.stdout)] == ["done"] * 6
    assert "[6/6]" in processed.stderr

    trained = run("train", "--bags", project / "bags", "--labels", tmp_path / "labels.csv", "-o", project / "run",
                  "--epochs", 2, "--min-epochs", 0)  # fmt: skip
    assert "test" in trained.stdout
    for name in ("settings.json", "splits.csv", "history.csv", "metrics.json", "curves.png", "predictions.csv"):
        assert (project / "run" / name).stat().st_size > 0
    assert (project / "run" / "fold-0-0" / "model.safetensors").exists()

    run("predict", project / "run", project / "bags" / "s4.h5", slides / "s5.tiff", "-o", result)
    predicted = (result / "predictions.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in predicted] == ["slide_id", "s4", "s5"]
    for name in (
        "s4.json",
        "s4.patches.csv",
        "s4.groups.csv",
        "s4.groups.geojson",
        "s4.attention.png",
        "s4.p_tumour.png",
    ):
        assert (result / name).stat().st_size > 0
    assert (result / "s4.maps.ome.zarr" / "zarr.json").exists()

    table = tmp_path / "groups.csv"
    outlines = project / "masks" / "s4.geojson"
    compared = run("compare-groups", project / "bags" / "s4.h5", "-a", outlines, "-o", table,
                   "--model", project / "run", "--json")  # fmt: skip
    assert json.loads(compared.stdout)[0]["cover_iou"] > 0.3
    assert table.read_text().startswith("annotation,segment")

    for folder in (project, project / "run", result):
        run("report", folder, "-o", page)
        assert "<html" in page.read_text()
        page.unlink()


def test_tissue_that_is_left_out_is_told_of_in_one_line_and_in_the_report(tmp_path: Path) -> None:
    # one piece of 20 squares of 512 x 512 pixels and two of 5; the preset asks for 16
    image = np.full((4096, 8192, 3), 244, np.uint8)
    for left, top, side in ((256, 256, 2304), (3072, 256, 1152), (5120, 2048, 1152)):
        image[top : top + side, left : left + side] = (190, 90, 160)
    slide, project = tmp_path / "pieces.tif", tmp_path / "project"
    tifffile.imwrite(slide, image, tile=(256, 256), photometric="rgb", compression="deflate")
    words = ("--preset", "tcga", "--stages", "tissue", "--source-mpp", "1")
    said = run("process", slide, "--output", project, *words, warned="default")
    (line,) = [one for one in said.stderr.splitlines() if "left out" in one]
    assert line.startswith("warning: pieces: 2 pieces of tissue are left out as too small")
    assert "(33% of the tissue)" in line
    run("report", project)
    page = (project / "report.html").read_text(encoding="utf-8")
    assert "Left out: 2 smaller pieces, 33% of the tissue." in page


def test_failures_end_with_exit_code_1_and_how_to_try_again(tmp_path: Path) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    write_tiny_slide(slides / "blank.tiff", tissue=False)
    write_tiny_slide(slides / "good.tiff")
    command = ("process", slides, "-o", tmp_path / "p", "--stages", "tissue,tiles", "--jobs", 1)
    result = run(*command, code=1)
    assert "1 of 2 slides done" in result.stdout
    assert "no tissue was found" in result.stderr
    assert "1 failed; to try them again, add --retry-failed to the same command" in result.stderr
    again = run(*command, "--retry-failed", code=1)
    assert "0 of 1 slides done" in again.stdout


def test_doctor_and_models() -> None:
    findings = json.loads(run("doctor", "--json").stdout)
    assert {"python", "device", "openslide", "codecs"} <= {finding["name"] for finding in findings}
    assert not [finding for finding in findings if finding["state"] == "bad"]
    found = json.loads(run("models", "--json").stdout)
    assert "regions" in {item["name"] for item in found["segmenters"] if item["on_disk"]}
    assert "efficientnet-lite0" in {item["name"] for item in found["encoders"] if item["on_disk"]}
    assert "demo" in {item["name"] for item in found["classifiers"] if item["on_disk"]}
