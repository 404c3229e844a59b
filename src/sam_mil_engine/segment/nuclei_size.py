"""The resolution of a slide that does not state it, suggested by the size of its nuclei: an estimate.

The haematoxylin channel of the most cellular places is thresholded, and the radius of the discs that fit into what
is stained is taken at the smoothing that belongs to that radius. Nuclei of most tissues are alike in size; tumours,
stroma and stains differ, which is what the range says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..slide.tissue_regions import TissueRegions

if TYPE_CHECKING:
    from ..slide.slide import Slide

#: Micrometres that a nucleus measures in this way, over H&E slides of known resolution (tests say which).
NUCLEUS_UM = 5.0
#: Factor by which the resolution may be smaller or larger.
UNCERTAINTY = 1.8
#: Resolutions of usual scans (40x, 20x, 10x), in µm per pixel, and the estimates up to which each is suggested:
#: most slides are scanned at 40x or 20x.
USUAL_MPP = ((0.25, 0.36), (0.5, 0.95), (1.0, 1.8))
#: Smoothing (sigma) over radius at which a radius is taken, and the sigmas that are tried, in pixels.
_SHARE, _SIGMAS = 0.35, (0.7, 1.0, 1.6, 2.5, 4.0, 6.3, 10.0)
_SIDE, _PLACES, _FEWEST = 768, 6, 40


@dataclass(frozen=True, slots=True)
class MppEstimate:
    """An estimate of micrometres per level-0 pixel.

    Attributes
    ----------
    mpp
        The estimate.
    low, high
        Between these it may well lie.
    nuclei
        How many stained discs it rests on.
    """

    mpp: float
    low: float
    high: float
    nuclei: int

    @property
    def usual(self) -> float:
        """The usual resolution that fits the estimate, else the estimate, rounded."""
        return next((value for value, most in USUAL_MPP if self.mpp <= most), round(self.mpp, 2))


def estimate_mpp(slide: Slide, tissue: TissueRegions) -> MppEstimate | None:
    """Estimate the resolution from level 0 of the largest pieces of tissue; None where too few nuclei are seen."""
    diameters, counts = [], 0
    for left, top in _places(slide, tissue):
        width, height = slide.info.size_px0
        size = (min(_SIDE, width - left), min(_SIDE, height - top))
        found = nucleus_diameter_px(slide.read_level(0, (left, top), size))
        if found is not None:
            diameters.append(found[0])
            counts += found[1]
    if counts < _FEWEST:
        return None
    mpp = NUCLEUS_UM / float(np.median(diameters))
    return MppEstimate(mpp=mpp, low=mpp / UNCERTAINTY, high=mpp * UNCERTAINTY, nuclei=counts)


def nucleus_diameter_px(image: npt.NDArray[np.uint8]) -> tuple[float, int] | None:
    """Return the diameter of nuclei in an H&E image (h, w, 3), in pixels, and how many discs it rests on."""
    from scipy import ndimage
    from skimage.color import rgb2hed
    from skimage.feature import peak_local_max
    from skimage.filters import threshold_otsu

    stain = rgb2hed(image)[..., 0]
    if np.ptp(stain) < 1e-6:
        return None
    radii, counts = [], []
    for sigma in _SIGMAS:
        smooth = ndimage.gaussian_filter(stain, sigma)
        depth = ndimage.distance_transform_edt(smooth > threshold_otsu(smooth))
        peaks = peak_local_max(depth, min_distance=max(2, round(1.5 * sigma)), threshold_abs=1.2)
        radii.append(float(np.median(depth[tuple(peaks.T)])) if len(peaks) else np.nan)
        counts.append(len(peaks))
    share = np.asarray(_SIGMAS) / np.asarray(radii)
    below = np.flatnonzero(share < _SHARE)  # of little smoothing, grain in the image may be above again
    at = int(below[-1]) + 1 if len(below) else 0
    if at == len(share) or not np.isfinite(share[at]):
        return None
    if at == 0:
        return 2 * radii[at], counts[at]
    weight = (np.log(_SHARE) - np.log(share[at - 1])) / (np.log(share[at]) - np.log(share[at - 1]))
    radius = np.exp((1 - weight) * np.log(radii[at - 1]) + weight * np.log(radii[at]))
    return float(2 * radius), counts[at]


def _places(slide: Slide, tissue: TissueRegions) -> list[tuple[int, int]]:
    """Return corners of squares of level 0 in the tissue, the most strongly stained ones first."""
    from skimage.color import rgb2hed

    image, frame = slide.read_image(max_side=512)
    stain = rgb2hed(image)[..., 0]
    width, height = slide.info.size_px0
    inside = np.zeros(stain.shape, dtype=bool)
    for outer, _ in tissue.polygons_px0:
        left, top = np.maximum(frame.from_px0(outer.min(axis=0)), 0)
        right, bottom = np.maximum(frame.from_px0(outer.max(axis=0)), 0)
        inside[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = True
    step = np.maximum(np.ceil(np.divide(_SIDE, frame.downsample)).astype(int), 1)
    found = []
    for row in range(0, stain.shape[0], step[1]):
        for column in range(0, stain.shape[1], step[0]):
            cell = (slice(row, row + step[1]), slice(column, column + step[0]))
            if inside[cell].any():
                found.append((float(stain[cell].mean()), column, row))
    chosen = sorted(found, reverse=True)[:_PLACES]
    corners = [frame.to_px0((column, row)) for _, column, row in chosen]
    return [(int(min(x, max(0, width - _SIDE))), int(min(y, max(0, height - _SIDE)))) for x, y in corners]
