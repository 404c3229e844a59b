"""Every setting of the engine, and the only place where a default stands.

All models are frozen: a changed setting is a new object. ``key(...)`` gives the short hash under which results
made with these settings are kept, so that results of different settings are never mixed.
"""

from .base import Settings, key
from .models import (
    BEFORE,
    ClamSettings,
    DsmilSettings,
    DtfdSettings,
    IbmilSettings,
    MhimSettings,
    ModelSettings,
    SrmilSettings,
    TransmilSettings,
)
from .process import (
    EMBEDDED_SEGMENTER,
    FINE_SEGMENTS_MPP,
    FORMER_PARTS,
    MPP_RANGE,
    OPENSLIDE_CACHE_BYTES,
    PYRAMID_CACHE_BYTES,
    SLIDES_AHEAD,
    STAGES,
    TISSUE_PRESETS,
    FeatureSettings,
    GroupSettings,
    ProcessSettings,
    SegmentSettings,
    TileSettings,
    TissueSettings,
    tissue_preset,
)
from .train import LATER, PLACE, PROTOCOLS, DemoSettings, ProtocolSettings, TrainSettings, protocol_named

__all__ = [
    "BEFORE",
    "EMBEDDED_SEGMENTER",
    "FINE_SEGMENTS_MPP",
    "FORMER_PARTS",
    "LATER",
    "MPP_RANGE",
    "OPENSLIDE_CACHE_BYTES",
    "PLACE",
    "PROTOCOLS",
    "PYRAMID_CACHE_BYTES",
    "SLIDES_AHEAD",
    "STAGES",
    "TISSUE_PRESETS",
    "ClamSettings",
    "DemoSettings",
    "DsmilSettings",
    "DtfdSettings",
    "FeatureSettings",
    "GroupSettings",
    "IbmilSettings",
    "MhimSettings",
    "ModelSettings",
    "ProcessSettings",
    "ProtocolSettings",
    "SegmentSettings",
    "Settings",
    "SrmilSettings",
    "TileSettings",
    "TissueSettings",
    "TrainSettings",
    "TransmilSettings",
    "key",
    "protocol_named",
    "tissue_preset",
]
