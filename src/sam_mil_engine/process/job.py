"""What the stages of a run share: the loaded models with the keys of their settings, and one slide on its way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..bag import h5
from ..errors import EncoderError, SlideError
from ..features.loading import recorded_name
from ..models.access import require_access
from ..progress import ProgressCallback
from ..settings import ProcessSettings, key
from ..slide.info import slide_id_of
from ..slide.reader import Slide
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import TissueRegions
from .project import Project

if TYPE_CHECKING:
    from ..features.encoder import Encoder
    from ..features.patch_stream import PatchStream
    from ..segment.segmenter import Segmenter


class Tools:
    """What the stages of one run share.

    Parameters
    ----------
    settings
        The settings of the run.
    device
        Where models run: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, settings: ProcessSettings, *, device: str = "auto"):
        self.settings = settings
        self.device = device
        self._encoders: dict[str, Encoder] = {}

    @cached_property
    def segmenter(self) -> Segmenter:
        """The segmenter of the settings."""
        from ..segment.loading import load_segmenter

        chosen = self.settings.segments
        return load_segmenter(chosen.segmenter, settings=chosen, device=self.device)

    def encoder_named(self, name: str) -> Encoder:
        """Return one of the encoders of the settings."""
        from ..features.loading import load_encoder

        if name not in self._encoders:
            precision = self.settings.features.precision
            self._encoders[name] = load_encoder(name, device=self.device, precision=precision)
        return self._encoders[name]

    def stage_key(self, stage: str, slide: str, done: dict[str, str], *, encoder: str | None = None) -> str:
        """Key of the settings that the result of ``stage`` depends on.

        Parameters
        ----------
        stage
            Name of the stage.
        slide
            Fingerprint of the slide file.
        done
            Keys of the stages before it, as they are in the bag.
        encoder
            The encoder of ``features``; the first one of the settings where None.
        """
        settings = self.settings
        match stage:
            case "tissue":
                region = () if settings.region is None else (settings.region,)
                return key(stage, slide, settings.resolved_tissue, *region)
            case "tiles":
                return key(stage, done["tissue"], settings.tiles)
            case "segments":
                segmenter = self.segmenter
                rest = settings.segments.model_dump(mode="json", exclude={"segmenter", "points_per_batch"})
                return key(stage, done["tissue"], segmenter.name, segmenter.version, rest)
            case "features":
                features = settings.features
                half = () if features.precision == "float32" else (features.precision,)
                name = recorded_name(encoder or features.encoder)
                return key(stage, done["tiles"], name, features.dtype, *half)
            case _:
                before = [done[name] for name in ("tiles", "segments", "features")]
                return key(stage, *before, settings.groups)


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


def require_encoders(project: Project, paths: Sequence[Path], tools: Tools, *, stages: Collection[str]) -> None:
    """Refuse a run whose encoders could not be loaded, before it spends hours on tissue and segments.

    An encoder whose features all slides have already is not needed.

    Raises
    ------
    EncoderError
        Naming the encoder, what is missing and what to do.
    """
    if "features" not in stages:
        return
    features = tools.settings.features
    for name, side in zip(features.encoders, (None, *features.more_encoders), strict=True):
        try:
            require_access([name])
        except EncoderError:
            if not all(_is_encoded(project.bag(slide_id_of(path), side), tools, name) for path in paths):
                raise


def _is_encoded(bag: Path, tools: Tools, encoder: str) -> bool:
    """Whether a bag has the features of its patches, made with the same settings."""
    done = h5.read_stages(bag)
    return "tiles" in done and done.get("features") == tools.stage_key("features", "", done, encoder=encoder)


@dataclass(frozen=True, slots=True)
class SlideJob:
    """One slide on its way through the stages, with one of its encoders.

    Attributes
    ----------
    slide, slide_id, project, tools, progress
        What is worked on, where results go, with which models, and who is notified.
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
    tiles: PatchStream | None = None

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
                window_hint="Look at the slide; if it does hold tissue, try another tissue preset in the"
                " Analyze dock, for example Biopsy",
            )
        return tissue

    def grid(self) -> TileGrid:
        """Return the patches of the bag; raises :class:`SlideError` where there is none."""
        grid = h5.read_grid(self.bag)
        if grid is None or len(grid) == 0:
            raise SlideError(
                "no patch lies in the tissue",
                where=self.slide.info.path,
                hint="Choose a smaller --patch-size, or look at the image in masks/",
                window_hint="In the Analyze dock, choose a classifier with smaller patches or another preset",
            )
        return grid
