"""What comes with the package: where the weights of ``tissue-sam`` lie, and how it is asked. Not torch."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path

from ...models.files import file_sha256
from ...models.segmenters import TISSUE_SAM
from ...settings import SegmentSettings

NAME = TISSUE_SAM
WEIGHTS, CARD, GRID = "model.safetensors", "card.md", "grid.json"


def folder() -> Path:
    """Return the folder with weights, card, and the grid and thresholds that were chosen for it."""
    return Path(str(resources.files("sam_mil_engine.weights"))) / NAME


@cache
def digest() -> str:
    """Return the SHA-256 of the weights."""
    return file_sha256(folder() / WEIGHTS)


def with_bundled_thresholds(settings: SegmentSettings) -> SegmentSettings:
    """Put its grid and thresholds in the place of the paper's, which are meant for Meta's SAMs.

    A value that is not the default is the user's, and stays.
    """
    chosen = json.loads((folder() / GRID).read_text(encoding="utf-8"))
    default = SegmentSettings()
    own = {name: value for name, value in chosen.items() if getattr(settings, name) == getattr(default, name)}
    return settings.model_copy(update=own)
