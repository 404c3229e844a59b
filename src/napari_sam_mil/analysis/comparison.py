"""Predict one bag with two classifiers and compare them, as in the paper's Figure 6. No Qt, no viewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine import layout
from sam_mil_engine.errors import DataError, ModelError
from sam_mil_engine.progress import Progress, ProgressCallback, silent

from ..background.worker import call_in_worker
from .classifier import Classifier, predict_with_model
from .library import library
from .threshold import Quantity, describe, quantities

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores

    from .model import Analysis

#: Usual spellings of the aggregators. Others are shown with the engine's names.
_TITLES = {"sam-mil": "SAM-MIL", "abmil": "AB-MIL", "dsmil": "DSMIL", "transmil": "TransMIL", "clam-sb": "CLAM-SB"}
#: The paper's Figure 6, from left to right.
_PAIR = ("sam-mil", "abmil")


@dataclass(frozen=True, slots=True)
class Side:
    """One classifier and its scores for the slide."""

    model: Classifier
    scores: SlideScores

    @property
    def title(self) -> str:
        """The title for the user: the kind of model, and its name if that differs."""
        settings = self.model.settings
        title = _TITLES.get(settings.name, settings.name) + (" + groups" if settings.groups else "")
        return title if self.model.name in (title, settings.name) else f"{title} · {self.model.name}"

    def quantity(self, name: str) -> Quantity | None:
        """Return ``attention`` or ``probability``, or None if the model does not define it."""
        return quantities(self.scores).get(name)


def find_candidates(analysis: Analysis) -> list[Path]:
    """Return the model folders that may fit: the one in use, others of its run, imported and bundled models."""
    from sam_mil_engine.training.model_folders import bundled_models, find_models

    found: list[Path] = []
    used = None if analysis.model is None else analysis.model.path
    if used is not None:
        found.append(used)
        if layout.is_finished_run(used.parent):  # RUN/MODEL/fold-R-F: the same fold of its other models
            found += sorted(file.parent for file in used.parent.parent.glob(f"*/{used.name}/{layout.MODEL}"))
    for run in library().added("classifier"):
        try:
            found += find_models(run)[:1]
        except ModelError:
            continue  # the Models dock reports the error
    found += bundled_models().values()
    return list({path.resolve(): path for path in found}.values())


def predict_sides(analysis: Analysis, paths: Sequence[Path], *, progress: ProgressCallback = silent) -> list[Side]:
    """Predict the bag of a slide with every classifier that fits.

    Raises
    ------
    DataError
        If fewer than two fit. The message lists them and says how to get another.
    """
    bag = analysis.processed.bag
    if bag is None:
        raise DataError("the slide has no features yet", hint="Press Segment/Classify in the Analyze dock")
    found: list[Side] = []
    unfit: list[str] = []
    for number, path in enumerate(paths):
        progress(Progress("classify", number, len(paths), unit="models", message=path.name))
        try:
            found.append(Side(*call_in_worker(predict_with_model, path, bag, progress=progress)))
        except ModelError as error:
            unfit.append(f"{path.name}: {error.what}")
    progress(Progress("classify", len(paths), len(paths), unit="models"))
    if len(found) < 2:
        raise DataError(_too_few(found, unfit, bag.attrs), hint=_import_hint(found))
    left = next((side for side in found if side.model.settings.name == _PAIR[0]), found[0])
    others = [side for side in found if side is not left]
    # AB-MIL first, then other kinds, then a second model of the same kind
    others.sort(key=lambda side: (side.model.settings.name != _PAIR[1], side.model.settings.name == _PAIR[0]))
    return [left, *others]


def _too_few(found: Sequence[Side], unfit: Sequence[str], attrs: Mapping[str, Any]) -> str:
    have = f"only {found[0].title} fits" if found else "no classifier on this computer fits"
    needs = f"features of {attrs.get('encoder', 'its encoder')}, patches of {attrs.get('patch_size', '?')} px"
    text = f"two classifiers are needed, and {have} this slide ({needs})"
    return text + (f"; these do not fit: {'; '.join(unfit)}" if unfit else "")


def _import_hint(found: Sequence[Side]) -> str:
    names = {side.model.settings.name for side in found}
    wanted = next((name for name in reversed(_PAIR) if name not in names), "abmil")
    return (
        f"Import another classifier that was trained on features like these, such as {_TITLES[wanted]}, in the"
        " Models dock"
    )


def describe_side(side: Side, quantity: str, threshold: float, inside: npt.NDArray[np.float64] | None) -> str:
    """Describe the prediction, and how the patches above the threshold match the outlines."""
    from sam_mil_engine.annotations.patches import mostly_inside
    from sam_mil_engine.training.metrics import auc

    scores = side.scores
    text = f"{scores.predicted}, {scores.probabilities.max():.3f}. "
    numbers = side.quantity(quantity)
    if numbers is None:
        return f"{text}This model defines no {quantity}."
    text += describe(numbers.values, threshold, inside)
    if inside is not None and 0 < (truth := mostly_inside(inside)).sum() < len(truth):
        text += f" Patch AUC of {quantity}: {auc(truth, numbers.values):.3f}."
    return text
