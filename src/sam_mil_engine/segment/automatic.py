"""SAM's automatic masks of an image, as the paper runs it (SAM-MIL §4.1).

The masks are those of ``segment_anything.SamAutomaticMaskGenerator`` with the same weights and settings; how they
are computed is in ``point_grid``, ``fast_encoder``, ``fast_decoder``, ``mask_filters`` and ``candidates``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing

import torch
from segment_anything.modeling import Sam
from torch import Tensor

from ..devices import describe, on_processor
from ..errors import SegmentError
from ..models.segmenters import TISSUE_SAM
from ..progress import Progress, ProgressCallback, silent
from ..settings import SegmentSettings
from .batches import Batches, NoRoomError
from .candidates import Candidate, CropCandidates, FoundMask, merge_crop_masks, without_small_regions
from .cores import Cores
from .fast_decoder import FastDecoder, PlainDecoder, build_decoder
from .fast_encoder import FastEncoder, PlainEncoder, build_encoder
from .filled import FilledSegmenter
from .image import SegmentationImage
from .named_sams import load_named_sam
from .point_grid import Crop, make_crops
from .predictor import check_image
from .regions import StainRegionSegmenter
from .scaling import scaling_of
from .segmenter import Segmenter
from .segments import Segments
from .tissue_sam.bundle import with_bundled_thresholds

#: Prompts and crops at once. A processor is fastest while a batch fits into its cache, a GPU when it is filled.
_PROMPTS_CPU, _PROMPTS_GPU = 4, 64
_CROPS_CPU, _CROPS_GPU = 1, 4


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
        self._use(sam)

    def _use(self, sam: Sam) -> None:
        self._sam = sam
        dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.settings.precision]
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
            If SAM cannot take the image, or memory does not suffice even with one point at a time on the CPU.
        """
        return self.segment_many([image], progress=progress)[0]

    def segment_many(
        self, images: Sequence[SegmentationImage], *, progress: ProgressCallback = silent
    ) -> list[Segments]:
        """Do as :meth:`segment` for several images, such as the tiles of a slide: a GPU encodes them in batches."""
        for image in images:
            check_image(image.rgb)
        try:
            found = self._masks(images, progress)
        except NoRoomError as error:
            if on_processor(self._sam.device):
                raise SegmentError(
                    f"there is too little memory for SAM, even with one of the {error} at a time",
                    hint="Use a smaller SAM, or a machine with more memory",
                ) from error
            warnings.warn(
                f"{self.name}: one of the {error} does not fit on {describe(self._sam.device)};"
                " continuing on the CPU",
                stacklevel=2,
            )
            self._use(self._sam.to("cpu"))
            found = self._masks(images, progress)
        return [_segments_on_tissue(masks, image) for masks, image in zip(found, images, strict=True)]

    def _masks(self, images: Sequence[SegmentationImage], progress: ProgressCallback) -> list[list[FoundMask]]:
        with torch.inference_mode(), Cores(self._sam.device) as cores:
            parts = (self._sam, self._encoder, self._decoder, cores)
            found = _Run(*parts, settings=self.settings, images=images, progress=progress).masks()
        minimum = self.settings.min_mask_region_area
        if not minimum:
            return found
        return [
            without_small_regions(masks, size=image.rgb.shape[:2], min_area=minimum)
            for masks, image in zip(found, images, strict=True)
        ]


class _Run:
    """Some images on their way through the model, and how far it is."""

    def __init__(
        self,
        sam: Sam,
        encoder: FastEncoder | PlainEncoder,
        decoder: FastDecoder | PlainDecoder,
        cores: Cores,
        *,
        settings: SegmentSettings,
        images: Sequence[SegmentationImage],
        progress: ProgressCallback,
    ):
        self._sam, self._encoder, self._decoder, self._cores = sam, encoder, decoder, cores
        self._settings, self._images, self._progress = settings, images, progress
        on_cpu, scaling = on_processor(sam.device), scaling_of(sam)
        prompts = settings.points_per_batch or (_PROMPTS_CPU if on_cpu else _PROMPTS_GPU)
        self._prompts = Batches(prompts, unit="points", device=sam.device)
        self._crops_at_once = Batches(_CROPS_CPU if on_cpu else _CROPS_GPU, unit="crops", device=sam.device)
        #: Number of an image and a crop of it.
        self._crops = [
            (number, crop)
            for number, image in enumerate(images)
            if image.tissue.any()
            for crop in make_crops(image, settings, scaling=scaling)
        ]
        self._done, self._total = 0, sum(len(crop.points) for _, crop in self._crops)

    def masks(self) -> list[list[FoundMask]]:
        """All masks of each image."""
        found: list[list[CropCandidates]] = [[] for _ in self._images]
        for encoded in self._crops_at_once.over(self._encode, self._crops):
            for number, crop, embedding in encoded:
                found[number].append(self._decode(crop, embedding, self._images[number].rgb.shape[:2]))
        return [merge_crop_masks(crops, threshold=self._sam.mask_threshold) for crops in found]

    def _encode(self, crops: Sequence[tuple[int, Crop]]) -> list[tuple[int, Crop, Tensor]]:
        """Compute the embedding (C, h, w) of each crop."""
        inputs = []
        for number, crop in crops:
            pixels = torch.as_tensor(crop.scaled(self._images[number].rgb), device=self._sam.device)
            inputs.append(self._sam.preprocess(pixels.permute(2, 0, 1).contiguous()))
        embeddings = self._encoder(torch.stack(inputs), self._cores, self._report)
        return [(*crop, embedding) for crop, embedding in zip(crops, embeddings, strict=True)]

    def _decode(self, crop: Crop, embedding: Tensor, image_size: tuple[int, int]) -> CropCandidates:
        """Prompt a crop with all of its points."""
        device = embedding.device
        resolution = crop.resolution(4 * embedding.shape[1], device)
        decode_points = self._decoder.on(embedding)
        candidates = CropCandidates(crop, resolution, image_size)

        def decode(points: Tensor) -> tuple[int, list[Candidate]]:
            masks = decode_points(points, needed=resolution.needed, min_iou=self._settings.pred_iou_thresh)
            minimum = self._settings.stability_score_thresh
            return len(points), candidates.passing(masks, threshold=self._sam.mask_threshold, min_stability=minimum)

        def decode_batch(points: Tensor) -> list[tuple[int, list[Candidate]]]:
            return list(Batches(len(points), unit="points", device=device).over(decode, points))

        points = torch.as_tensor(crop.input_points, device=device)
        if on_processor(device):
            decoded = self._cores.map(decode_batch, torch.split(points, self._prompts.size))
        else:
            decoded = ([batch] for batch in self._prompts.over(decode, points))
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
