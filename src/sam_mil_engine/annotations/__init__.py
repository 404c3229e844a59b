"""Polygons that a person drew: reading, writing, and comparing segments with them."""

from .compare import Comparison, Cover, compare_groups
from .geojson import write_geojson
from .model import Annotation, by_class, union_px0
from .patches import PatchAgreement, patch_agreement, patch_inside
from .reading import AnnotationFile, read_annotation_file, read_annotations

__all__ = [
    "Annotation",
    "AnnotationFile",
    "Comparison",
    "Cover",
    "PatchAgreement",
    "by_class",
    "compare_groups",
    "patch_agreement",
    "patch_inside",
    "read_annotation_file",
    "read_annotations",
    "union_px0",
    "write_geojson",
]
