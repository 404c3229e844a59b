"""The native bag: one HDF5 file a slide. This package alone knows its layout.

::

    /tissue/points (P, 2) float64   /tissue/rings (R, 3) int64: first point, piece, 1 where a hole
    /coords (N, 2) int32            attributes: a superset of CLAM's and TRIDENT's names
    /features (N, D)                attributes: encoder, encoder_version, weights_sha256, preprocessing
    /segments/packed (B,) uint8     the masks, each crop bit-packed on its own; attributes: the frame
    /segments/box (S, 4)  /area  /predicted_iou  /stability   /name (S,) and the attribute edited: by hand
    /groups/features (L, D)  /area  /area_um2  /box  /predicted_iou  /stability  /indptr  /indices
    /groups/of_patch (N,)  /segment (L,)
    attributes: format_version, slide_id, slide_sha, slide_path, mpp, stages (JSON: stage -> key), settings_key,
        bounds_px0 (x, y, width, height; all 0 where the slide states none), centre_offset_um (x, y)

Only ``/coords``, ``/features`` and ``slide_id`` are needed to read a bag. Unknown names are left alone.
"""

from .layout import FORMAT_VERSION, STAGE_NAMES, slide_facts
from .reading import (
    SegmentOrigin,
    read_attributes,
    read_bag,
    read_grid,
    read_place,
    read_segment_origin,
    read_segmenter,
    read_segments,
    read_stages,
    read_tissue,
)
from .writing import (
    copy_stage,
    edit_bag,
    mark_stage,
    put_attributes,
    put_edits,
    put_features,
    put_groups,
    put_segments,
    put_tiles,
    put_tissue,
)

__all__ = [
    "FORMAT_VERSION",
    "STAGE_NAMES",
    "SegmentOrigin",
    "copy_stage",
    "edit_bag",
    "mark_stage",
    "put_attributes",
    "put_edits",
    "put_features",
    "put_groups",
    "put_segments",
    "put_tiles",
    "put_tissue",
    "read_attributes",
    "read_bag",
    "read_grid",
    "read_place",
    "read_segment_origin",
    "read_segmenter",
    "read_segments",
    "read_stages",
    "read_tissue",
    "slide_facts",
]
