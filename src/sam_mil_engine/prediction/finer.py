"""A finer map of a part of a slide: its patches again, shifted by quarters of their step.

Each of the sixteen shifts is a bag of its own: the slide's patches outside of the window, and in the window the
shifted ones. So every bag is one as the model knows it, without overlap, and the shift (0, 0) is the slide's own
bag. Calibrated probabilities take that of the whole slide.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from ..bag.feature_bag import FeatureBag
from ..devices import pick_device, reading_threads
from ..errors import EncoderError
from ..features.encode import encode_patches
from ..features.encoder import Encoder
from ..features.patch_stream import PatchStream
from ..mil.bag_tensors import BagTensors
from ..mil.scores import FloatVector
from ..progress import ProgressCallback, silent
from ..segment.membership import assign_groups
from ..segment.segments import Segments
from ..settings import FeatureSettings, GroupSettings
from ..slide.finer_grid import FinerGrid
from ..slide.slide import Slide
from ..slide.tile_grid import TileGrid
from ..training.checkpoint import TrainedModel
from .patch_probabilities import patch_probabilities
from .slide import check_bag


@dataclass(frozen=True, slots=True)
class FinerTools:
    """What predicts further patches of one slide.

    Attributes
    ----------
    bag, grid
        The slide's own patches.
    model, encoder
        What the slide was predicted with.
    features, groups
        Settings of its bag.
    segments
        Needed where the model sees groups.
    """

    bag: FeatureBag
    grid: TileGrid
    model: TrainedModel
    encoder: Encoder
    features: FeatureSettings
    groups: GroupSettings
    segments: Segments | None = None

    def check(self) -> FinerTools:
        """Return the tools themselves if they fit each other.

        Raises
        ------
        ModelError
            If the bag is not one that the model expects.
        EncoderError
            If the features of the bag were made with other weights.
        """
        check_bag(self.model, self.bag)
        made_with = self.bag.attrs.get("weights_sha256", self.encoder.weights_sha256)
        if made_with != self.encoder.weights_sha256:
            raise EncoderError(
                f"the features of the slide were made with other weights of {self.encoder.name}",
                where=str(self.bag.attrs.get("path", self.bag.slide_id)),
                hint="Compute the features of the slide again",
            )
        return self


def predict_cells(
    tools: FinerTools,
    slide: Slide,
    finer: FinerGrid,
    cells: npt.NDArray[np.int64],
    *,
    slide_probabilities: Sequence[float],
    progress: ProgressCallback = silent,
) -> FloatVector:
    """Encode and predict the patches of cells that do not overlap each other.

    Parameters
    ----------
    tools
        What predicts.
    slide
        The open slide.
    finer, cells
        The grid of the window, and (M, 2) of its cells, those of one shift.
    slide_probabilities
        (C,) of the whole slide.
    progress
        Stage ``features``, unit ``tiles``.

    Returns
    -------
    (M, C) probabilities.

    Raises
    ------
    SlideError, EncoderError
        If a patch cannot be read or encoded.
    """
    corners = finer.corners_px0(cells)
    new = encode_corners(tools, slide, corners, progress=progress)
    stays = ~finer.in_window(tools.bag.coords_px0)
    bag = replace(
        tools.bag,
        coords_px0=np.concatenate([tools.bag.coords_px0[stays], corners]),
        features=np.concatenate([tools.bag.features[stays], new]),
        groups=None,
        group_features=None,
    )
    if tools.model.model.group_tokens and tools.segments is not None:
        rule = tools.groups.rule
        bag = bag.with_groups(assign_groups(tools.segments, bag.coords_px0, tools.grid.size_px0, rule=rule))
    net = tools.model.model.eval()
    with torch.inference_mode():
        output = net(BagTensors.of(bag, device=tools.model.device))
        found = patch_probabilities(tools.model, output, len(bag), slide_probabilities)
    return found.values[len(bag) - len(cells) :]


def encode_corners(
    tools: FinerTools, slide: Slide, corners_px0: npt.NDArray[np.int32], *, progress: ProgressCallback = silent
) -> FloatVector:
    """(M, 2) corners -> (M, D) features of these patches, of the type of the bag's."""
    settings = tools.features
    threads = settings.readers or reading_threads(pick_device("auto"))
    grid = replace(tools.grid, coords_px0=corners_px0)
    stream = PatchStream(slide, grid, batch=settings.batch_size, block=settings.block, threads=threads)
    dtype = str(tools.bag.features.dtype)
    settings = FeatureSettings.model_validate({**settings.model_dump(), "dtype": dtype})
    with closing(stream):
        blocks = [
            rows[0] for _, rows in encode_patches(stream, [tools.encoder], settings=settings, progress=progress)
        ]
    width = tools.bag.width
    return np.concatenate(blocks) if blocks else np.zeros((0, width), dtype=dtype)
