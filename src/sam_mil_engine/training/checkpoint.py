"""A trained model as a folder: ``model.safetensors`` (weights), ``model.json`` (what they are), ``card.md``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from safetensors.torch import save as save_weights

from .. import layout
from ..devices import pick_device
from ..errors import MALFORMED, ModelError, SettingsError, reason
from ..files import atomic_write
from ..mil.aggregator import Aggregator
from ..mil.building import build_aggregator
from ..mil.patch_calibration import PatchCalibration
from ..provenance import versions
from ..settings import ModelSettings
from .domain import FeatureDomain, load_domain, save_domain
from .expects import Expects
from .model_folders import AUTO, bundled_models, find_model

FORMAT_VERSION = 1
#: Weights that are built without a second thought.
_SMALL = 2**27
_DO_NOT_FIT: tuple[type[Exception], ...] = (SettingsError, OSError, *MALFORMED)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model ready to predict.

    Attributes
    ----------
    model
        The aggregator, in evaluation mode, on its device.
    classes
        Names of the classes; the positive one is the last.
    threshold
        Probability of the last class from which a slide is called positive (two classes).
    expects
        What a bag must be.
    seed
        Seed of the training, or None where not known.
    name, path
        A display name, and the model folder.
    card
        Text of the model card, or None.
    domain
        The distribution of the features it was trained on, or None where it was not saved.
    temperature
        What the slide's logits are divided by before the softmax, from validation slides.
    calibration
        How its patch scores become probabilities, or None: they are raw.
    split
        Repeat and fold of the split that it was trained on, or None where it is of no run.
    """

    model: Aggregator
    classes: tuple[str, ...]
    threshold: float
    expects: Expects
    name: str
    path: Path | None = None
    seed: int | None = None
    card: str | None = None
    domain: FeatureDomain | None = None
    temperature: float = 1.0
    calibration: PatchCalibration | None = None
    split: tuple[int, int] | None = None

    @property
    def settings(self) -> ModelSettings:
        """The architecture."""
        return self.model.settings

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of logits (..., C)."""
        return torch.softmax(logits / self.temperature, dim=-1)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device


def save_model(folder: Path, trained: TrainedModel) -> None:
    """Write the model folder; weights first, so that a description never stands without them."""
    weights = save_weights({name: tensor.contiguous().cpu() for name, tensor in trained.model.state_dict().items()})
    description = {
        "format_version": FORMAT_VERSION,
        "name": trained.name,
        "model": trained.settings.model_dump(mode="json"),
        "classes": trained.classes,
        "threshold": trained.threshold,
        "expects": asdict(trained.expects),
        "temperature": trained.temperature,
        "calibration": None if trained.calibration is None else trained.calibration.to_dict(),
        "seed": trained.seed,
        "split": trained.split,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "versions": versions(),
    }
    if trained.domain is not None:
        description["domain_sha256"] = save_domain(folder, trained.domain)
    atomic_write(folder / layout.MODEL_WEIGHTS, weights)
    if trained.card is not None:
        atomic_write(folder / layout.CARD, trained.card)
    atomic_write(folder / layout.MODEL, json.dumps(description, indent=2, ensure_ascii=False) + "\n")


def load_model(path: str | Path, *, device: str = "auto") -> TrainedModel:
    """Load a trained model.

    Parameters
    ----------
    path
        A model folder, a RUN with one of them, or the name of a bundled model (:func:`bundled_models`).
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    ModelError
        If there is no such model, a RUN holds several, or a file is damaged or does not fit the others.

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import sam_mil_engine as sme
    >>> model = sme.load_model("study/runs/first", device="cpu")
    >>> model.classes, 0 <= model.threshold <= 1
    (('normal', 'tumour'), True)
    >>> model.expects.encoder, model.expects.patch_size
    ('efficientnet-lite0', 128)
    """
    folder = find_model(path)
    description = _description(folder)
    weights = _weights(folder, description.get("weights_sha256"))
    card, domain = folder / layout.CARD, description.get("domain_sha256")
    calibration = description.get("calibration")
    try:
        expects = Expects.parse(description["expects"])
        classes = tuple(str(name) for name in description["classes"])
        model = _build(ModelSettings.parse(description["model"]), expects.dim, len(classes), weights)
        model.load_state_dict(weights)
        return TrainedModel(
            model=model.to(pick_device(device)).eval(),
            classes=classes,
            threshold=_within(description["threshold"], "threshold", 0.0, 1.0),
            expects=expects,
            name=str(description.get("name", folder.name)),
            path=folder,
            seed=description.get("seed"),
            card=card.read_text(encoding="utf-8") if card.is_file() else None,
            domain=None if domain is None else load_domain(folder, sha256=str(domain), dim=expects.dim),
            temperature=_within(description.get("temperature", 1.0), "temperature", 1e-6, 1e6),
            calibration=None if calibration is None else _calibration(calibration, classes),
            split=_split(description, folder),
        )
    except _DO_NOT_FIT as error:
        raise ModelError(
            "the description and the weights of the model do not fit together"
            f" ({type(error).__name__}: {reason(error)})",
            where=folder,
            hint="Copy the folder again, or train the model with this version",
        ) from error


def load_candidates(path: str | Path, *, device: str = "auto") -> list[TrainedModel]:
    """Load one model, or for ``auto`` all bundled ones.

    :func:`sam_mil_engine.prediction.slide.best_fit` chooses among them once the features of a slide are known.

    Raises
    ------
    ModelError
        As :func:`load_model`.
    """
    if path == AUTO:
        return [load_model(name, device=device) for name in bundled_models()]
    return [load_model(path, device=device)]


def _build(settings: ModelSettings, dim: int, n_classes: int, weights: Mapping[str, torch.Tensor]) -> Aggregator:
    """Build the model if it is about as large as its weights: a description may ask for more than any memory."""
    *_, second, largest = sorted([dim, n_classes, *_whole_numbers(settings.model_dump())])
    if second * largest > _SMALL:  # a layer may be as large; rarely, as counting loads much of torch
        with torch.device("meta"):  # without memory
            planned = build_aggregator(settings, dim=dim, n_classes=n_classes)
        needed, held = _size(planned.state_dict()), _size(weights)
        if needed > 2 * held:
            raise ValueError(f"the model has {needed} weights, the file holds {held}")
    return build_aggregator(settings, dim=dim, n_classes=n_classes)


def _size(weights: Mapping[str, torch.Tensor]) -> int:
    return sum(weight.numel() for weight in weights.values())


def _whole_numbers(values: Mapping[str, Any]) -> Iterator[int]:
    for value in values.values():
        if isinstance(value, Mapping):
            yield from _whole_numbers(value)
        elif isinstance(value, int):
            yield value


def _description(folder: Path) -> dict[str, Any]:
    file = folder / layout.MODEL
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"not readable ({error})", where=file, hint="Copy the model folder again") from error
    version = description.get("format_version") if isinstance(description, dict) else None
    if version != FORMAT_VERSION:
        raise ModelError(
            f"the format version is {version!r}, this program reads {FORMAT_VERSION}",
            where=file,
            hint="Use the version of sam_mil_engine that wrote it, or train again",
        )
    return dict(description)


def _within(value: Any, name: str, least: float, most: float) -> float:
    number = float(value)
    if not least <= number <= most:  # NaN neither
        raise ValueError(f"{name} is {number}")
    return number


def _calibration(values: Mapping[str, Any], classes: tuple[str, ...]) -> PatchCalibration:
    found = PatchCalibration.from_dict(values)
    if found.negative not in classes:
        raise ValueError(f"the calibration is for the class {found.negative}, which the model does not know")
    return found


def _split(description: Mapping[str, Any], folder: Path) -> tuple[int, int] | None:
    """Return repeat and fold; of a model of version 0.1, which does not say them, as its folder is called."""
    if "split" not in description:
        return layout.split_of_folder(folder.name)
    split = description["split"]
    return None if split is None else (int(split[0]), int(split[1]))


def _weights(folder: Path, sha256: str | None) -> dict[str, torch.Tensor]:
    file = folder / layout.MODEL_WEIGHTS
    try:
        content = file.read_bytes()
        tensors = load_weights(content)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"the weights cannot be read ({error})", where=file, hint="Copy the folder again"
        ) from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(
            "the weights are not those that the description names (sha256 differs)",
            where=file,
            hint="Copy the model folder again",
        )
    return tensors
