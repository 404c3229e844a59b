"""Settings of the aggregators: each with a class of its own, all within :class:`ModelSettings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from .base import Settings, setting


class DsmilSettings(Settings):
    """DSMIL (Li et al. 2021)."""

    query: int = setting(128, "Query width", "Width of the queries.", ge=1)
    query_layers: Literal["linear", "tanh"] = setting(
        "linear", "Query layers", "linear: W_q h, as in the paper; tanh: tanh(W_2 relu(W_1 h)), as released."
    )
    value_layers: Literal["linear", "identity"] = setting(
        "linear", "Value layers", "linear: W_v h, as in the paper; identity: h itself, as released."
    )
    score: Literal["mean", "bag"] = setting(
        "mean",
        "Slide score",
        "The slide's logits: the mean of both streams, as in the paper, or the bag stream, as released.",
    )


class ClamSettings(Settings):
    """CLAM (Lu et al. 2021); the size called small."""

    attention: int = setting(256, "Attention width", "Width of the attention network.", ge=1)
    gated: bool = setting(True, "Gated attention", "Whether the attention network has a gate.")
    instances: int = setting(
        8,
        "Instances",
        "Patches with the most and with the least attention that an instance classifier learns from.",
        ge=1,
    )
    subtyping: bool | None = setting(
        None,
        "Subtyping",
        "Whether classes exclude each other, so that the most attended patches are negatives of every other class;"
        " without it, beyond two classes.",
    )
    bag_weight: float = setting(
        0.7, "Weight of the slide", "Weight of the slide's loss; the instances' loss gets the rest.", ge=0, le=1
    )


class TransmilSettings(Settings):
    """TransMIL (Shao et al. 2021)."""

    heads: int = setting(8, "Heads", "Attention heads.", ge=1)
    landmarks: int = setting(256, "Landmarks", "Landmarks of the Nyström attention.", ge=3)
    iterations: int = setting(6, "Iterations", "Iterations towards the pseudo-inverse.", ge=0)
    kernel: int = setting(
        33, "Kernel", "Tokens under the convolution of the values; an odd number.", unit="tokens", ge=1
    )
    dropout: float = setting(0.1, "Dropout", "Dropout after each attention layer.", ge=0, lt=1)

    @model_validator(mode="after")
    def _odd_kernel(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        return self


class DtfdSettings(Settings):
    """DTFD-MIL (Zhang et al. 2022)."""

    pseudo_bags: int = setting(
        5, "Pseudo-bags", "The paper takes 4 to 8: 5 for CAMELYON-16, 8 for TCGA.", ge=1, le=64
    )
    distill: Literal["AFS", "MaxS", "MaxMinS", "MAS"] = setting(
        "AFS", "Distillation", "Features that the first tier gives to the second, as the paper names them."
    )
    instances: int = setting(
        1, "Instances", "MaxS, MaxMinS and MAS: instances taken from a pseudo-bag (MaxMinS: from either end).", ge=1
    )
    gated: bool = setting(True, "Gated attention", "Both tiers score with gates, as released.")


class IbmilSettings(Settings):
    """IBMIL (Lin et al. 2023)."""

    base: Literal["abmil", "mean"] = setting("abmil", "Base model", "The softmax pooling that both stages train.")
    confounders: int = setting(
        8, "Confounders", "Centres that k-means looks for (2, 4, 8 and 16 in the paper).", ge=1, le=1024
    )
    per_class: bool = setting(False, "Per class", "Look for the centres in each predicted class.")
    joint: int = setting(128, "Joint width", "Width of the space in which bag and confounders are compared.", ge=1)


class MhimSettings(Settings):
    """MHIM-MIL, version 1 (Tang et al. 2023); the numbers are those for AB-MIL on CAMELYON-16.

    Released for TransMIL on CAMELYON-16: random 0, low 0.8, high 0.03. TCGA: random 0.7 (TransMIL 0.6), low 0.2,
    high 0.02 with share 1, consistency 0.5.
    """

    base: Literal["abmil", "transmil"] = setting(
        "abmil", "Base model", "The model that is trained with masked instances."
    )
    momentum: float = setting(
        0.9999, "Teacher's momentum", "Momentum of the moving average that makes the teacher.", ge=0, le=1
    )
    random: float = setting(0.5, "Masked at random", "Share of the patches.", ge=0, le=1)
    low: float = setting(
        0.0,
        "Masked with low attention",
        "Share of the patches with the lowest attention of the teacher.",
        ge=0,
        le=1,
    )
    high: float = setting(
        0.01,
        "Masked with high attention",
        "Share of the patches with the highest attention of the teacher.",
        ge=0,
        le=1,
    )
    high_share: float = setting(
        0.5,
        "Share of high attention",
        "Patches with high attention are drawn from high / high_share of all patches; 1: none is drawn.",
        gt=0,
        le=1,
    )
    high_decay_epochs: int = setting(
        200,
        "Decay of high",
        "Epochs within which high falls to zero with a cosine; 0: it stays.",
        unit="epochs",
        ge=0,
    )
    consistency: float = setting(0.1, "Consistency", "Weight of the distance between student and teacher.", ge=0)
    temperature: float = setting(0.1, "Temperature", "Temperature of the teacher's target.", gt=0)
    student_init: Literal["none", "projection", "all"] = setting(
        "projection",
        "Student starts from",
        "What the student takes over from the trained baseline; the teacher takes everything.",
    )


class SrmilSettings(Settings):
    """SRMIL (Wu et al. 2026, arXiv 2602.19487)."""

    window: int = setting(
        5, "Window", "Side of the window of neighbours; an odd number.", unit="patches", ge=1, le=31
    )
    width: int = setting(1024, "Width", "Width of the linear layer before the graph.", ge=1)
    heads: int = setting(4, "Heads", "Attention heads.", ge=1)
    head_width: int = setting(64, "Head width", "Width of an attention head.", ge=1)
    mask_ratio: float = setting(
        0.7, "Masked", "Share of the patches that are masked and reconstructed.", ge=0, le=1
    )
    feature_dropout: float = setting(0.11, "Feature dropout", "Dropout of the features.", ge=0, lt=1)
    attention_dropout: float = setting(0.15, "Attention dropout", "Dropout of the attention weights.", ge=0, lt=1)
    classifier: int = setting(128, "Classifier width", "Hidden width of the classifier.", ge=1)
    classifier_dropout: float = setting(0.059, "Classifier dropout", "Dropout of the classifier.", ge=0, lt=1)
    classification_weight: float = setting(0.2, "Classification weight", "Weight of both cross-entropies.", ge=0)
    reconstruction_weight: float = setting(1.8, "Reconstruction weight", "Weight of the reconstruction.", ge=0)

    @model_validator(mode="after")
    def _odd_window(self) -> Self:
        if self.window % 2 == 0:
            raise ValueError("window must be odd")
        return self


class ModelSettings(Settings):
    """The aggregator and its shape (methods §2)."""

    name: str = setting("sam-mil", "Model", "Name of the aggregator; +groups after it adds group tokens.")
    hidden: int = setting(512, "Hidden width", "Width of the patch embedding.", ge=1)
    attention: int = setting(128, "Attention width", "Width of the attention network.", ge=1)
    dropout: float = setting(0.25, "Dropout", "Dropout of the patch embedding.", ge=0, lt=1)
    gated: bool = setting(False, "Gated attention", "Whether the attention network has a gate.")
    groups: bool | None = setting(
        None,
        "Group tokens",
        "Group features join the patches as tokens (Eq. 4); without it the model decides (on for sam-mil).",
    )
    mask: Literal["sg2m", "none", "random", "random-patches"] = setting(
        "sg2m", "Mask", "SG2M and the other mask strategies of the paper's Figure 3."
    )
    mask_ratio: float = setting(0.9, "Masked groups", "Share of the groups that are masked at most.", ge=0, le=1)
    mask_area: Literal["raster", "patches"] = setting(
        "raster",
        "Area of a segment",
        "In which unit SG2M counts it: pixels of the segmentation image, as in the paper, or patches, so that a"
        " large and a small slide are masked alike (mil/masking.py).",
    )
    mask_a: float = setting(
        5e-4, "Mask a", "Slope of the share of masked patches over the size of a group (Eq. 5)."
    )
    mask_b: float = setting(-2.5, "Mask b", "Offset of the share of masked patches (Eq. 5).")
    pseudo_bags: int = setting(5, "Pseudo-bags", "Pseudo-bags per slide and step; 0 makes none.", ge=0, le=64)
    pseudo_bag_weight: float = setting(0.5, "Pseudo-bag weight", "Weight of the loss of pseudo-bags.", ge=0)
    consistency: Literal["variance", "released", "relative"] = setting(
        "variance",
        "Consistency",
        "Form of the spatial consistency: variance, as the paper's text has it; released, as the code released with"
        " it counts; relative, of attention relative to the mean patch, free of size (mil/consistency.py).",
    )
    consistency_weight: float = setting(
        0.0,
        "Consistency weight",
        "Weight of the spatial consistency (Eq. 7); 0 leaves it out, as validation on lymph node chose"
        " (studies/lymph_maps.md). The paper's is 1000.",
        ge=0,
    )
    consistency_patches: int = setting(
        8000,
        "Consistency patches",
        "Of variance: size of the bags for which the weight is meant. The term is a sum of squared attention and"
        " falls with 1/N^2; taken times (N / patches)^2 it counts alike in bags of every size. 0: the weight is"
        " fixed, as the paper prints it; in bags of a few hundred patches the term then outweighs the class"
        " (studies/demo_cohort.md).",
        unit="patches",
        ge=0,
    )
    as_released: bool = setting(
        False,
        "As released",
        "dtfd, sam-mil and srmil as the code released with their papers behaves, for comparison only.",
    )
    patch_probability: Literal["instance", "class-activation"] = setting(
        "instance", "Patch probability", "How a patch's class probability is derived (mil/patch_probability.py)."
    )
    dsmil: DsmilSettings = DsmilSettings()
    clam: ClamSettings = ClamSettings()
    transmil: TransmilSettings = TransmilSettings()
    dtfd: DtfdSettings = DtfdSettings()
    ibmil: IbmilSettings = IbmilSettings()
    mhim: MhimSettings = MhimSettings()
    srmil: SrmilSettings = SrmilSettings()


#: Fields of :class:`ModelSettings` that earlier runs do not have, and what those did: no part of a run's key then.
BEFORE: Mapping[str, object] = {"consistency": "variance", "mask_area": "raster"}
