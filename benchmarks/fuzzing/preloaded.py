"""What a child has imported before its first file, so that a new child begins at once."""

import cv2  # noqa: F401
import pandas  # noqa: F401
import wsidicom  # noqa: F401
import zarr  # noqa: F401

import sam_mil_engine as sme
from sam_mil_engine.convert import segment_sources  # noqa: F401
from sam_mil_engine.training import checkpoint, labels, split_files  # noqa: F401

sme.open_slide, sme.read_annotations  # noqa: B018  (names that import when they are used)
