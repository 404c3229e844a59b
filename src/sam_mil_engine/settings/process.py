"""Settings of preprocessing, from slide to bag."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..errors import SettingsError
from .base import Fraction, Positive, Settings

#: The stages of ``process`` in the order in which they run.
STAGES: tuple[str, ...] = ("tissue", "tiles", "segments", "features", "groups")

#: Bytes of decoded tiles that OpenSlide keeps for one open slide, shared by all of its threads.
OPENSLIDE_CACHE_BYTES = 64 * 2**20
#: Bytes of decoded tiles that the viewer's pyramid keeps for one slide.
PYRAMID_CACHE_BYTES = 512 * 2**20
#: Slides that are opened, and whose first patches are read, while another one is encoded.
SLIDES_AHEAD = 1
#: Micrometres per pixel that a microscope can mean: 0.02 is finer than light resolves, 600 dpi (42.3) is a printer.
MPP_RANGE = (0.02, 40.0)


class TissueSettings(Settings):
    """CLAM's tissue segmentation (Lu et al. 2021); areas count 512 x 512 level-0 pixels, as CLAM's do."""

    saturation_threshold: Annotated[int, Field(ge=0, le=255)] = 8
    median_blur: Annotated[int, Field(ge=1, le=99)] = 7
    close_size: Annotated[int, Field(ge=0, le=99)] = 4
    otsu: bool = False
    min_tissue_area: Annotated[float, Field(ge=0)] = 100.0
    min_hole_area: Annotated[float, Field(ge=0)] = 16.0
    max_holes: Annotated[int, Field(ge=0)] = 8
    #: If these settings find nothing, try Otsu and smaller areas, and record which attempt succeeded.
    fallback: bool = True

    @model_validator(mode="after")
    def _odd_blur(self) -> Self:
        if self.median_blur % 2 == 0:
            raise ValueError("median_blur must be odd")
        return self


#: CLAM's presets by name; ``default`` is what its command uses when no preset is named.
TISSUE_PRESETS: dict[str, TissueSettings] = {
    "default": TissueSettings(),
    "biopsy": TissueSettings(
        saturation_threshold=15, median_blur=11, close_size=2, min_tissue_area=1, min_hole_area=1, max_holes=2
    ),
    "resection": TissueSettings(saturation_threshold=15, median_blur=11),
    "tcga": TissueSettings(min_tissue_area=16, min_hole_area=4),
}


def tissue_preset(name: str) -> TissueSettings:
    """Return the named preset; raises :class:`SettingsError` listing the names that exist."""
    try:
        return TISSUE_PRESETS[name]
    except KeyError:
        known = ", ".join(TISSUE_PRESETS)
        raise SettingsError(f"there is no tissue preset {name!r}", hint=f"Choose one of: {known}") from None


class TileSettings(Settings):
    """Patches on one global grid with origin (0, 0) and no overlap (methods §1)."""

    #: Side of a patch in pixels of the resolution it is read at.
    patch_size: Annotated[int, Field(ge=8, le=8192)] = 512
    #: Micrometres per pixel to read at; None reads level 0 as it is.
    mpp: Positive | None = None
    #: Micrometres per level-0 pixel, for slides that do not say.
    source_mpp: Positive | None = None
    #: CLAM's centre tests: ``four_point`` keeps a patch when any of four points around its centre is in tissue.
    rule: Literal["four_point", "centre"] = "four_point"


class SegmentSettings(Settings):
    """The segmenter and its settings; the SAM values are the paper's (SAM-MIL §4.1)."""

    segmenter: str = "auto"
    #: Longest side of the picture that is segmented; the downsample is the next power of two.
    max_side: Annotated[int, Field(ge=64, le=8192)] = 1024
    points_per_side: Annotated[int, Field(ge=1, le=128)] = 32
    #: Prompts that SAM decodes at once; None takes what is fast on the device. No mask depends on it.
    points_per_batch: Annotated[int, Field(ge=1, le=1024)] | None = None
    #: ``bfloat16`` is about three times as fast as float32; masks at the edge of a threshold may change.
    precision: Literal["float32", "bfloat16"] = "float32"
    #: Prompt only where there is tissue: fewer prompts, and masks found from beside the tissue are missed.
    prompts_on_tissue: bool = False
    pred_iou_thresh: Fraction = 0.6
    stability_score_thresh: Fraction = 0.6
    crop_n_layers: Annotated[int, Field(ge=0, le=3)] = 1
    crop_n_points_downscale_factor: Annotated[int, Field(ge=1, le=8)] = 2
    min_mask_region_area: Annotated[int, Field(ge=0)] = 0
    #: ``regions``: number of SLIC superpixels and the numbers of regions at which Ward's tree is cut.
    superpixels: Annotated[int, Field(ge=8, le=5000)] = 500
    cuts: tuple[Annotated[int, Field(ge=1)], ...] = (4, 8, 16, 32)


class FeatureSettings(Settings):
    """The patch encoder and how it is run."""

    encoder: str = "efficientnet-lite0"
    #: Further encoders of the same patches, which are read once for all; each has bags of its own.
    more_encoders: tuple[str, ...] = ()
    #: What the encoders compute in; half precision is faster on most devices, and changes the features slightly.
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    #: Type of the numbers on disk.
    dtype: Literal["float16", "float32"] = "float32"
    #: Rows between two commit marks in the bag file: what a kill can lose at most.
    block: Annotated[int, Field(ge=1)] = 256
    #: Threads that read and decode tiles ahead of the encoder; None takes what suits the device.
    readers: Annotated[int, Field(ge=1, le=64)] | None = None

    @property
    def encoders(self) -> tuple[str, ...]:
        """All encoders by name; the first one's bags lie in ``bags``."""
        return (self.encoder, *self.more_encoders)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.encoders)) < len(self.encoders):
            raise ValueError("an encoder is named twice")
        return self


class GroupSettings(Settings):
    """How patches are assigned to segments (methods §1, Membership)."""

    #: ``any``: the patch rectangle touches the mask; ``released``: the same, and its corner lies in the mask's box.
    rule: Literal["any", "centre", "majority", "released"] = "any"


Ring = Annotated[tuple[tuple[float, float], ...], Field(min_length=3)]


class ProcessSettings(Settings):
    """All of preprocessing."""

    preset: str = "default"
    #: Rings (x, y) in level-0 pixels: only tissue inside counts. None takes the whole slide. The bag of a region
    #: would replace that of the slide: give it a project of its own.
    region: Annotated[tuple[Ring, ...], Field(min_length=1)] | None = None
    tissue: TissueSettings | None = None
    tiles: TileSettings = TileSettings()
    segments: SegmentSettings = SegmentSettings()
    features: FeatureSettings = FeatureSettings()
    groups: GroupSettings = GroupSettings()

    @property
    def resolved_tissue(self) -> TissueSettings:
        """The explicit tissue settings if given, else those of the preset."""
        return self.tissue if self.tissue is not None else tissue_preset(self.preset)
