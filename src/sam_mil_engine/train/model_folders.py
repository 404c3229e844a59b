"""Where trained models lie: bundled ones by name, and the model folders in a RUN. Loads no model, and not torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .. import layout
from ..errors import ModelError
from ..tables.cells import listing

#: Stands for the bundled model whose domain is nearest to the slide.
AUTO = "auto"


def bundled_models() -> dict[str, Path]:
    """Names and folders of the models that come with the package."""
    root = Path(str(resources.files("sam_mil_engine.weights")))
    return {folder.name: folder for folder in sorted(root.iterdir()) if (folder / layout.MODEL).is_file()}


@dataclass(frozen=True, slots=True)
class ClassifierDescription:
    """One line of the list of classifiers."""

    name: str
    what: str
    on_disk: bool
    licence: str


def available_classifiers() -> list[ClassifierDescription]:
    """All bundled classifiers: the first paragraph of each card says what it is."""
    found = []
    for name, folder in bundled_models().items():
        card = (folder / layout.CARD).read_text(encoding="utf-8")
        what = card.split("\n\n")[1].replace("\n", " ").replace("*", "")
        found.append(ClassifierDescription(name, what, True, "Apache-2.0"))
    return found


def find_model(path: str | Path) -> Path:
    """Return the model folder that ``path`` stands for; raises :class:`ModelError` if that is none or several.

    The bare name of a bundled model wins over a folder of that name; ``./NAME`` is the folder.
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
    bundled = bundled_models()
    if str(path) in bundled and not isinstance(path, Path):
        return [bundled[str(path)]]
    folder = Path(path)
    if (folder / layout.MODEL).is_file():
        return [folder]
    if not folder.is_dir():
        raise ModelError(
            "there is no such model",
            where=path,
            hint=f"Give a RUN, a model folder, or a bundled model: {listing(bundled) or 'none is here'}",
        )
    models = sorted((file.parent for file in folder.glob(f"**/{layout.MODEL}")), key=_by_numbers)
    if not models:
        raise ModelError(
            "no trained model is in this folder", where=folder, hint="Train one first: `sam-mil-engine train`"
        )
    return models


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Sort ``fold-0-10`` behind ``fold-0-9``."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", str(path))]
