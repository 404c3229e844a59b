"""Settings of the aggregators: each with a class of its own, all within :class:`ModelSettings`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .base import Fraction, Positive, Settings


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
    #: Patches of the bags that the weight is meant for. The term is a sum of squared attention weights and falls
    #: with 1/N^2; taken times (N / patches)^2 it counts alike in bags of every size. 0: the weight is fixed, as the
    #: paper prints it; in bags of some hundred patches the term then outweighs the class (studies/demo_cohort.md).
    consistency_patches: Annotated[int, Field(ge=0)] = 8000
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
