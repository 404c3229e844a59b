"""What superpixels are told apart by: amounts of stain and texture, with what lies around.

Colour as it is depends on the laboratory and on shading; nuclei, goblets and fibres make one tissue many colours.
So: stains on the scale of their own image, smoothed over part of a superpixel; the texture that smoothing takes
away as a feature of its own, and half of each superpixel's numbers from its neighbours. ``training/tissue_sam``
holds the table of what was tried.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Statistics = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]
#: Optical density of haematoxylin and of eosin in R, G, B (Ruifrok and Johnston 2001).
_STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))
#: Brightness of empty glass.
_GLASS = 245.0
#: Width of the Gaussian as a share of a superpixel's side, and the share that neighbours give.
_SMOOTH, _NEIGHBOURS = 0.3, 0.5


def stain_statistics(
    image: npt.NDArray[np.uint8],
    tissue: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.int64],
    pairs: npt.NDArray[np.int64],
    *,
    side: float,
) -> Statistics:
    """(n, 9) float64: mean and deviation of three stains in every superpixel, and their texture.

    Parameters
    ----------
    image, tissue
        (h, w, 3) uint8 RGB and (h, w) bool.
    labels
        (h, w) numbers 0..n-1 of superpixels, negative elsewhere.
    pairs
        (E, 2) neighbours.
    side
        Side of a superpixel in pixels.
    """
    amounts = stain_amounts(image, tissue)
    sigma = _SMOOTH * side
    smooth = smoothed(amounts, tissue, sigma)
    rough = smoothed(np.abs(amounts - smooth), tissue, sigma)
    inside = labels >= 0
    flat = labels[inside]
    size = np.bincount(flat)[:, None]

    def mean(field: Field) -> Statistics:
        return (
            np.stack([np.bincount(flat, weights=channel[inside]) for channel in np.moveaxis(field, 2, 0)], 1) / size
        )

    middle = mean(smooth)
    deviation = np.sqrt(np.maximum(mean(smooth**2) - middle**2, 0))
    return with_neighbours(np.concatenate([middle, deviation, mean(rough)], axis=1), pairs, share=_NEIGHBOURS)


def stain_amounts(image: npt.NDArray[np.uint8], tissue: npt.NDArray[np.bool_]) -> Field:
    """RGB -> haematoxylin, eosin and what neither explains (h, w, 3).

    Each stain is 1 at its 95th percentile in the tissue; the rest is on the scale of the stronger one.
    """
    stains = np.array(_STAINS)
    vectors = np.stack([*stains, np.cross(*stains)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    # not skimage.color.separate_stains, which sets negative amounts to 0: the third one here has both signs
    # a table of the 256 logarithms instead of one for each pixel
    density = -np.log10(np.clip(np.arange(256) / _GLASS, 1 / 255, 1))
    amounts = density[image].astype(np.float32) @ np.linalg.inv(vectors).astype(np.float32)
    strength = np.maximum(np.percentile(amounts[tissue][:, :2], 95, axis=0), 0.05)
    found: Field = (amounts / np.append(strength, strength.max())).astype(np.float32)
    return found


def smoothed(field: Field, tissue: npt.NDArray[np.bool_], sigma: float) -> Field:
    """Smooth (h, w, c) with a Gaussian inside the tissue: the glass around it makes no ring."""
    import cv2

    inside = tissue.astype(np.float32)
    weight = np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-6)[..., None]
    found: Field = cv2.GaussianBlur(field * inside[..., None], (0, 0), sigma) / weight
    return found


def with_neighbours(statistics: Statistics, pairs: npt.NDArray[np.int64], *, share: float) -> Statistics:
    """Mix each row with the mean of its neighbours' rows; one without neighbours stays as it is."""
    total, number = np.zeros_like(statistics), np.zeros((len(statistics), 1))
    for one, other in (pairs.T, pairs.T[::-1]):
        np.add.at(total, one, statistics[other])
        np.add.at(number, one, 1)
    mixed = (1 - share) * statistics + share * total / np.maximum(number, 1)
    return np.where(number > 0, mixed, statistics)
