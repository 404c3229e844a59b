"""The map of the current view from patches at a quarter of the step, predicted in the worker. No Qt, no napari."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sam_mil_engine.errors import ModelError, SettingsError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.progress import Progress, ProgressCallback, silent

from ..background.worker import call_in_worker
from .model import Analysis
from .project_settings import recorded_settings
from .segment_table import shown_class
from .source import SlideSource

if TYPE_CHECKING:
    from sam_mil_engine.prediction.finer import FinerTools
    from sam_mil_engine.slide.finer_grid import FinerGrid, Window

#: Stage of the progress reports.
STAGE = "finer map"


@dataclass(frozen=True, slots=True)
class FinerMap:
    """The map of a window, as far as it is predicted.

    Attributes
    ----------
    values
        (rows, columns) float32 probability of the shown class; NaN where no patch was predicted.
    inside
        (rows, columns) bool: the cells that will have a value.
    frame
        Frame of one pixel per cell.
    """

    values: npt.NDArray[np.float32]
    inside: npt.NDArray[np.bool_]
    frame: Frame

    @property
    def is_complete(self) -> bool:
        """Whether every cell has a value."""
        return not np.isnan(self.values[self.inside]).any()

    def filled(self) -> npt.NDArray[np.float32]:
        """Return the values, with those of the nearest predicted cell where the map still grows."""
        known = ~np.isnan(self.values)
        if self.is_complete or not known.any():
            return self.values
        from scipy.ndimage import distance_transform_edt

        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        return np.where(self.inside, self.values[tuple(nearest)], np.float32(np.nan)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Request:
    """What the worker loads once for all parts of a map."""

    bag_path: Path
    model: Path
    modified: int


@dataclass(frozen=True, slots=True)
class FinerPart:
    """The patches of one shift, for the worker."""

    request: _Request
    slide: Path
    grid: FinerGrid = field(repr=False)
    cells: npt.NDArray[np.int64] = field(repr=False)
    slide_probabilities: tuple[float, ...]
    column: int


def grow_map(
    source: SlideSource,
    analysis: Analysis,
    window_px0: Window,
    grown: Callable[[FinerMap], object],
    *,
    progress: ProgressCallback = silent,
) -> FinerMap:
    """Predict the patches of a window at a quarter of the step, shift by shift.

    Parameters
    ----------
    source, analysis
        The slide, and its results with a prediction.
    window_px0
        Left, top, right, bottom.
    grown
        Called with the map after every shift, first with the slide's own patches. May be called from any thread.
    progress
        Stage ``finer map``, unit ``patches``.

    Raises
    ------
    SettingsError
        If there is no tissue in the window.
    ModelError
        If the prediction was read from a file, so that its classifier is not known.
    SamMilError
        If a patch cannot be read, encoded or predicted.
    """
    from sam_mil_engine.slide.finer_grid import SHIFTS, make_finer_grid

    processed, scores, model = analysis.processed, analysis.scores, analysis.model
    if scores is None or processed.grid is None or processed.tissue is None or model is None:
        raise ModelError(
            "the classifier of this result is not known, so further patches cannot be predicted",
            hint="Press Segment/Classify in the Analyze dock",
        )
    settings = recorded_settings(processed.bag_path.parents[1])
    grid = make_finer_grid(processed.grid, processed.tissue, window_px0, rule=settings.tiles.rule)
    if not grid.inside.any():
        raise SettingsError("there is no tissue in view", hint="Move to the tissue, then try again")
    values = np.full(grid.inside.shape, np.nan, dtype=np.float32)
    column = shown_class(scores)
    own = np.flatnonzero(grid.in_window(scores.coords_px0))
    there = np.round(scores.coords_px0[own] / np.asarray(grid.step_px0)).astype(np.int64) - grid.first
    values[there[:, 1], there[:, 0]] = scores.patch_probability[own, column]
    inside = grid.inside | ~np.isnan(values)
    grown(FinerMap(values.copy(), inside, grid.frame))
    request = _Request(processed.bag_path, model.path, processed.bag_path.stat().st_mtime_ns)
    probabilities = tuple(float(value) for value in scores.probabilities)
    total, done = int(np.isnan(values[inside]).sum()), 0
    for shift in SHIFTS:
        cells = grid.cells(shift)
        cells = cells[np.isnan(values[cells[:, 1], cells[:, 0]])]
        if not len(cells):
            continue

        def report(inner: Progress, done: int = done, share: int = len(cells)) -> None:
            part = inner.done if inner.stage == "features" and inner.total == share else 0
            progress(Progress(STAGE, done + part, total, unit="patches"))

        part = FinerPart(
            request=request,
            slide=source.info.path,
            grid=grid,
            cells=cells,
            slide_probabilities=probabilities,
            column=column,
        )
        values[cells[:, 1], cells[:, 0]] = call_in_worker(predict_part, part, progress=report)
        done += len(cells)
        grown(FinerMap(values.copy(), inside, grid.frame))
    progress(Progress(STAGE, total, total, unit="patches"))
    return FinerMap(values, inside, grid.frame)


def predict_part(part: FinerPart, *, progress: ProgressCallback = silent) -> npt.NDArray[np.float32]:
    """Predict the patches of one shift, in the worker: (M,) probabilities of the shown class."""
    from sam_mil_engine.prediction.finer import predict_cells
    from sam_mil_engine.slide.reader import open_slide

    progress(Progress(STAGE, 0, 0))
    tools = _tools(part.request)
    with open_slide(part.slide) as slide:
        found = predict_cells(
            *(tools, slide, part.grid, part.cells),
            slide_probabilities=part.slide_probabilities,
            progress=progress,
        )
    return np.ascontiguousarray(found[:, part.column])


@lru_cache(maxsize=1)
def _tools(request: _Request) -> FinerTools:
    """Load bag, classifier and encoder of a slide. The worker keeps those of the last one."""
    from sam_mil_engine.bag import h5
    from sam_mil_engine.errors import BagError
    from sam_mil_engine.features.loading import load_encoder
    from sam_mil_engine.prediction.finer import FinerTools
    from sam_mil_engine.training.checkpoint import load_model

    path = request.bag_path
    bag, grid, settings = h5.read_bag(path), h5.read_grid(path), recorded_settings(path.parents[1])
    name = bag.attrs.get("encoder")
    if grid is None or name is None:
        raise BagError("the bag does not say how its patches were encoded", where=path)
    encoder = load_encoder(str(name), precision=settings.features.precision)
    model = load_model(request.model)
    segments = h5.read_segments(path) if bag.groups is not None else None
    return FinerTools(
        bag=bag,
        grid=grid,
        model=model,
        encoder=encoder,
        features=settings.features,
        groups=settings.groups,
        segments=segments,
    ).check()
