"""A segmenter and an encoder of a few lines, without torch or scikit-image, and a pace to disturb them at.

Worker processes of the tests load this file (`dask worker --preload`); forked ones import it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from sam_mil_engine.features import loading as encoders
from sam_mil_engine.progress import Progress, silent
from sam_mil_engine.segment import loading as segmenters
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.settings import FeatureSettings, ProcessSettings, TileSettings

#: Twenty-five patches and more a slide, four a block: many moments at which a run may end.
SETTINGS = ProcessSettings(
    tiles=TileSettings(patch_size=64), features=FeatureSettings(block=4, batch_size=2, readers=1)
)


class CheapEncoder:
    """Mean and spread of the colours."""

    name, version, weights_sha256, dim, preprocessing = "cheap", "1", "0" * 64, 6, "none"

    def encode(self, batch: np.ndarray) -> np.ndarray:
        time.sleep(PACE["features"])
        pixels = batch.reshape(len(batch), -1, 3).astype(np.float64)
        return np.concatenate([pixels.mean(axis=1), pixels.std(axis=1)], axis=1).astype(np.float32)


class CheapSegmenter:
    """What is darker than its surroundings, piece by piece."""

    name, version = "cheap", "1"

    def segment(self, image: Any, *, progress: Callable[[Progress], None] = silent) -> Segments:
        progress(Progress("segments", 0, 1))
        time.sleep(PACE["segments"])
        grey = cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((grey < 150).astype(np.uint8))
        boxes = stats[1:, :4].astype(np.int32)
        crops = tuple(
            labels[y : y + height, x : x + width] == number
            for number, (x, y, width, height) in enumerate(boxes, start=1)
        )
        area = np.array([crop.sum() for crop in crops], dtype=np.int64)
        ones = np.ones(count - 1, dtype=np.float32)
        return Segments(image.frame, grey.shape[::-1], boxes, crops, area, ones, ones)


#: Seconds that a batch of patches, and an image, take at least.
PACE = {"features": 0.0, "segments": 0.0}


def use_cheap_models(
    *, features: float = 0.0, segments: float = 0.0, put: Callable[[Any, str, Any], None] = setattr
) -> None:
    """Let this process know no other models; ``put`` may be monkeypatch's, which takes them back."""
    put(sys.modules[__name__], "PACE", {"features": features, "segments": segments})
    put(encoders, "load_encoder", lambda *args, **options: CheapEncoder())
    put(segmenters, "load_segmenter", lambda *args, **options: CheapSegmenter())


def dask_setup(worker: Any) -> None:
    """Called by Dask when a worker starts."""
    use_cheap_models(features=0.12, segments=0.2)  # slow enough for two slides to be in it at once
