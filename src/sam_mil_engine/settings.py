"""Every setting of the engine, and the only place where a default stands.

All models are frozen: a changed setting is a new object. ``key(...)`` gives the short hash under which results
made with these settings are kept, so that results of different settings are never mixed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import SettingsError

#: The stages of ``process`` in the order in which they run.
STAGES: tuple[str, ...] = ("tissue", "tiles", "segments", "features", "groups")

#: Bytes of decoded tiles that OpenSlide keeps for one open slide, shared by all of its threads.
OPENSLIDE_CACHE_BYTES = 64 * 2**20
#: Bytes of decoded tiles that the viewer's pyramid keeps for one slide.
PYRAMID_CACHE_BYTES = 512 * 2**20
#: Micrometres a pixel that a microscope can mean: 0.02 is finer than light resolves, 600 dpi (42.3) is a printer.
MPP_RANGE = (0.02, 40.0)

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Build from keyword values, leaving out ``None``; raises :class:`SettingsError` on a bad one."""
        return cls.parse({name: value for name, value in values.items() if value is not None})

    @classmethod
    def parse(cls, values: object) -> Self:
        """Build from nested dictionaries (JSON, TOML); raises :class:`SettingsError` naming each bad value."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            details = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or cls.__name__}: {item['msg']}"
                for item in error.errors()
            )
            raise SettingsError(details, where=cls.__name__) from error


def key(*parts: object) -> str:
    """Twelve hexadecimal digits that change when any part (settings, strings, numbers) changes."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


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
    #: Micrometres a pixel to read at; None reads level 0 as it is.
    mpp: Positive | None = None
    #: Micrometres a level-0 pixel, for slides that do not say.
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
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    #: Type of the numbers on disk.
    dtype: Literal["float16", "float32"] = "float32"
    #: Rows between two commit marks in the bag file: what a kill can lose at most.
    block: Annotated[int, Field(ge=1)] = 256
    #: Threads that read and decode tiles ahead of the encoder.
    readers: Annotated[int, Field(ge=1, le=64)] = 2


class GroupSettings(Settings):
    """How patches are assigned to segments (methods §1, Membership)."""

    #: ``any``: the patch rectangle touches the mask; ``released``: the same, and its corner lies in the mask's box.
    rule: Literal["any", "centre", "majority", "released"] = "any"


class ProcessSettings(Settings):
    """All of preprocessing."""

    preset: str = "default"
    tissue: TissueSettings | None = None
    tiles: TileSettings = TileSettings()
    segments: SegmentSettings = SegmentSettings()
    features: FeatureSettings = FeatureSettings()
    groups: GroupSettings = GroupSettings()

    @property
    def resolved_tissue(self) -> TissueSettings:
        """The explicit tissue settings if given, else those of the preset."""
        return self.tissue if self.tissue is not None else tissue_preset(self.preset)


class DsmilSettings(Settings):
    """DSMIL (Li et al. 2021)."""

    #: Width of the queries.
    query: Annotated[int, Field(ge=1)] = 128
    #: ``linear``: W_q h, as in the paper; ``tanh``: tanh(W_2 relu(W_1 h)), as released.
    query_layers: Literal["linear", "tanh"] = "linear"
    #: ``linear``: W_v h, as in the paper; ``identity``: h itself, as released.
    value_layers: Literal["linear", "identity"] = "linear"
    #: What the slide's logits are: the mean of both streams, as in the paper, or the bag stream, as released.
    score: Literal["mean", "bag"] = "mean"


class ClamSettings(Settings):
    """CLAM (Lu et al. 2021); the size called small."""

    attention: Annotated[int, Field(ge=1)] = 256
    gated: bool = True
    #: Patches with the most and with the least attention that an instance classifier learns from.
    instances: Annotated[int, Field(ge=1)] = 8
    #: Whether the classes exclude each other, so that the most attended patches are negatives of every other
    #: class; None: beyond two classes.
    subtyping: bool | None = None
    #: Weight of the slide's loss; the instances' loss has the rest.
    bag_weight: Fraction = 0.7


class TransmilSettings(Settings):
    """TransMIL (Shao et al. 2021)."""

    heads: Annotated[int, Field(ge=1)] = 8
    landmarks: Annotated[int, Field(ge=3)] = 256
    #: Iterations towards the pseudo-inverse.
    iterations: Annotated[int, Field(ge=0)] = 6
    #: Tokens under the convolution of the values.
    kernel: Annotated[int, Field(ge=1)] = 33
    #: Behind each attention layer.
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    @model_validator(mode="after")
    def _odd_kernel(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        return self


class DtfdSettings(Settings):
    """DTFD-MIL (Zhang et al. 2022)."""

    #: The paper takes 4 to 8: 5 for CAMELYON-16, 8 for TCGA.
    pseudo_bags: Annotated[int, Field(ge=1, le=64)] = 5
    distill: Literal["AFS", "MaxS", "MaxMinS", "MAS"] = "AFS"
    #: MaxS, MaxMinS, MAS: instances taken from a pseudo-bag (MaxMinS: from either end).
    instances: Annotated[int, Field(ge=1)] = 1
    #: Both tiers score with gates, as released.
    gated: bool = True


class IbmilSettings(Settings):
    """IBMIL (Lin et al. 2023)."""

    #: The softmax pooling that both stages train.
    base: Literal["abmil", "mean"] = "abmil"
    #: Centres that k-means looks for (2, 4, 8 and 16 in the paper); for each predicted class with ``per_class``.
    confounders: Annotated[int, Field(ge=1, le=1024)] = 8
    per_class: bool = False
    #: Width of the space in which bag and confounders are compared.
    joint: Annotated[int, Field(ge=1)] = 128


class MhimSettings(Settings):
    """MHIM-MIL, version 1 (Tang et al. 2023); the numbers are those for AB-MIL on CAMELYON-16.

    Released for TransMIL on CAMELYON-16: random 0, low 0.8, high 0.03. TCGA: random 0.7 (TransMIL 0.6), low 0.2,
    high 0.02 with share 1, consistency 0.5.
    """

    base: Literal["abmil", "transmil"] = "abmil"
    #: Moving average of the teacher.
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.9999
    #: Share of the patches masked at random, with the lowest and with the highest attention of the teacher.
    random: Fraction = 0.5
    low: Fraction = 0.0
    high: Fraction = 0.01
    #: Those with the highest attention are drawn from ``high / high_share`` of all patches; 1: none is drawn.
    high_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    #: Epochs within which ``high`` falls to zero with a cosine; 0: it stays.
    high_decay_epochs: Annotated[int, Field(ge=0)] = 200
    consistency: Annotated[float, Field(ge=0)] = 0.1
    #: Temperature of the teacher's target.
    temperature: Positive = 0.1
    #: What the student takes over from the trained baseline; the teacher takes everything.
    student_init: Literal["none", "projection", "all"] = "projection"


class SrmilSettings(Settings):
    """SRMIL (Wu et al. 2026, arXiv 2602.19487)."""

    #: Side of the window of neighbours, in patches.
    window: Annotated[int, Field(ge=1, le=31)] = 5
    #: Width of the linear layer in front of the graph.
    width: Annotated[int, Field(ge=1)] = 1024
    heads: Annotated[int, Field(ge=1)] = 4
    head_width: Annotated[int, Field(ge=1)] = 64
    mask_ratio: Fraction = 0.7
    feature_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.11
    attention_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.15
    #: Hidden width and dropout of the classifier.
    classifier: Annotated[int, Field(ge=1)] = 128
    classifier_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.059
    #: Weight of both cross-entropies, and of the reconstruction.
    classification_weight: Annotated[float, Field(ge=0)] = 0.2
    reconstruction_weight: Annotated[float, Field(ge=0)] = 1.8

    @model_validator(mode="after")
    def _odd_window(self) -> Self:
        if self.window % 2 == 0:
            raise ValueError("window must be odd")
        return self


class ModelSettings(Settings):
    """The aggregator and its shape (methods §2)."""

    name: str = "sam-mil"
    hidden: Annotated[int, Field(ge=1)] = 512
    attention: Annotated[int, Field(ge=1)] = 128
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    gated: bool = False
    #: Group features join the patches as tokens (Eq. 4); None leaves it to the model (on for ``sam-mil``).
    groups: bool | None = None
    #: SG2M and the other mask strategies of the paper's Figure 3.
    mask: Literal["sg2m", "none", "random", "random-patches"] = "sg2m"
    mask_ratio: Fraction = 0.9
    mask_a: float = 5e-4
    mask_b: float = -2.5
    pseudo_bags: Annotated[int, Field(ge=0, le=64)] = 5
    pseudo_bag_weight: Annotated[float, Field(ge=0)] = 0.5
    consistency_weight: Annotated[float, Field(ge=0)] = 1000.0
    #: ``sam-mil`` as the code released with the paper behaves, for comparison only (mil/sam_mil.py).
    as_released: bool = False
    #: Derivation of a patch's class probability (mil/patch_probability.py).
    patch_probability: Literal["instance", "class-activation"] = "instance"
    dsmil: DsmilSettings = DsmilSettings()
    clam: ClamSettings = ClamSettings()
    transmil: TransmilSettings = TransmilSettings()
    dtfd: DtfdSettings = DtfdSettings()
    ibmil: IbmilSettings = IbmilSettings()
    mhim: MhimSettings = MhimSettings()
    srmil: SrmilSettings = SrmilSettings()


class TrainSettings(Settings):
    """The optimisation (methods §2): Adam, cosine over the epochs, one bag a step.

    What is not set explicitly, a model's own recipe may set (``train/recipe.py``).
    """

    model: ModelSettings = ModelSettings()
    optimizer: Literal["adam", "adamw"] = "adam"
    epochs: Annotated[int, Field(ge=1)] = 200
    learning_rate: Positive = 2e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    #: Epochs without a better validation loss before training stops, and the first epoch at which it may.
    patience: Annotated[int, Field(ge=1)] = 30
    min_epochs: Annotated[int, Field(ge=0)] = 130
    seed: int = 2021
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    #: How the decision threshold is chosen on the validation slides (two classes).
    threshold_rule: Literal["youden", "accuracy"] = "youden"
    #: Class names in their order, the positive one last; None sorts the labels.
    classes: tuple[str, ...] | None = None
    device: str = "auto"
    #: Matrix products on CUDA; elsewhere always float32.
    precision: Literal["bf16", "float32"] = "bf16"
    #: Precision in which features are kept in memory, and GiB of them at most; further bags are read every epoch.
    cache_dtype: Literal["float16", "float32"] = "float16"
    cache_gib: Annotated[float, Field(ge=0)] = 8.0
    #: Write losses and figures of every epoch for TensorBoard too.
    tensorboard: bool = False

    @property
    def budget(self) -> float:
        """Bytes of bags to keep at most."""
        return self.cache_gib * 2**30


class ProtocolSettings(Settings):
    """How a cohort is divided for cross-validation (methods §5), and what its paper changes in the training."""

    folds: Annotated[int, Field(ge=2)] = 5
    repeats: Annotated[int, Field(ge=1)] = 1
    #: A patient must be known for every slide.
    by_patient: bool = False
    patience: Annotated[int, Field(ge=1)] | None = None
    min_epochs: Annotated[int, Field(ge=0)] | None = None

    @property
    def training(self) -> dict[str, object]:
        """Fields of :class:`TrainSettings` that the protocol sets."""
        return self.model_dump(include={"patience", "min_epochs"}, exclude_none=True)


#: The protocols of the SAM-MIL paper by name.
PROTOCOLS: dict[str, ProtocolSettings] = {
    "c16": ProtocolSettings(folds=3, repeats=3, patience=30, min_epochs=130),
    "tcga": ProtocolSettings(folds=5, by_patient=True, patience=20, min_epochs=70),
}


def protocol_named(name: str | None) -> ProtocolSettings:
    """Return the protocol, or plain folds for None; raises :class:`SettingsError` listing the names that exist."""
    if name is None:
        return ProtocolSettings()
    try:
        return PROTOCOLS[name]
    except KeyError:
        known = ", ".join(PROTOCOLS)
        raise SettingsError(f"there is no protocol {name!r}", hint=f"Choose one of: {known}") from None


#: Fields of :class:`TrainSettings` that say where and how fast a run is computed, not which one it is.
PLACE: frozenset[str] = frozenset({"device", "cache_gib", "tensorboard"})


class DemoSettings(Settings):
    """The demonstration: a small cohort of generated slides, and models that are trained within minutes."""

    slides: Annotated[int, Field(ge=8)] = 32
    seed: int = 0
    process: ProcessSettings = ProcessSettings(
        tiles=TileSettings(patch_size=256, mpp=0.5), segments=SegmentSettings(segmenter="regions")
    )
    train: TrainSettings = TrainSettings(
        epochs=60, patience=20, min_epochs=30, seed=1, val_fraction=0.25, test_fraction=0.34
    )
