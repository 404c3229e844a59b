"""A finer map of a window: where it lies, that it is exact on the slide's own patches, and that it is refined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.errors import EncoderError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.mil.aggregator import Aggregator, AggregatorOutput
from sam_mil_engine.mil.bag_tensors import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.prediction.finer import FinerTools, encode_corners, predict_cells
from sam_mil_engine.prediction.slide import predict
from sam_mil_engine.segment.membership import assign_groups
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.settings import FeatureSettings, GroupSettings, ModelSettings, TileSettings
from sam_mil_engine.slide.finer_grid import PARTS, SHIFTS, make_finer_grid
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.slide import Slide
from sam_mil_engine.slide.tile_grid import TileGrid
from sam_mil_engine.slide.tiling import make_tile_grid
from sam_mil_engine.slide.tissue_regions import TissueRegions
from sam_mil_engine.training.checkpoint import TrainedModel
from sam_mil_engine.training.expects import Expects

SIDE, PATCH = 768, 96
#: Left, top, right, bottom of what is dark; it does not begin where a patch does.
DARK = (250, 330, 442, 522)
WHOLE = (0.0, 0.0, float(SIDE), float(SIDE))


class Darkness:
    """Share of dark pixels of a patch, and the share of the others."""

    name, version, weights_sha256, dim = "darkness", "1", "abc", 2
    preprocessing = "none"

    def encode(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(B, S, S, 3) -> (B, 2)."""
        dark = (batch[..., 0] < 128).mean(axis=(1, 2))
        return np.stack([dark, 1 - dark], axis=1).astype(np.float32)


class Dark(Aggregator):
    """Takes patches that are dark by more than a half for tumour."""

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag."""
        features = self.tokens(bag)
        values = 8 * features.flip(1)
        bias = torch.zeros(2)
        return AggregatorOutput(values.mean(dim=0), None, features, None, bias, values=values)


@pytest.fixture
def slide(tmp_path: Path) -> Slide:
    """A pale slide with a dark square."""
    pixels = np.full((SIDE, SIDE, 3), 220, np.uint8)
    left, top, right, bottom = DARK
    pixels[top:bottom, left:right] = 20
    path = tmp_path / "square.tiff"
    tifffile.imwrite(path, pixels, tile=(128, 128), photometric="rgb")
    return open_slide(path)


def square_tissue(left: float, top: float, right: float, bottom: float) -> TissueRegions:
    """One piece of tissue with a hole."""
    ring = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
    hole = np.array([(600, 60), (740, 60), (740, 200), (600, 200)], float)
    return TissueRegions(((ring, (hole,)),), np.array([(right - left) * (bottom - top)]))


TISSUE = square_tissue(0, 0, SIDE, SIDE)


@pytest.fixture
def tools(slide: Slide) -> FinerTools:
    """The slide's own patches, encoded and ready."""
    grid = make_tile_grid(slide.info, TISSUE, TileSettings(patch_size=PATCH))
    model = TrainedModel(
        model=Dark(ModelSettings(name="abmil"), dim=2, n_classes=2).eval().requires_grad_(False),
        classes=("normal", "tumour"),
        threshold=0.5,
        expects=Expects(dim=2, encoder="darkness", patch_size=PATCH, mpp=None),
        name="dark",
    )
    model.model.register_parameter("at", torch.nn.Parameter(torch.zeros(1)))
    return with_features(model, slide, grid)


def with_features(model: TrainedModel, slide: Slide, grid: TileGrid) -> FinerTools:
    """Encode the patches of a grid."""
    attrs = {"encoder": "darkness", "patch_size": PATCH, "weights_sha256": "abc"}
    empty = FeatureBag("square", grid.coords_px0, np.zeros((0, 2), np.float32), attrs=attrs)
    found = FinerTools(empty, grid, model, Darkness(), FeatureSettings(readers=1), GroupSettings())
    return replace(found, bag=replace(empty, features=encode_corners(found, slide, grid.coords_px0)))


def whole_map(
    tools: FinerTools, slide: Slide, window: tuple[float, float, float, float]
) -> tuple[np.ndarray, Frame]:
    """Predict all shifts of a window."""
    grid = make_finer_grid(tools.grid, TISSUE, window, rule="four_point")
    values = np.full(grid.inside.shape, np.nan, np.float32)
    for shift in SHIFTS:
        cells = grid.cells(shift)
        found = predict_cells(tools, slide, grid, cells, slide_probabilities=(0.5, 0.5))
        values[cells[:, 1], cells[:, 0]] = found[:, 1]
    return values, grid.frame


def test_the_map_lies_where_the_square_is(tools: FinerTools, slide: Slide) -> None:
    values, frame = whole_map(tools, slide, WHOLE)
    step = PATCH / PARTS
    assert frame.downsample == (step, step)
    rows, columns = np.nonzero(values > 0.5)
    points = frame.to_px0(np.stack([columns, rows], axis=1) + 0.5)
    left, top, right, bottom = DARK
    assert points.min(axis=0) == pytest.approx((left, top), abs=step)
    assert points.max(axis=0) == pytest.approx((right, bottom), abs=step)
    weights = values[rows, columns]
    middle = (points * weights[:, None]).sum(axis=0) / weights.sum()
    assert middle == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=step / 4)
    assert len(points) > 10 * (np.asarray(predict(tools.model, tools.bag).patch_probability[:, 1]) > 0.5).sum()


@pytest.mark.parametrize("window", [WHOLE, (100.0, 130.0, 460.0, 600.0)])
def test_every_cell_is_predicted_once_and_no_shift_overlaps_itself(
    tools: FinerTools, window: tuple[float, float, float, float]
) -> None:
    grid = make_finer_grid(tools.grid, TISSUE, window, rule="four_point")
    counts = np.zeros(grid.inside.shape, int)
    for shift in SHIFTS:
        cells = grid.cells(shift)
        np.add.at(counts, (cells[:, 1], cells[:, 0]), 1)
        corners = grid.corners_px0(cells)
        apart = np.abs(corners[:, None] - corners).max(axis=2)
        assert (apart[~np.eye(len(cells), dtype=bool)] >= PATCH).all()
    np.testing.assert_array_equal(counts, grid.inside.astype(int))
    centres = grid.frame.to_px0(np.argwhere(grid.inside)[:, ::-1] + 0.5)
    assert (centres >= np.array(window[:2]) - 1).all()
    assert (centres <= np.array(window[2:]) + 1).all()
    assert not ((centres > (604, 64)) & (centres < (736, 196))).all(axis=1).any(), "not in the hole"


@pytest.mark.parametrize("rule", ["four_point", "centre"])
def test_the_first_shift_is_the_grid_of_the_slide(slide: Slide, rule: str) -> None:
    tissue = square_tissue(130, 75, 700, 610)
    grid = make_tile_grid(slide.info, tissue, TileSettings(patch_size=PATCH, rule=rule))
    finer = make_finer_grid(grid, tissue, WHOLE, rule=rule)
    own = finer.corners_px0(finer.cells((0, 0)))
    assert sorted(own.tolist()) == sorted(grid.coords_px0.tolist())
    assert finer.in_window(grid.coords_px0).all()


def test_a_window_without_the_slide_has_no_cell(tools: FinerTools) -> None:
    for window in ((-500.0, -500.0, -100.0, -100.0), (900.0, 0.0, 1200.0, 700.0)):
        assert not make_finer_grid(tools.grid, TISSUE, window, rule="centre").inside.any()


@pytest.mark.parametrize("derivation", ["instance", "class-activation"])
def test_the_slides_own_patches_have_the_probability_they_had_also_with_groups(
    tools: FinerTools, slide: Slide, derivation: str
) -> None:
    torch.manual_seed(1)
    settings = ModelSettings(name="abmil", groups=True, patch_probability=derivation)
    net = build_aggregator(settings, dim=2, n_classes=2).eval()
    mask = np.zeros((8, 8), bool)
    mask[2:6, 2:5] = True
    segments = Segments.from_masks([mask, ~mask], frame=Frame((0, 0), (96, 96)), size_raster=(8, 8))
    bag = tools.bag.with_groups(assign_groups(segments, tools.bag.coords_px0, tools.grid.size_px0))
    chosen = replace(tools, model=replace(tools.model, model=net), bag=bag, segments=segments).check()
    scores = predict(chosen.model, bag)
    grid = make_finer_grid(tools.grid, TISSUE, (90.0, 90.0, 500.0, 600.0), rule="four_point")
    cells = grid.cells((0, 0))
    found = predict_cells(chosen, slide, grid, cells, slide_probabilities=tuple(scores.probabilities))
    number = {tuple(corner): k for k, corner in enumerate(scores.coords_px0.tolist())}
    rows = [number[tuple(corner)] for corner in grid.corners_px0(cells).tolist()]
    assert len(rows) > 5
    np.testing.assert_allclose(found, scores.patch_probability[rows], atol=1e-5)


def test_features_of_other_weights_are_refused(tools: FinerTools) -> None:
    bag = replace(tools.bag, attrs={**tools.bag.attrs, "weights_sha256": "other"})
    with pytest.raises(EncoderError, match="other weights of darkness"):
        replace(tools, bag=bag).check()
