"""Everything at once: Meta's automatic mask generator over a picture, as the paper runs it (SAM-MIL §4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from segment_anything.utils.amg import MaskData, generate_crop_boxes, rle_to_mask

from ..errors import SegmentError
from ..progress import Progress, ProgressCallback, silent
from ..settings import SegmentSettings
from .image import SegmentationImage
from .predictor import check_picture
from .segments import Segments

#: Crops below this side in pixels show nothing that the whole picture does not: their layer is left out.
_SMALLEST_CROP = 16


class AutomaticSegmenter:
    """SAM prompted with a grid of points on the picture and on its crops; masks may overlap and nest.

    Parameters
    ----------
    sam
        The model.
    name, version
        What it is called, and the first digits of its checksum.
    settings
        The generator's thresholds and grids.
    """

    def __init__(self, sam: Sam, *, name: str, version: str, settings: SegmentSettings):
        self.name = name
        self.version = version
        self.settings = settings
        self._sam = sam

    def segment(self, picture: SegmentationImage, *, progress: ProgressCallback = silent) -> Segments:
        """Find all masks that touch tissue; ``progress`` is called before every layer and batch of points.

        Returns
        -------
        Segments
            In the generator's order; empty where no mask survives.

        Raises
        ------
        SegmentError
            If SAM cannot take the picture, or the device runs out of memory.
        """
        check_picture(picture.image)
        if not picture.tissue.any():
            return Segments.empty(picture.frame, picture.size_raster)
        generator = _ReportingGenerator(self._sam, self.settings, picture.size_raster, progress)
        try:
            with _before_each_layer(self._sam, generator.report):
                records = generator.generate(np.ascontiguousarray(picture.image))
        except torch.OutOfMemoryError as error:
            raise SegmentError(
                f"the device has too little memory for {self.settings.points_per_batch} points at once",
                hint="Use fewer points_per_batch, a smaller SAM, or the device cpu",
            ) from error
        generator.report()
        return _segments_on_tissue(records, picture)


class _ReportingGenerator(SamAutomaticMaskGenerator):  # type: ignore[misc]  # segment_anything has no types
    """Meta's generator, which reports as it goes and returns no mask instead of failing."""

    def __init__(
        self,
        sam: Sam,
        settings: SegmentSettings,
        size_raster: tuple[int, int],
        progress: ProgressCallback,
    ):
        width, height = size_raster
        layers = settings.crop_n_layers
        while layers and min(width, height) < _SMALLEST_CROP * 2**layers:
            layers -= 1
        super().__init__(
            sam,
            points_per_side=settings.points_per_side,
            points_per_batch=settings.points_per_batch,
            pred_iou_thresh=settings.pred_iou_thresh,
            stability_score_thresh=settings.stability_score_thresh,
            crop_n_layers=layers,
            crop_n_points_downscale_factor=settings.crop_n_points_downscale_factor,
            min_mask_region_area=settings.min_mask_region_area,
            # Run lengths stay small where whole masks of hundreds of segments would not.
            output_mode="uncompressed_rle",
        )
        _in_single_precision(self.predictor.transform)
        _, layer_of_crop = generate_crop_boxes((height, width), layers, self.crop_overlap_ratio)
        self._progress = progress
        self._done, self._total = 0, sum(len(self.point_grids[layer]) for layer in layer_of_crop)

    def report(self) -> None:
        """Say how many points are done."""
        self._progress(Progress("segments", self._done, self._total, unit="points"))

    def _process_crop(self, *args: Any) -> MaskData:
        data = super()._process_crop(*args)
        # Without a mask the boxes of the crops come as shape (0,), on which the generator would raise IndexError.
        data["crop_boxes"] = data["crop_boxes"].reshape(-1, 4)
        return data

    def _process_batch(self, points: npt.NDArray[np.float64], *args: Any) -> MaskData:
        self.report()
        data = super()._process_batch(points, *args)
        self._done += len(points)
        return data


def _in_single_precision(transform: Any) -> None:
    """Make prompt coordinates float32, as SAM uses them: Apple's devices have no float64."""
    apply_coords = transform.apply_coords

    def apply_coords_float32(
        coords: npt.NDArray[np.float64], original_size: tuple[int, ...]
    ) -> npt.NDArray[np.float32]:
        return np.asarray(apply_coords(coords, original_size), dtype=np.float32)

    transform.apply_coords = apply_coords_float32


@contextmanager
def _before_each_layer(sam: Sam, report: Callable[[], None]) -> Iterator[None]:
    """Report before each layer of the image encoder, which takes seconds on a CPU: cancelling need not wait."""
    hooks = [block.register_forward_pre_hook(lambda *_: report()) for block in sam.image_encoder.blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _segments_on_tissue(records: list[dict[str, Any]], picture: SegmentationImage) -> Segments:
    boxes, crops, kept = [], [], []
    for record in records:
        mask = rle_to_mask(record["segmentation"])
        if not (mask & picture.tissue).any():
            continue
        x, y, width, height = Segments.tight_box(mask)
        boxes.append((x, y, width, height))
        crops.append(np.ascontiguousarray(mask[y : y + height, x : x + width]))
        kept.append(record)
    return Segments.from_crops(
        crops,
        boxes,
        frame=picture.frame,
        size_raster=picture.size_raster,
        predicted_iou=[record["predicted_iou"] for record in kept],
        stability=[record["stability_score"] for record in kept],
    )
