"""Settings of training, cross-validation and the demonstration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..errors import SettingsError
from .base import Positive, Settings
from .models import ModelSettings
from .process import ProcessSettings, SegmentSettings, TileSettings


class TrainSettings(Settings):
    """The optimisation (methods §2): Adam, cosine over the epochs, one bag a step.

    What is not set explicitly, a model's own recipe may set (``training/recipe.py``).
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
    #: Calibrate slide and patch probabilities on the validation slides (training/calibration.py).
    calibrate: bool = True
    #: The class whose slides hold nothing that is looked for; None: found by its name (normal, benign ...).
    negative_class: str | None = None
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


#: Fields of :class:`TrainSettings` that runs of version 0.1 do not have: no part of a run's key while unchanged.
LATER: frozenset[str] = frozenset({"calibrate", "negative_class"})
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
