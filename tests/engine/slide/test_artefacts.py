"""Artefacts: drawn on generated and real tissue, told apart, counted in the bag, and dropped."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import spoiling
import tifffile
from cheap_models import SETTINGS, use_cheap_models

from sam_mil_engine.bag import h5
from sam_mil_engine.errors import SlideError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.process.results import ProcessedSlide
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.settings import TileSettings
from sam_mil_engine.slide.artefact_map import KINDS, ArtefactMap, count_kinds
from sam_mil_engine.slide.artefacts import find_artefacts, of_image
from sam_mil_engine.slide.blur import UM_PER_PIXEL, blurred_cells, read_sharp
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.tile_grid import TileGrid
from sam_mil_engine.synthetic import make_slide
from tiny_slides import write_tiny_slide


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("generated") / "slide.tif"
    make_slide(path, seed=5, tumour=True, size_px0=(4096, 3072))
    return path


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    return shared_data / "slides" / "aperio" / "CMU-1-Small-Region.svs"


def image_of(path: Path, um: float) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read_image(downsample=um / 0.5)[0]


@pytest.fixture(params=["generated", "real"])
def tissue(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.mark.parametrize("colour", sorted(spoiling.PENS))
def test_pen_of_five_colours_is_found_as_pen(tissue: Path, colour: str) -> None:
    image = image_of(tissue, spoiling.UM)
    drawn, mask = spoiling.pen(image, spoiling.PENS[colour])
    over = mask & spoiling.tissue_of(image, spoiling.UM)
    assert spoiling.share(of_image(drawn, spoiling.UM)["pen"], over) > 0.95


@pytest.mark.parametrize(
    ("kind", "draw", "least"),
    [("air bubble", spoiling.bubble, 0.95), ("dark spot", spoiling.spots, 0.95), ("fold", spoiling.fold, 0.25)],
)
def test_what_lies_on_the_tissue_is_found(tissue: Path, kind: str, draw: object, least: float) -> None:
    image = image_of(tissue, spoiling.UM)
    drawn, mask = draw(image)  # type: ignore[operator]
    over = mask & spoiling.tissue_of(image, spoiling.UM)
    assert spoiling.share(of_image(drawn, spoiling.UM)[kind], over) > least


def test_good_tissue_is_left_alone(tissue: Path) -> None:
    image = image_of(tissue, spoiling.UM)
    assert spoiling.share(spoiling.any_kind(image), spoiling.tissue_of(image, spoiling.UM)) < 0.01
    fine = image_of(tissue, UM_PER_PIXEL)
    assert blurred_cells(fine)[spoiling.tissue_cells(spoiling.tissue_of(fine, UM_PER_PIXEL))].mean() < 0.02


def test_blur_is_found_and_glass_is_not_blurred(tissue: Path) -> None:
    image = image_of(tissue, UM_PER_PIXEL)
    soft = cv2.GaussianBlur(image, (0, 0), 3.0 / UM_PER_PIXEL)
    cells = spoiling.tissue_cells(spoiling.tissue_of(image, UM_PER_PIXEL))
    assert blurred_cells(soft)[cells].mean() > 0.9
    assert not blurred_cells(np.full_like(image, 244)).any()


def test_sharp_tissue_of_a_scanner_between_two_levels_is_not_blurred(tmp_path: Path) -> None:
    """At 0.4 µm per pixel, 2 µm lie just above the level of 1.6 µm, whose pixels are soft when averaged."""
    make_slide(tmp_path / "slide.tif", seed=7, tumour=False, mpp=0.4)
    with open_slide(tmp_path / "slide.tif") as slide:
        soft, frame = slide.read_image(downsample=UM_PER_PIXEL / 0.4)
        sharp, finer = read_sharp(slide, UM_PER_PIXEL / 0.4)
    assert finer.downsample == pytest.approx(frame.downsample, rel=0.01)
    cells = spoiling.tissue_cells(spoiling.tissue_of(sharp, UM_PER_PIXEL))
    assert spoiling.share(blurred_cells(sharp), cells) < 0.05
    assert spoiling.share(blurred_cells(soft), cells) > 0.1


def test_a_patch_is_spoilt_where_half_of_it_is() -> None:
    kinds = np.zeros((20, 40), np.uint8)
    kinds[:, :9], kinds[:, 20:30], kinds[:, 30:] = 1, 1, 5
    kinds[10:, 20:30] = 2
    grid = TileGrid(
        coords_px0=np.array([(0, 0), (80, 0), (160, 0), (200, 0), (240, 0), (400, 0)], np.int32),
        size_px0=(80.0, 160.0),
        read_level=0,
        read_size=(80, 160),
        output_size=80,
        step_px0=(80.0, 160.0),
    )
    found = ArtefactMap(kinds, Frame(downsample=(8.0, 8.0))).of_patches(grid)
    assert found.tolist() == [1, 0, 1, 5, 5, 0]
    assert count_kinds(found) == {"pen": 2, "blur": 2}


def test_a_whole_slide_with_its_map(generated: Path, tmp_path: Path) -> None:
    with open_slide(generated) as slide:
        pixels = slide.read_level(0, (0, 0), slide.info.size_px0)
    right = pixels.shape[1] // 2
    pixels[:, right:] = cv2.GaussianBlur(pixels[:, right:], (0, 0), 8)
    cv2.line(pixels, (300, 1200), (1800, 1500), spoiling.PENS["blue"], 400)
    resolution = {"resolution": (20000, 20000), "resolutionunit": 3}
    tifffile.imwrite(tmp_path / "spoilt.tif", pixels, tile=(256, 256), photometric="rgb", **resolution)
    with open_slide(tmp_path / "spoilt.tif") as slide:
        found = find_artefacts(slide)
    pen, blur = KINDS.index("pen") + 1, KINDS.index("blur") + 1
    middle = found.kinds.shape[1] // 2
    assert (found.kinds[:, : middle - 10] == pen).sum() > 0.8 * 1530 * 400 / 16**2
    assert (found.kinds[:, middle + 10 :] == blur).mean() > 4 * (found.kinds[:, : middle - 10] == blur).mean()


@pytest.mark.parametrize("artefacts", ["keep", "mark", "drop"])
def test_a_project_keeps_marks_or_drops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artefacts: str) -> None:
    use_cheap_models(put=monkeypatch.setattr)
    monkeypatch.setattr("sam_mil_engine.slide.artefacts.find_artefacts", left_half_is_pen)

    def process(choice: str) -> ProcessedSlide:
        tiles = TileSettings(patch_size=64, artefacts=choice)
        return process_slide(slide, tmp_path / "p", settings=SETTINGS.model_copy(update={"tiles": tiles}))

    slide = write_tiny_slide(tmp_path / "s.tiff")
    whole = process("keep")
    assert whole.artefacts is None
    found = process(artefacts)
    if artefacts == "keep":
        assert len(found.reused) == 5
        return
    left = whole.grid.coords_px0[:, 0] < 320
    assert found.artefacts is not None
    assert found.artefacts.counts == {"pen": int(left.sum())}
    expected = whole.grid.coords_px0 if artefacts == "mark" else whole.grid.coords_px0[~left]
    np.testing.assert_array_equal(found.bag.coords_px0, expected)
    assert str(found.artefacts.warning).startswith(f"artefacts spoil {left.sum()} patches ({left.sum()} pen)")
    assert ("left out" in str(found.artefacts.warning)) == (artefacts == "drop")
    assert h5.read_artefacts(process("keep").bag_path) is None


def test_a_slide_that_is_spoilt_throughout_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam_mil_engine.slide.artefacts.find_artefacts", all_is_pen)
    settings = SETTINGS.model_copy(update={"tiles": TileSettings(patch_size=64, artefacts="drop")})
    with pytest.raises(SlideError, match="no patch lies in tissue without artefacts"):
        process_slide(
            write_tiny_slide(tmp_path / "s.tiff"), tmp_path / "p", settings=settings, stages=("tissue", "tiles")
        )


def left_half_is_pen(slide: object, **options: object) -> ArtefactMap:
    kinds = np.zeros((32, 40), np.uint8)
    kinds[:, :20] = 1
    return ArtefactMap(kinds, Frame(downsample=(16.0, 16.0)))


def all_is_pen(slide: object, **options: object) -> ArtefactMap:
    return ArtefactMap(np.ones((32, 40), np.uint8), Frame(downsample=(16.0, 16.0)))
