"""Prompts: points and boxes on an image -> masks, through Meta's ``SamPredictor``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from ..errors import SegmentError
from ..models.segmenters import TISSUE_SAM, largest_of_metas
from .cores import Cores
from .fast_encoder import build_encoder
from .named_sams import load_named_sam
from .scaling import scaling_of

FloatArray = npt.NDArray[np.float32]


def load_prompter(name: str = "auto", *, device: str = "auto") -> SamPrompter:
    """Load a SAM by name, by path, or (``auto``) the largest of Meta's on this machine, else ``tissue-sam``.

    Raises
    ------
    SegmentError
        If there is no such SAM on this machine.
    """
    if name == "auto":
        name = largest_of_metas() or TISSUE_SAM
    found = load_named_sam(name, device=device)
    return SamPrompter(found.sam, name=found.name, version=found.version)


def _nothing() -> None:
    """Ignore the report."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """What a SAM keeps of one image.

    Attributes
    ----------
    features
        (1, C, H, W) on the SAM's device.
    original_size, input_size
        Height and width of the image, and of what the image encoder saw.
    """

    features: torch.Tensor = field(repr=False)
    original_size: tuple[int, int]
    input_size: tuple[int, int]


class SamPrompter:
    """A SAM that holds the embedding of one image and answers prompts on it.

    Parameters
    ----------
    sam
        The model.
    name, version
        What it is called, and the first digits of its checksum.
    """

    def __init__(self, sam: Sam, *, name: str = "sam", version: str = ""):
        self.name = name
        self.version = version
        self._predictor = SamPredictor(sam)
        self._predictor.transform = scaling_of(sam)
        self._encoder = build_encoder(sam)

    def set_image(self, image: npt.NDArray[np.uint8], *, report: Callable[[], None] = _nothing) -> None:
        """Compute the embedding of an RGB image (h, w, 3) uint8: seconds; prompts are then fast.

        ``report`` is called before every layer of the image encoder; what it raises ends the work.

        Raises
        ------
        SegmentError
            If it is not such an image.
        """
        check_image(image)
        sam = self._predictor.model
        scaled = torch.as_tensor(self._predictor.transform.apply_image(image), device=sam.device)
        with torch.inference_mode(), Cores(sam.device) as cores:
            pixels = sam.preprocess(scaled.permute(2, 0, 1).contiguous())
            features = self._encoder(pixels[None], cores, report)
        height, width = image.shape[:2]
        self.use(Embedding(features, (height, width), (scaled.shape[0], scaled.shape[1])))

    def embed(self, image: npt.NDArray[np.uint8], *, report: Callable[[], None] = _nothing) -> Embedding:
        """Do as :meth:`set_image`, and return what was computed, to be kept and taken up again by :meth:`use`."""
        self.set_image(image, report=report)
        found = self._predictor
        return Embedding(found.get_image_embedding(), found.original_size, found.input_size)

    def use(self, embedding: Embedding) -> None:
        """Answer prompts on the image of an earlier :meth:`embed` of the same SAM, at no cost."""
        self._predictor.features = embedding.features
        self._predictor.original_size = embedding.original_size
        self._predictor.input_size = embedding.input_size
        self._predictor.is_image_set = True

    def predict(
        self,
        points_raster: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        box_raster: npt.ArrayLike | None = None,
    ) -> tuple[npt.NDArray[np.bool_], FloatArray]:
        """Answer one prompt.

        Parameters
        ----------
        points_raster
            (P, 2) points x, y on the image.
        labels
            (P,) 1 where the point is in the object, 0 where it is not; all 1 if left out.
        box_raster
            (4,) left, top, right, bottom.

        Returns
        -------
        masks
            (M, h, w) bool, best first: three for a single click, which may mean a part or a whole, else one.
        scores
            (M,) float32: SAM's own estimate of the IoU.

        Raises
        ------
        SegmentError
            If no image is set, nothing is prompted, or the arrays have other shapes.
        """
        if not self._predictor.is_image_set:
            raise SegmentError("no image is set for prompting", hint="Call set_image first")
        points, point_labels = _points(points_raster, labels)
        box = None if box_raster is None else np.asarray(box_raster, dtype=np.float32)
        if box is not None and (box.shape != (4,) or not np.isfinite(box).all()):
            raise SegmentError(f"a box is left, top, right, bottom; got shape {box.shape}")
        if points is None and box is None:
            raise SegmentError("there is neither a point nor a box", hint="Click a point or drag a box")
        masks, scores, _ = self._predictor.predict(
            point_coords=points,
            point_labels=point_labels,
            box=box,
            multimask_output=box is None and points is not None and len(points) == 1,
        )
        best_first = np.argsort(-scores, kind="stable")
        return masks[best_first], scores[best_first].astype(np.float32)


def _points(
    points_raster: npt.ArrayLike | None, labels: npt.ArrayLike | None
) -> tuple[FloatArray | None, npt.NDArray[np.int64] | None]:
    if points_raster is None or np.size(points_raster) == 0:
        return None, None
    points = np.asarray(points_raster, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise SegmentError(f"points have shape {points.shape}, expected (P, 2) finite numbers")
    which = np.ones(len(points), dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64)
    if which.shape != (len(points),) or not np.isin(which, (0, 1)).all():
        raise SegmentError(f"{len(points)} points need as many labels, each 0 or 1")
    return points, which


def check_image(image: npt.NDArray[np.uint8]) -> None:
    """Raise :class:`SegmentError` unless SAM can take the image: (h, w, 3) uint8, not thinner than 1 : 1024."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise SegmentError(
            f"the image has shape {image.shape} and type {image.dtype}, expected (h, w, 3) uint8",
            hint="Convert grey or RGBA images to RGB",
        )
    if max(image.shape[:2]) > 1024 * min(image.shape[:2]):
        raise SegmentError(
            f"the image is {image.shape[1]} x {image.shape[0]} pixels, too thin for SAM",
            hint="Segment a region that is less thin",
        )
