"""The classifiers that come with the package: every model folder in ``weights/``, described by its own card."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from .. import layout
from .card import PACKAGED, ModelCard

#: Loads a model folder; see :attr:`~.card.ModelCard.builder`.
LOADER = "sam_mil_engine.training.checkpoint:load_model"
#: What a classifier is called where that is not the heading of its card.
_TITLES = {"demo": "Generated slides"}


def bundled_classifiers() -> dict[str, ModelCard]:
    """Every classifier that comes with the package, by the name of its folder."""
    root = Path(str(resources.files("sam_mil_engine.weights")))
    folders = (folder for folder in sorted(root.iterdir()) if (folder / layout.MODEL).is_file())
    return {folder.name: classifier_card(folder, source=PACKAGED) for folder in folders}


def classifier_card(folder: Path, *, name: str = "", source: str) -> ModelCard:
    """Card of a model folder: title and first paragraph of its ``card.md``; raises :class:`OSError` without one."""
    name = name or folder.name
    heading, *paragraphs = (folder / layout.CARD).read_text(encoding="utf-8").split("\n\n")
    return ModelCard(
        name=name,
        kind="classifier",
        title=_TITLES.get(name) or heading.removeprefix("# ").removesuffix(" classifier"),
        what=paragraphs[0].replace("\n", " ").replace("*", "") if paragraphs else "",
        builder=LOADER,
        source=source,
        citation="see its card",
        folder=folder,
        size=sum(item.stat().st_size for item in folder.iterdir() if item.is_file()),
    )
