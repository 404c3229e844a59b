"""One slide on its way through the stages, and what a stage needs before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..bag import h5
from ..errors import SlideError
from ..progress import ProgressCallback
from ..slide.reader import Slide
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import TissueRegions
from .project import Project
from .tools import Tools

if TYPE_CHECKING:
    from ..features.tile_stream import TileStream

#: What a stage needs to be done before it.
NEEDS: dict[str, tuple[str, ...]] = {
    "tissue": (),
    "tiles": ("tissue",),
    "segments": ("tissue",),
    "features": ("tiles",),
    "groups": ("tiles", "segments", "features"),
}


def depends(stage: str, on: str) -> bool:
    """Whether ``stage`` is, or is made from, the result of ``on``."""
    return stage == on or any(depends(name, on) for name in NEEDS[stage])


@dataclass(frozen=True, slots=True)
class SlideJob:
    """One slide on its way through the stages, with one of its encoders.

    Attributes
    ----------
    slide, slide_id, project, tools, progress
        What is worked on, where results go, with which models, and who is told.
    side
        The further encoder whose bag this is; None is the first encoder, whose bag is the slide's own.
    tiles
        Patches that are being read already, from the first one that has to be encoded, or None.
    """

    slide: Slide
    slide_id: str
    project: Project
    tools: Tools
    progress: ProgressCallback
    side: str | None = None
    tiles: TileStream | None = None

    @property
    def encoder(self) -> str:
        """Name of the encoder."""
        return self.side or self.tools.settings.features.encoder

    @property
    def bag(self) -> Path:
        """Path of the bag."""
        return self.project.bag(self.slide_id, self.side)

    def of_every_encoder(self) -> list[SlideJob]:
        """Return this slide with each encoder of the settings in turn."""
        return [replace(self, side=name) for name in (None, *self.tools.settings.features.more_encoders)]

    def tissue(self) -> TissueRegions:
        """Return the tissue of the bag; raises :class:`SlideError` where there is none at all."""
        tissue = h5.read_tissue(self.bag)
        if tissue is None or len(tissue) == 0:
            if self.tools.settings.region is not None:
                raise SlideError(
                    "no tissue was found in the region",
                    where=self.slide.info.path,
                    hint="Choose a region that holds tissue, or the whole slide",
                )
            raise SlideError(
                "no tissue was found",
                where=self.slide.info.path,
                hint="Look at the slide; if it does hold tissue, try --preset biopsy or another --preset",
            )
        return tissue

    def grid(self) -> TileGrid:
        """Return the patches of the bag; raises :class:`SlideError` where there is none."""
        grid = h5.read_grid(self.bag)
        if grid is None or len(grid) == 0:
            raise SlideError(
                "no patch lies in the tissue",
                where=self.slide.info.path,
                hint="Choose a smaller --patch-size, or look at the picture in masks/",
            )
        return grid
