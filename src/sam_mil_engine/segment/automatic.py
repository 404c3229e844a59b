"""SAM's automatic masks of an image, as the paper runs it (SAM-MIL §4.1).

The masks are those of ``segment_anything.SamAutomaticMaskGenerator`` with the same weights and settings; how they
are computed is in ``point_grid``, ``fast_encoder``, ``fast_decoder``, ``mask_filters`` and ``candidates``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, TypeVar

import torch
from segment_anything.modeling import Sam
from torch import Tensor

from ..errors import SegmentError
from ..models.segmenters import TISSUE_SAM
from ..progress import Progress, ProgressCallback, silent
from ..settings import SegmentSettings
from .candidates import Candidate, CropCandidates, FoundMask, merge_crop_masks, without_small_regions
from .cores import Cores
from .fast_decoder import FastDecoder, PlainDecoder, build_decoder
from .fast_encoder import FastEncoder, PlainEncoder, build_encoder
from .filled import FilledSegmenter
from .image import SegmentationImage
from .mask_filters import FullResolution
from .named_sams import load_named_sam
from .point_grid import Crop, make_crops
from .predictor import check_image
from .regions import StainRegionSegmenter
from .segmenter import Segmenter
from .segments import Segments
from .tissue_sam.bundle import with_bundled_thresholds

#: Prompts and crops at once. A processor is fastest while a batch fits into its cache, a GPU when it is filled.
_PROMPTS_CPU, _PROMPTS_GPU = 4, 64
_CROPS_CPU, _CROPS_GPU = 1, 4

Result = TypeVar("Result")


def build_segmenter(*, name: str, settings: SegmentSettings, device: str) -> Segmenter:
    """Return the segmenter that asks the SAM called ``name``: a published or an added one, or a checkpoint's path.

    What the masks of ``tissue-sam`` leave of the tissue is filled with regions.

    Raises
    ------
    SegmentError
        If there is none, or its weights are missing, damaged or of another shape.
    """
    found = load_named_sam(name, device=device)
    if found.name != TISSUE_SAM:
        return AutomaticSegmenter(found.sam, name=found.name, version=found.version, settings=settings)
    settings = with_bundled_thresholds(settings)
    own = AutomaticSegmenter(found.sam, name=found.name, version=found.version, settings=settings)
    return FilledSegmenter(own, StainRegionSegmenter(settings))


class AutomaticSegmenter:
    """SAM prompted with a grid of points on the image and on its crops; masks may overlap and nest.

    Parameters
    ----------
    sam
        The model. Image encoders and decoders of Meta's classes are run in the fast way, others as they are.
    name, version
        What it is called, and the first digits of its checksum.
    settings
        Thresholds, grids and precision.
    """

    def __init__(self, sam: Sam, *, name: str, version: str, settings: SegmentSettings):
        self.name = name
        self.version = version
        self.settings = settings
        self._sam = sam
        dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[settings.precision]
        with torch.inference_mode():
            self._encoder, self._decoder = build_encoder(sam, dtype=dtype), build_decoder(sam, dtype=dtype)

    def segment(self, image: SegmentationImage, *, progress: ProgressCallback = silent) -> Segments:
        """Find all masks that touch tissue; ``progress`` is called before every layer and batch of points.

        Returns
        -------
        Segments
            In the order of Meta's generator; empty where no mask survives.

        Raises
        ------
        SegmentError
            If SAM cannot take the image, or the device runs out of memory even with one point at a time.
        """
        check_image(image.rgb)
        if not image.tissue.any():
            return Segments.empty(image.frame, image.size_raster)
        minimum = self.settings.min_mask_region_area
        with torch.inference_mode(), Cores(self._sam.device) as cores:
            parts = (self._sam, self._encoder, self._decoder, cores)
            masks = _Run(*parts, settings=self.settings, image=image, progress=progress).masks()
        if minimum:
            masks = without_small_regions(masks, size=image.rgb.shape[:2], min_area=minimum)
        return _segments_on_tissue(masks, image)


class _Run:
    """One image on its way through the model, and how far it is."""

    def __init__(
        self,
        sam: Sam,
        encoder: FastEncoder | PlainEncoder,
        decoder: FastDecoder | PlainDecoder,
        cores: Cores,
        *,
        settings: SegmentSettings,
        image: SegmentationImage,
        progress: ProgressCallback,
    ):
        self._sam, self._encoder, self._decoder, self._cores = sam, encoder, decoder, cores
        self._settings, self._image, self._progress = settings, image, progress
        self._crops = make_crops(image, settings, input_side=sam.image_encoder.img_size)
        self._done, self._total = 0, sum(len(crop.points) for crop in self._crops)

    def masks(self) -> list[FoundMask]:
        """All masks of the image."""
        on_cpu = self._sam.device.type == "cpu"
        prompts = self._settings.points_per_batch or (_PROMPTS_CPU if on_cpu else _PROMPTS_GPU)
        found = []
        for encoded in in_batches(self._encode, self._crops, _CROPS_CPU if on_cpu else _CROPS_GPU, unit="crops"):
            for crop, embedding in encoded:
                found.append(self._decode(crop, embedding, prompts))
        return merge_crop_masks(found, threshold=self._sam.mask_threshold)

    def _encode(self, crops: Sequence[Crop]) -> list[tuple[Crop, Tensor]]:
        """Compute the embedding (C, h, w) of each crop."""
        inputs = []
        for crop in crops:
            pixels = torch.as_tensor(crop.scaled(self._image.rgb), device=self._sam.device)
            inputs.append(self._sam.preprocess(pixels.permute(2, 0, 1).contiguous()))
        return list(zip(crops, self._encoder(torch.stack(inputs), self._cores, self._report), strict=True))

    def _decode(self, crop: Crop, embedding: Tensor, prompts_at_once: int) -> CropCandidates:
        """Prompt a crop with all of its points."""
        resolution = FullResolution(
            4 * embedding.shape[1], crop.input_side, crop.input_size, crop.size, embedding.device
        )
        decode_points = self._decoder.on(embedding)
        candidates = CropCandidates(crop, resolution, self._image.rgb.shape[:2])

        def decode(points: Tensor) -> tuple[int, list[Candidate]]:
            masks = decode_points(points, needed=resolution.needed, min_iou=self._settings.pred_iou_thresh)
            minimum = self._settings.stability_score_thresh
            return len(points), candidates.passing(masks, threshold=self._sam.mask_threshold, min_stability=minimum)

        def decode_batch(points: Tensor) -> list[tuple[int, list[Candidate]]]:
            return list(in_batches(decode, points, len(points), unit="points"))

        points = torch.as_tensor(crop.input_points, device=embedding.device)
        if embedding.device.type == "cpu":
            decoded = self._cores.map(decode_batch, torch.split(points, prompts_at_once))
        else:
            decoded = ([batch] for batch in in_batches(decode, points, prompts_at_once, unit="points"))
        self._report()
        with closing(decoded):
            for batch in decoded:
                for n_points, passing in batch:
                    candidates.masks += passing
                    self._done += n_points
                    self._report()
        candidates.drop_duplicates()
        return candidates

    def _report(self) -> None:
        self._progress(Progress("segments", self._done, self._total, unit="points"))


def in_batches(run: Callable[[Any], Result], items: Any, size: int, *, unit: str) -> Iterator[Result]:
    """Yield what ``run`` makes of ``size`` items after another; half as many from where memory does not suffice.

    Raises
    ------
    SegmentError
        If there is too little memory for one item.
    """
    position = 0
    while position < len(items):
        try:
            result = run(items[position : position + size])
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise SegmentError(
                    f"the device has too little memory for SAM, even with one of the {unit} at a time",
                    hint="Use a smaller SAM, or the device cpu",
                ) from error
            size //= 2
            continue
        position += size
        yield result


def _segments_on_tissue(masks: list[FoundMask], image: SegmentationImage) -> Segments:
    kept = []
    for mask in masks:
        x0, y0, x1, y1 = mask.box_raster
        if (mask.pixels & image.tissue[y0 : y1 + 1, x0 : x1 + 1]).any():
            kept.append(mask)
    boxes = [(x0, y0, x1 - x0 + 1, y1 - y0 + 1) for x0, y0, x1, y1 in (mask.box_raster for mask in kept)]
    return Segments.from_crops(
        [mask.pixels for mask in kept],
        boxes,
        frame=image.frame,
        size_raster=image.size_raster,
        predicted_iou=[mask.predicted_iou for mask in kept],
        stability=[mask.stability for mask in kept],
    )
