"""The facts of a trained model, without its weights. Only prediction, in the worker process, loads torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sam_mil_engine.progress import ProgressCallback, silent
from sam_mil_engine.settings import ModelSettings

if TYPE_CHECKING:
    from sam_mil_engine.bag.feature_bag import FeatureBag
    from sam_mil_engine.mil.scores import SlideScores
    from sam_mil_engine.training.checkpoint import TrainedModel


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model that made a prediction.

    Attributes
    ----------
    name, card
        The name, and the text of the model card or None.
    path
        The model folder.
    settings
        The architecture and its settings.
    """

    name: str
    path: Path
    settings: ModelSettings
    card: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, model: TrainedModel) -> Classifier:
        """Return the facts of a model that was loaded from a folder; raises ValueError for any other model."""
        if model.path is None:
            raise ValueError(f"the model {model.name!r} has no folder")
        return cls(name=model.name, path=model.path, settings=model.settings, card=model.card)


def predict_with_best_fit(
    classifier: str, bag_path: Path, *, progress: ProgressCallback = silent
) -> tuple[Classifier, SlideScores]:
    """Read a bag and predict it with the classifier; ``auto`` takes the bundled model that fits best.

    Raises
    ------
    ModelError
        If the classifier is damaged, or does not fit the features.
    """
    del progress
    from sam_mil_engine.bag.h5 import read_bag
    from sam_mil_engine.prediction.slide import best_fit, predict
    from sam_mil_engine.training.checkpoint import load_candidates

    bag = read_bag(bag_path)
    model = best_fit(load_candidates(classifier), bag)
    return Classifier.of(model), predict(model, bag)


def predict_with_model(
    folder: Path, bag: FeatureBag, *, progress: ProgressCallback = silent
) -> tuple[Classifier, SlideScores]:
    """Predict a bag with the model in a folder.

    Raises
    ------
    ModelError
        If the model is damaged, or does not fit the features.
    """
    del progress
    from sam_mil_engine.prediction.slide import predict
    from sam_mil_engine.training.checkpoint import load_model

    model = load_model(folder)
    return Classifier.of(model), predict(model, bag)
