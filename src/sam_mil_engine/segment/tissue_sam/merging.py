"""What superpixels are told apart by in the eyes of ``tissue-sam``: its embedding, not its masks.

The embedding's channels are trained in groups, one for each level of things; within a group two pixels are of one
thing where their directions agree.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam

from ..stain_statistics import with_neighbours
from .decoder import GROUPS
from .encoder import SIDE, WIDTH, normalised

#: Groups of channels that count: objects and regions. Parts are too small, and pieces too large.
_LEVELS = slice(1, 3)
#: Share that neighbours give, and the multiple that sides of the input must be of.
_NEIGHBOURS, _MULTIPLE = 0.5, 32


@torch.inference_mode()
def embedding_statistics(
    sam: Sam, rgb: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """(n, 32) float64: directions of the embedding in every superpixel, with what lies around.

    Parameters
    ----------
    sam
        A tissue-sam.
    rgb
        (h, w, 3) uint8.
    labels
        (h, w) numbers 0..n-1 of superpixels, negative elsewhere.
    pairs
        (E, 2) neighbours.
    """
    zoom = SIDE / max(rgb.shape[:2])
    height, width = (max(_MULTIPLE, round(side * zoom / _MULTIPLE) * _MULTIPLE) for side in rgb.shape[:2])
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    embedding = sam.image_encoder(normalised(small).to(sam.device))[0, :WIDTH].float().cpu().numpy()
    inside = labels >= 0
    flat = labels[inside]
    size = np.bincount(flat)
    chosen = embedding.reshape(GROUPS, -1, *embedding.shape[1:])[_LEVELS].reshape(-1, *embedding.shape[1:])
    means = np.stack(
        [np.bincount(flat, weights=cv2.resize(channel, labels.shape[::-1])[inside]) / size for channel in chosen],
        axis=1,
    )
    by_level = means.reshape(len(means), -1, WIDTH // GROUPS)
    by_level /= np.maximum(np.linalg.norm(by_level, axis=2, keepdims=True), 1e-6)
    return with_neighbours(by_level.reshape(len(means), -1), pairs, share=_NEIGHBOURS)
