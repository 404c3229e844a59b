"""Which classifiers a slide is processed for, where they want patches of different size or resolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..features.loading import recorded_name
from ..process.job import Tools
from ..settings import ProcessSettings
from ..slide.first_read import require_readable
from ..slide.reader import open_slide
from ..slide.slide import Slide
from ..slide.tiling import make_tile_grid, read_patch
from ..slide.tissue import find_tissue
from ..slide.tissue_clip import clip_tissue

if TYPE_CHECKING:
    from ..bag.feature_bag import FloatFeatures
    from ..training.checkpoint import TrainedModel

#: Patches of a slide that are looked at for each kind of patch, evenly spread over its tissue.
SAMPLE = 64
#: Up to this ratio of their distances, models that expect different patches are equally near. Larger than among
#: models of the same patches: a domain of many stains, as the lymph node's, is near to everything
#: (`training/lymph_node/evaluation.md` has the table).
AS_NEAR = 1.5


def candidates_for(
    models: Sequence[TrainedModel],
    path: Path,
    settings_of: Callable[[TrainedModel], ProcessSettings],
    *,
    device: str = "auto",
) -> list[TrainedModel]:
    """Return the models that expect the same patches as the one whose domain is nearest to a sample of the slide.

    Where all expect the same, the slide is not read. The prediction chooses among those returned, once the
    features of all patches are known (:func:`sam_mil_engine.prediction.slide.best_fit`).

    Parameters
    ----------
    models
        The candidates; their order decides between models that are about equally near.
    path
        The slide.
    settings_of
        Model -> the settings that the slide would be processed with.

    Raises
    ------
    SlideError, EncoderError
        If the slide cannot be read, does not know its resolution, or the encoder fails.
    """
    from .slide import nearest

    kinds: list[list[TrainedModel]] = []
    for model in models:
        same = next((kind for kind in kinds if kind[0].expects.same_patches(model.expects)), None)
        if same is None:
            kinds.append([model])
        else:
            same.append(model)
    if len(kinds) == 1:
        return kinds[0]
    known: list[tuple[float, TrainedModel]] = []
    require_readable(path)
    with open_slide(path) as slide:
        for kind in kinds:
            settings = settings_of(kind[0])
            if recorded_name(settings.features.encoder) != kind[0].expects.encoder:
                continue  # the user's encoder: no domain knows its features
            features = _sample(slide, Tools(settings, device=device))
            if features is not None:
                known += [(model.domain.distance(features), model) for model in kind if model.domain is not None]
    chosen = nearest(known, models, as_near=AS_NEAR)
    return next(kind for kind in kinds if chosen in kind)


def _sample(slide: Slide, tools: Tools) -> FloatFeatures | None:
    """Features (n, D) of at most :data:`SAMPLE` patches; None where the slide has no patch."""
    settings = tools.settings
    tissue = find_tissue(slide, settings.resolved_tissue)
    if settings.region is not None:
        tissue = clip_tissue(tissue, settings.region)
    grid = make_tile_grid(slide.info, tissue, settings.tiles)
    if not len(grid):
        return None
    numbers = np.unique(np.linspace(0, len(grid) - 1, min(SAMPLE, len(grid))).round().astype(int))
    patches = np.stack([read_patch(slide, grid, int(number)) for number in numbers])
    return tools.encoder_named(settings.features.encoder).encode(patches)
