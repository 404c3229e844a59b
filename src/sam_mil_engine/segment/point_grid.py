"""Where SAM is prompted: the image, its crops, and a grid of points on each (Kirillov et al. 2023, §B)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.utils.amg import build_all_layer_point_grids, generate_crop_boxes
from segment_anything.utils.transforms import ResizeLongestSide

from ..settings import SegmentSettings
from .image import SegmentationImage
from .mask_filters import FullResolution
from .scaling import Stretch

#: Crops below this side in pixels show nothing that the whole image does not: their layer is left out.
_SMALLEST_CROP = 16
#: Overlap of crops as a share of the image's short side: Meta's default.
_OVERLAP = 512 / 1500


@dataclass(frozen=True)
class Crop:
    """A rectangle of the image that SAM sees as one image.

    Attributes
    ----------
    box_raster
        Left, top, right, bottom; the last two are the first pixels outside.
    points
        (P, 2) float64 x, y of the prompts in pixels of the crop.
    scaling
        How the crop is scaled to SAM's square input.
    """

    box_raster: tuple[int, int, int, int]
    points: npt.NDArray[np.float64]
    scaling: ResizeLongestSide

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        left, top, right, bottom = self.box_raster
        return bottom - top, right - left

    @cached_property
    def input_size(self) -> tuple[int, int]:
        """Rows and columns of the crop in SAM's input; the rest is padding."""
        height, width = self.scaling.get_preprocess_shape(*self.size, self.scaling.target_length)
        return height, width

    @property
    def input_points(self) -> npt.NDArray[np.float32]:
        """(P, 2) prompts in pixels of SAM's input; in float32, for Apple's devices have no other."""
        scaled: npt.NDArray[np.float32] = self.scaling.apply_coords(self.points, self.size).astype(np.float32)
        return scaled

    def scaled(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Cut the crop out of the image (h, w, 3) and scale it to :attr:`input_size`."""
        left, top, right, bottom = self.box_raster
        cut = np.ascontiguousarray(image[top:bottom, left:right])
        out: npt.NDArray[np.uint8] = self.scaling.apply_image(cut)
        return out

    def resolution(self, n_logits: int, device: torch.device) -> FullResolution:
        """Return what enlarges the logits of the square input, ``n_logits`` a side, to the pixels of the crop.

        SAM enlarges them to its input first, SAM 2 at once.
        """
        if isinstance(self.scaling, Stretch):
            return FullResolution(n_logits, n_logits, (n_logits, n_logits), self.size, device)
        return FullResolution(n_logits, self.scaling.target_length, self.input_size, self.size, device)


def make_crops(image: SegmentationImage, settings: SegmentSettings, *, scaling: ResizeLongestSide) -> list[Crop]:
    """List the image and its crops in Meta's order; layer n has 4^n crops and a coarser grid.

    With ``prompts_on_tissue`` the points outside the tissue are left out, and crops that have no other.
    """
    width, height = image.size_raster
    layers = settings.crop_n_layers
    while layers and min(width, height) < _SMALLEST_CROP * 2**layers:
        layers -= 1
    grids = build_all_layer_point_grids(settings.points_per_side, layers, settings.crop_n_points_downscale_factor)
    boxes, layer_of_box = generate_crop_boxes((height, width), layers, _OVERLAP)
    crops = []
    for box, layer in zip(boxes, layer_of_box, strict=True):
        left, top, right, bottom = box
        points = grids[layer] * (right - left, bottom - top)
        if settings.prompts_on_tissue:
            x, y = np.floor(points).astype(int).T
            points = points[image.tissue[top + y, left + x]]
        if len(points):
            crops.append(Crop((left, top, right, bottom), points, scaling))
    return crops
