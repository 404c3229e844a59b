"""Where trained models lie: bundled ones by name, and the model folders in a RUN. Loads no model, and not torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .. import layout
from ..errors import ModelError
from ..models.card import ModelCard
from ..models.classifiers import bundled_classifiers
from ..models.registry import cards
from ..tables.cells import listing

#: Stands for the bundled model whose domain is nearest to the slide.
AUTO = "auto"


def bundled_models() -> dict[str, Path]:
    """Names and folders of the models that come with the package."""
    return _folders(bundled_classifiers())


def named_models() -> dict[str, Path]:
    """Names and folders of the bundled models and of those that other packages bring."""
    return {**_folders(cards("classifier")), **bundled_models()}


def _folders(found: Mapping[str, ModelCard]) -> dict[str, Path]:
    return {name: card.folder for name, card in found.items() if card.folder is not None}


def find_model(path: str | Path) -> Path:
    """Return the model folder that ``path`` stands for; raises :class:`ModelError` if that is none or several.

    The bare name of a bundled model, or of one of another package, wins over a folder of that name; ``./NAME`` is
    the folder.
    """
    models = find_models(path)
    if len(models) == 1:
        return models[0]
    names = [str(model.relative_to(path)) for model in models]
    raise ModelError(
        f"the folder holds {len(models)} models", where=path, hint=f"Choose one: {listing(names, most=30)}"
    )


def find_models(path: str | Path) -> list[Path]:
    """Return all model folders that ``path`` stands for, in the order of repeats and folds.

    Raises
    ------
    ModelError
        If there is none.
    """
    named = {} if isinstance(path, Path) else named_models()
    if str(path) in named:
        return [named[str(path)]]
    folder = Path(path)
    if (folder / layout.MODEL).is_file():
        return [folder]
    if not folder.is_dir():
        raise ModelError(
            "there is no such model",
            where=path,
            hint=f"Give a RUN, a model folder, or a bundled model: {listing(named_models()) or 'none is here'}",
        )
    models = sorted((file.parent for file in folder.glob(f"**/{layout.MODEL}")), key=_by_numbers)
    if not models:
        raise ModelError(
            "no trained model is in this folder",
            where=folder,
            hint="Train one first: `sam-mil-engine train`",
            window_hint="Choose the folder of a trained run, or a folder with the file model.json",
        )
    return models


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Sort ``fold-0-10`` behind ``fold-0-9``."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", str(path))]
