"""Settings of training, cross-validation and the demo."""

from __future__ import annotations

from typing import Literal

from ..errors import SettingsError
from .base import Settings, setting
from .models import ModelSettings
from .process import FORMER_PARTS, ProcessSettings, SegmentSettings, TileSettings


class TrainSettings(Settings):
    """The optimisation (methods §2): Adam, cosine over the epochs, one bag per step.

    With the recipe ``paper``, what is not set explicitly is as the model's paper has it (``training/recipe.py``).
    """

    model: ModelSettings = ModelSettings()
    recipe: Literal["shared", "paper"] = setting(
        "shared",
        "Recipe",
        "shared: optimizer, rate and epochs are the same for every model; paper: those of the model's own paper or"
        " code, except for what is set explicitly.",
    )
    optimizer: Literal["adam", "adamw", "lookahead-radam"] = setting(
        "adam", "Optimizer", "Of the weights; lookahead-radam is RAdam with Lookahead (6 steps, half way)."
    )
    epochs: int = setting(200, "Epochs", "Maximum number of epochs.", unit="epochs", ge=1)
    learning_rate: float = setting(2e-4, "Learning rate", "At the start.", gt=0)
    schedule: Literal["cosine", "step", "constant"] = setting(
        "cosine",
        "Schedule",
        "How the learning rate falls over the epochs: cosine to the last rate, step once, or constant not at all.",
    )
    last_rate: float = setting(0.0, "Last rate", "Learning rate at the end of the cosine.", ge=0)
    step_at: float = setting(0.5, "Step at", "Share of the epochs after which the schedule steps.", ge=0, le=1)
    step_factor: float = setting(0.2, "Step factor", "The step multiplies the learning rate by this.", gt=0, le=1)
    beta1: float = setting(0.9, "Beta 1", "Decay of the mean of the gradients, in the optimizer.", ge=0, lt=1)
    beta2: float = setting(0.999, "Beta 2", "Decay of the mean of their squares, in the optimizer.", ge=0, lt=1)
    weight_decay: float = setting(1e-5, "Weight decay", "Of the optimizer.", ge=0)
    decay_biases: bool = setting(
        True, "Decay of biases", "Whether weight decay applies to biases and normalisation too."
    )
    clip: float = setting(
        0.0, "Gradient clipping", "Largest norm of the gradient of a part of the model; 0: no clipping.", ge=0
    )
    accumulate: int = setting(
        1, "Slides per step", "Slides whose gradients are averaged in a step.", unit="slides", ge=1
    )
    patience: int = setting(
        30,
        "Patience",
        "Epochs without a lower validation loss before training stops; 0: it never stops early.",
        unit="epochs",
        ge=0,
    )
    min_epochs: int = setting(130, "First stop", "The first epoch at which training may stop.", unit="epochs", ge=0)
    best_by: Literal["loss", "auc"] = setting(
        "loss", "Best epoch", "The epoch that is kept has the lowest validation loss, or the largest AUC."
    )
    best_from: float = setting(
        0.0,
        "Best epoch from",
        "Share of the epochs before which none is kept, if there are later ones.",
        ge=0,
        lt=1,
    )
    bags: Literal["slide", "patient"] = setting(
        "slide", "One bag per", "patient: the slides of a patient are one bag (training/patient_bags.py)."
    )
    seed: int = setting(2021, "Seed", "Of splits, weights and order.")
    val_fraction: float = setting(0.2, "Validation share", "Share of the slides for validation.", gt=0, lt=1)
    test_fraction: float = setting(0.2, "Test share", "Share of the slides for the test.", gt=0, lt=1)
    threshold_rule: Literal["youden", "accuracy"] = setting(
        "youden", "Threshold", "How the decision threshold is chosen on the validation slides (two classes)."
    )
    classes: tuple[str, ...] | None = setting(
        None, "Classes", "Class names in their order, the positive one last; if not set, the labels are sorted."
    )
    calibrate: bool = setting(
        True, "Calibrate", "Calibrate slide and patch probabilities on the validation slides (calibration.py)."
    )
    negative_class: str | None = setting(
        None,
        "Negative class",
        "The class of the negative slides; if not set, found by its name (normal, benign).",
    )
    balance: Literal["none", "weights", "sampling"] = setting(
        "none",
        "Balance of classes",
        "For rare classes: weights multiplies the loss of a slide, sampling draws slides of all classes as often.",
    )
    device: str = setting("auto", "Device", "auto, cpu, cuda, cuda:1 or mps.")
    precision: Literal["bf16", "float32"] = setting(
        "bf16", "Precision", "Of matrix products on CUDA; elsewhere always float32."
    )
    cache_dtype: Literal["float16", "float32"] = setting(
        "float16", "Kept as", "Precision of the features cached in memory."
    )
    cache_gib: float = setting(
        8.0,
        "Memory for bags",
        "Bags are cached in memory up to this size; the others are read in every epoch.",
        unit="GiB",
        ge=0,
    )
    tensorboard: bool = setting(
        False, "TensorBoard", "Also write losses and metrics of every epoch for TensorBoard."
    )

    @property
    def budget(self) -> float:
        """Largest number of bytes of bags to cache."""
        return self.cache_gib * 2**30


class ProtocolSettings(Settings):
    """How a cohort is divided for cross-validation (methods §5), and what its paper changes in the training."""

    folds: int = setting(5, "Folds", "Folds of cross-validation.", ge=2)
    repeats: int = setting(1, "Repeats", "How often the cohort is divided into folds.", ge=1)
    by_patient: bool = setting(
        False, "By patient", "Keep the slides of a patient on one side; a patient must be known for every slide."
    )
    patience: int | None = setting(None, "Patience", "Overrides the patience of training.", unit="epochs", ge=1)
    min_epochs: int | None = setting(
        None, "First stop", "Overrides the first stop of training.", unit="epochs", ge=0
    )

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


#: Fields of :class:`TrainSettings` that runs of version 0.1 do not have: no part of a run's key while unchanged.
LATER: frozenset[str] = frozenset(
    {"calibrate", "negative_class", "balance", "recipe", "schedule", "last_rate", "step_at", "step_factor", "beta1"}
    | {"beta2", "decay_biases", "clip", "accumulate", "best_by", "best_from", "bags"}
)
#: Fields of :class:`TrainSettings` that say where and how fast a run is computed, not which one it is.
PLACE: frozenset[str] = frozenset({"device", "cache_gib", "tensorboard"})


class DemoSettings(Settings):
    """The demo: a small cohort of generated slides, and models that are trained within minutes."""

    slides: int = setting(32, "Slides", "Generated slides.", unit="slides", ge=8)
    seed: int = setting(0, "Seed", "Of the generated slides.")
    #: A generated slide has about 100 patches: finer cuts would make a group of every patch.
    process: ProcessSettings = ProcessSettings(
        tiles=TileSettings(patch_size=256, mpp=0.5),
        segments=SegmentSettings(segmenter="stain-regions", superpixels=FORMER_PARTS[0], cuts=FORMER_PARTS[1]),
    )
    train: TrainSettings = TrainSettings(
        epochs=60, patience=20, min_epochs=30, seed=1, val_fraction=0.25, test_fraction=0.34
    )
