"""Two classifiers on one bag, side by side as in the paper's Figure 6. No Qt, no viewer."""

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

from ..background.worker import in_other_process
from .classifier import Classifier, predicted_by
from .library import library
from .threshold import Quantity, describe, quantities

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores

    from .model import Analysis

#: What the field calls the aggregators; others are shown by the name that the engine has for them.
_TITLES = {"sam-mil": "SAM-MIL", "abmil": "AB-MIL", "dsmil": "DSMIL", "transmil": "TransMIL", "clam-sb": "CLAM-SB"}
#: The paper's Figure 6, from left to right.
_PAIR = ("sam-mil", "abmil")


@dataclass(frozen=True, slots=True)
class Side:
    """One classifier and what it says of the slide."""

    model: Classifier
    scores: SlideScores

    @property
    def title(self) -> str:
        """What the user reads: the kind of model, and its own name where that says more."""
        settings = self.model.settings
        title = _TITLES.get(settings.name, settings.name) + (" + groups" if settings.groups else "")
        return title if self.model.name in (title, settings.name) else f"{title} · {self.model.name}"

    def quantity(self, name: str) -> Quantity | None:
        """Return ``attention`` or ``probability``; None where the model does not have it."""
        return quantities(self.scores).get(name)


def candidates(analysis: Analysis) -> list[Path]:
    """Folders of the classifiers that may fit: the one in use, its run's others, imported and bundled ones."""
    from sam_mil_engine.training.model_folders import bundled_models, find_models

    found: list[Path] = []
    used = None if analysis.model is None else analysis.model.path
    if used is not None:
        found.append(used)
        if layout.is_finished_run(used.parent):  # RUN/MODEL/fold-R-F: the same fold of the other models
            found += sorted(file.parent for file in used.parent.parent.glob(f"*/{used.name}/{layout.MODEL}"))
    for run in library().added("classifier"):
        try:
            found += find_models(run)[:1]
        except ModelError:
            continue  # the Models dock says what is wrong with it
    found += bundled_models().values()
    return list({path.resolve(): path for path in found}.values())


def sides(analysis: Analysis, paths: Sequence[Path], *, progress: ProgressCallback = silent) -> list[Side]:
    """Predict the bag of a slide with every classifier that fits it.

    Raises
    ------
    DataError
        If fewer than two fit: the message says which there are and how to get another.
    """
    bag = analysis.processed.bag
    if bag is None:
        raise DataError("the slide has no features yet", hint="Press Segment/Classify in the Analyze dock")
    found: list[Side] = []
    unfit: list[str] = []
    for number, path in enumerate(paths):
        progress(Progress("classify", number, len(paths), unit="models", message=path.name))
        try:
            found.append(Side(*in_other_process(predicted_by, path, bag, progress=progress)))
        except ModelError as error:
            unfit.append(f"{path.name}: {error.what}")
    progress(Progress("classify", len(paths), len(paths), unit="models"))
    if len(found) < 2:
        raise DataError(_missing(found, unfit, bag.attrs), hint=_how_to_get_one(found))
    left = next((side for side in found if side.model.settings.name == _PAIR[0]), found[0])
    others = [side for side in found if side is not left]
    # AB-MIL before other kinds, another kind before a second model of the same
    others.sort(key=lambda side: (side.model.settings.name != _PAIR[1], side.model.settings.name == _PAIR[0]))
    return [left, *others]


def _missing(found: Sequence[Side], unfit: Sequence[str], attrs: Mapping[str, Any]) -> str:
    have = f"only {found[0].title} fits" if found else "no classifier on this computer fits"
    needs = f"features of {attrs.get('encoder', 'its encoder')}, patches of {attrs.get('patch_size', '?')} px"
    text = f"two classifiers are needed, and {have} this slide ({needs})"
    return text + (f"; not fitting: {'; '.join(unfit)}" if unfit else "")


def _how_to_get_one(found: Sequence[Side]) -> str:
    names = {side.model.settings.name for side in found}
    wanted = next((name for name in reversed(_PAIR) if name not in names), "abmil")
    return (
        f"Import another classifier that was trained on features like these, such as {_TITLES[wanted]}, in the"
        " Models dock"
    )


def facts(side: Side, quantity: str, threshold: float, inside: npt.NDArray[np.float64] | None) -> str:
    """Say what the classifier predicts, and what its patches above the threshold have to do with the outlines."""
    from sam_mil_engine.annotations.patches import mostly_inside
    from sam_mil_engine.training.metrics import auc

    scores = side.scores
    text = f"{scores.predicted}, {scores.probabilities.max():.3f}. "
    numbers = side.quantity(quantity)
    if numbers is None:
        return f"{text}This model defines no {quantity}."
    text += describe(numbers, threshold, inside)
    if inside is not None and 0 < (truth := mostly_inside(inside)).sum() < len(truth):
        text += f" Patch AUC of {quantity}: {auc(truth, numbers.values):.3f}."
    return text
