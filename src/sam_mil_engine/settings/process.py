"""Settings of preprocessing, from slide to bag."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..errors import SettingsError
from .base import Settings, setting

#: The stages of ``process`` in the order in which they run.
STAGES: tuple[str, ...] = ("tissue", "tiles", "segments", "features", "groups")

#: Bytes of decoded tiles that OpenSlide keeps for one open slide, shared by all of its threads.
OPENSLIDE_CACHE_BYTES = 64 * 2**20
#: Bytes of decoded tiles that the viewer's pyramid keeps for one slide.
PYRAMID_CACHE_BYTES = 512 * 2**20
#: Slides that are opened, and whose first patches are read, while another one is encoded.
SLIDES_AHEAD = 1
#: The segmenter that needs no weights of others: what ``auto`` takes where no SAM is on this computer.
EMBEDDED_SEGMENTER = "tissue-regions"
#: Resolution of fine segments where the user gives none: a structure of 50 µm is 25 px wide.
FINE_SEGMENTS_MPP = 2.0
#: Micrometres per pixel that a microscope can mean: 0.02 is finer than light resolves, 600 dpi (42.3) is a printer.
MPP_RANGE = (0.02, 40.0)


class TissueSettings(Settings):
    """CLAM's tissue segmentation (Lu et al. 2021); areas count 512 x 512 level-0 pixels, as CLAM's do."""

    saturation_threshold: int = setting(
        8, "Saturation threshold", "Pixels with a higher saturation are tissue.", unit="0 to 255", ge=0, le=255
    )
    median_blur: int = setting(
        7, "Median blur", "Side of the median filter before the threshold; an odd number.", unit="px", ge=1, le=99
    )
    close_size: int = setting(
        4, "Closing", "Gaps in the tissue up to this size are closed; 0 closes none.", unit="px", ge=0, le=99
    )
    otsu: bool = setting(False, "Otsu's threshold", "Compute the threshold from the slide instead.")
    min_tissue_area: float = setting(
        100.0, "Smallest tissue", "Smaller pieces of tissue are left out.", unit="512 x 512 px at level 0", ge=0
    )
    min_hole_area: float = setting(
        16.0, "Smallest hole", "Smaller holes count as tissue.", unit="512 x 512 px at level 0", ge=0
    )
    max_holes: int = setting(8, "Holes", "Only this many of the largest holes of each piece are kept.", ge=0)
    fallback: bool = setting(
        True,
        "Try again",
        "Where nothing is found, try Otsu's threshold and smaller areas; the results say which attempt succeeded.",
    )

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
    """Patches on one global grid with origin (0, 0) (methods §1); holds the default patch size."""

    patch_size: int = setting(
        512, "Patch size", "Side of a patch at the resolution at which it is read.", unit="px", ge=8, le=8192
    )
    mpp: float | None = setting(
        None,
        "Resolution",
        "Patches are read at this resolution; if not set, at level 0.",
        unit="µm per pixel",
        gt=0,
    )
    source_mpp: float | None = setting(
        None, "Resolution of level 0", "For slides that do not state it.", unit="µm per pixel", gt=0
    )
    overlap: int = setting(
        0, "Overlap", "Pixels that neighbouring patches share, at the resolution of the patch.", unit="px", ge=0
    )
    artefacts: Literal["keep", "mark", "drop"] = setting(
        "keep",
        "Artefacts",
        "Pen, folds, blur, air bubbles and dark spots: keep does not look for them, mark counts and shows them,"
        " drop leaves out the patches of which half or more is spoilt.",
    )
    rule: Literal["four_point", "centre"] = setting(
        "four_point",
        "Patch in tissue",
        "A patch is kept where its centre is in tissue, or any of four points around it (four_point), as in CLAM.",
    )

    @model_validator(mode="after")
    def _steps(self) -> Self:
        if self.overlap >= self.patch_size:
            size = self.patch_size
            raise ValueError(f"the overlap of {self.overlap} px must be smaller than the patch of {size} px")
        return self


class SegmentSettings(Settings):
    """The segmenter and its settings; the SAM values are the paper's (SAM-MIL §4.1)."""

    segmenter: str = setting(
        "auto",
        "Segmenter",
        f"Its name, or the path of a SAM checkpoint; auto takes the largest SAM that is available, else"
        f" {EMBEDDED_SEGMENTER}.",
    )
    max_side: int = setting(
        1024,
        "Image side",
        "Longest side of the image that is segmented; the slide is downsampled by the next power of two.",
        unit="px",
        ge=64,
        le=8192,
    )
    mpp: float | None = setting(
        None,
        "Fine segments",
        "Segments are found at this resolution, in overlapping tiles of the tissue, and joined; if not set, on one"
        " image of the whole slide.",
        unit="µm per pixel",
        ge=MPP_RANGE[0],
        le=MPP_RANGE[1],
    )
    both_scales: bool = setting(False, "Both scales", "With fine segments, those of the one image are kept too.")
    points_per_side: int = setting(32, "SAM points", "Prompts along each side of the image.", ge=1, le=128)
    points_per_batch: int | None = setting(
        None,
        "SAM batch",
        "Prompts decoded at once; if not set, chosen for the device. The masks do not depend on it.",
        ge=1,
        le=1024,
    )
    precision: Literal["float32", "bfloat16"] = setting(
        "float32",
        "SAM precision",
        "bfloat16 is about three times as fast; masks close to a threshold may change.",
    )
    prompts_on_tissue: bool = setting(
        False,
        "Prompts on tissue only",
        "Fewer prompts; masks that are found only from outside the tissue are missed.",
    )
    pred_iou_thresh: float = setting(
        0.6, "Predicted IoU", "SAM's masks with a lower predicted IoU are left out.", ge=0, le=1
    )
    stability_score_thresh: float = setting(
        0.6, "Stability", "SAM's masks that are less stable are left out.", ge=0, le=1
    )
    crop_n_layers: int = setting(
        1, "Crop layers", "SAM segments the whole image, and crops of it in this many layers.", ge=0, le=3
    )
    crop_n_points_downscale_factor: int = setting(
        2, "Points in crops", "Each layer of crops has fewer points along a side, by this factor.", ge=1, le=8
    )
    min_mask_region_area: int = setting(
        0, "Smallest part of a mask", "Smaller parts and holes of SAM's masks are removed.", unit="px²", ge=0
    )
    superpixels: int = setting(
        800, "Superpixels", "Superpixels (SLIC) from which regions are merged.", ge=8, le=5000
    )
    cuts: tuple[Annotated[int, Field(ge=1)], ...] = setting(
        (8, 16, 32, 64), "Cuts", "Numbers of regions at which the tree of merged regions (Ward) is cut."
    )


#: Superpixels and cuts of bags and classifiers that do not say them: they were made with the former default.
FORMER_PARTS: tuple[int, tuple[int, ...]] = (500, (4, 8, 16, 32))


class FeatureSettings(Settings):
    """The patch encoder and how it is run."""

    encoder: str = setting("efficientnet-lite0", "Encoder", "The name of the patch encoder.")
    more_encoders: tuple[str, ...] = setting(
        (), "Further encoders", "They encode the same patches, which are read only once; each writes its own bags."
    )
    precision: Literal["float32", "bfloat16", "float16"] = setting(
        "float32",
        "Encoder precision",
        "What encoders compute in; half precision is faster on most devices, and changes features slightly.",
    )
    batch_size: int = setting(
        32, "Encoder batch", "Patches that are encoded at once.", unit="patches", ge=1, le=4096
    )
    dtype: Literal["float16", "float32"] = setting("float32", "Stored as", "Type of the numbers in the bag file.")
    block: int = setting(
        256, "Saved every", "Features are saved to the file after this many patches.", unit="patches", ge=1
    )
    readers: int | None = setting(
        None,
        "Reading threads",
        "Threads that read and decode tiles for the encoder; if not set, chosen for the device.",
        ge=1,
        le=64,
    )

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

    rule: Literal["any", "centre", "majority", "released"] = setting(
        "any",
        "Patch in segment",
        "A patch belongs to a segment that it touches (any), that holds its centre or most of it; released is the"
        " rule of the paper's code: it touches the mask, and its corner lies in the mask's box.",
    )


Ring = Annotated[tuple[tuple[float, float], ...], Field(min_length=3)]


class ProcessSettings(Settings):
    """All of preprocessing."""

    preset: str = setting("default", "Tissue preset", "Name of CLAM's tissue settings.")
    region: Annotated[tuple[Ring, ...], Field(min_length=1)] | None = setting(
        None,
        "Region",
        "Rings (x, y): only tissue inside counts. The bag of a region would replace that of the slide: give it a"
        " project of its own.",
        unit="level-0 px",
    )
    annotations: str | None = setting(
        None, "Annotations", "Folder with one file of outlines for each slide, for the two settings below."
    )
    only_inside: tuple[str, ...] = setting(
        (),
        "Only inside",
        "Classes of outlines: only tissue inside them counts.",
    )
    not_inside: tuple[str, ...] = setting(
        (),
        "Not inside",
        "Classes of outlines: tissue inside them does not count.",
    )
    tissue: TissueSettings | None = None
    tiles: TileSettings = TileSettings()
    segments: SegmentSettings = SegmentSettings()
    features: FeatureSettings = FeatureSettings()
    groups: GroupSettings = GroupSettings()

    @property
    def resolved_tissue(self) -> TissueSettings:
        """The explicit tissue settings if given, else those of the preset."""
        return self.tissue if self.tissue is not None else tissue_preset(self.preset)
