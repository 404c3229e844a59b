"""The bundled lymph-node classifier: its slides, its files, and that it is chosen for lymph nodes alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.bag import h5
from sam_mil_engine.prediction.batch import predict_paths
from sam_mil_engine.synthetic import make_slide
from sam_mil_engine.synthetic.pyramid import write_pyramid
from sam_mil_engine.training.checkpoint import load_candidates, load_model
from sam_mil_engine.training.model_folders import AUTO, bundled_models
from warm_commands import run_script

TRAINING = Path(__file__).parents[3] / "training" / "lymph_node"
SIDE = 96


@pytest.fixture(scope="module")
def made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("node")
    tiles = shared_data / "lymph_node" / "pcam.zip"
    run_script(TRAINING / "compose.py", work, "--tiles", tiles, "--short")
    return work


def test_slides_hold_the_tiles_of_their_part_alone_and_patches_are_tiles(made: Path) -> None:
    official = {"train": "train/", "val": "valid/", "test": "test/"}
    for row in pd.read_csv(made / "labels.csv").to_dict("records"):
        with tifffile.TiffFile(made / "slides" / f"{row['slide_id']}.tiff") as tiff:
            tiles = json.loads(tiff.pages[0].tags["ImageDescription"].value)["tiles"]
        assert all(name.startswith(official[row["split"]] + "0/") for name in tiles["normal"])
        assert all(name.startswith(official[row["split"]] + "1/") for name in tiles["tumour"])
        assert bool(tiles["tumour"]) == (row["label"] == "tumour")
        bag = h5.read_bag(made / "project" / "bags" / f"{row['slide_id']}.h5")
        assert (bag.coords_px0 % SIDE == 0).all()
        assert (bag.attrs["patch_size"], bag.attrs["encoder"]) == (SIDE, "efficientnet-lite0")
        # white tiles at the edge of the tissue may be left out
        assert 0.8 * row["patches"] <= len(bag) <= row["patches"] + 5


def test_outlines_are_the_cells_of_tumour_tiles(made: Path) -> None:
    row = pd.read_csv(made / "labels.csv").set_index("slide_id").loc["node-test-001"]
    outlines = read_annotations(made / "annotations" / "node-test-001.geojson")
    assert sum(outline.polygon.area for outline in outlines) == row["tumour_patches"] * SIDE**2
    assert row["tumour_patches"] >= 3
    assert not (made / "annotations" / "node-test-000.geojson").exists()


def test_the_model_loads_and_its_card_says_what_its_files_say() -> None:
    folder = bundled_models()["lymph-node"]
    model, description = load_model("lymph-node", device="cpu"), json.loads((folder / "model.json").read_text())
    assert model.name == "lymph-node"
    assert model.classes == ("normal", "tumour")
    assert (model.expects.patch_size, model.expects.encoder) == (SIDE, "efficientnet-lite0")
    assert model.expects.mpp == pytest.approx(0.97)
    assert model.calibration is not None
    card = model.card
    assert "not for diagnosis" in card.lower()
    assert all(
        word in card for word in ("PatchCamelyon", "CAMELYON16", "CC0", "licence", "interval", "96 px at 0.97")
    )
    assert f"threshold {description['threshold']:.3f} and temperature {description['temperature']:.2f}" in card
    calibration = description["calibration"]
    assert f"{calibration['slides']} validation slides ({calibration['negative_slides']} normal)" in card
    assert f"seed {description['seed']}" in card
    said = float(re.search(r"weights of (\d+) kB", card)[1])
    assert (folder / "model.safetensors").stat().st_size / 1000 == pytest.approx(said, rel=0.02)
    assert said < 3000


def test_the_card_agrees_with_the_evaluation() -> None:
    card = load_model("lymph-node", device="cpu").card
    evaluation = (TRAINING / "evaluation.md").read_text()
    asked = [line for line in card.splitlines() if line.endswith(("| yes |", "| **no** |"))]
    assert len(asked) == 5
    crops = [line for line in card.splitlines() if line.startswith(("| map of this model", "| colour alone"))]
    assert len(crops) == 2
    assert all(line in evaluation.splitlines() for line in asked + crops)


def test_each_slide_gets_the_classifier_of_its_kind(made: Path, shared_data: Path, tmp_path: Path) -> None:
    make_slide(tmp_path / "generated.tiff", seed=3, tumour=True, size_px0=(1200, 900))
    colon = _mosaic(sorted((shared_data / "lc25000_colon").glob("**/*.jp*g")), (5, 4))
    write_pyramid(tmp_path / "colon.tiff", colon, mpp=0.7, description="colon", quality=95)
    node = made / "slides" / "node-test-000.tiff"
    paths = [node, tmp_path / "generated.tiff", tmp_path / "colon.tiff"]
    found = list(predict_paths(load_candidates(AUTO, device="cpu"), paths, tmp_path / "out", device="cpu"))
    assert [one.row().get("model", one.error) for one in found] == ["lymph-node", "demo", "colon"]
    assert found[0].result.scores.attrs["patch_size"] == SIDE
    # the bags are as good: each is predicted by a model that expects its patches
    bags = [tmp_path / "out" / "project" / "bags" / f"{path.stem}.h5" for path in paths]
    again = predict_paths(load_candidates(AUTO, device="cpu"), bags, tmp_path / "again", device="cpu")
    assert [one.row()["model"] for one in again] == ["lymph-node", "demo", "colon"]


def _mosaic(files: list[Path], cells: tuple[int, int]) -> np.ndarray:
    """Photographs on white glass, one beside the other."""
    chosen = files[:: len(files) // (cells[0] * cells[1])]
    tiles = [cv2.imread(str(file))[..., ::-1] for file in chosen[: cells[0] * cells[1]]]
    rows = [np.concatenate(tiles[k : k + cells[0]], axis=1) for k in range(0, len(tiles), cells[0])]
    return np.pad(np.concatenate(rows), ((150, 150), (150, 150), (0, 0)), constant_values=244)
