"""The native bag: one HDF5 file per slide. This package alone knows its layout.

Its datasets and attributes are listed in :mod:`.layout`.
Only ``/coords``, ``/features`` and ``slide_id`` are needed to read a bag. Unknown names are left alone.
"""

from .artefacts import StoredArtefacts, read_artefacts
from .layout import FORMAT_VERSION, STAGE_NAMES, slide_facts
from .reading import (
    SegmentOrigin,
    count_segments,
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
    put_artefacts,
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
    "StoredArtefacts",
    "copy_stage",
    "count_segments",
    "edit_bag",
    "mark_stage",
    "put_artefacts",
    "put_attributes",
    "put_edits",
    "put_features",
    "put_groups",
    "put_segments",
    "put_tiles",
    "put_tissue",
    "read_artefacts",
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
