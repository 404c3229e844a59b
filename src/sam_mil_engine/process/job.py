"""What the stages of a run share: the loaded models with the keys of their settings, and one slide on its way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..annotations.drawn_tissue import NOTHING_DRAWN, DrawnTissue
from ..bag import h5
from ..errors import EncoderError, SlideError
from ..features.loading import recorded_name
from ..models.access import require_access
from ..progress import ProgressCallback
from ..settings import ProcessSettings, SegmentSettings, TileSettings, key
from ..settings.changes import with_preset
from ..slide.entry import SlideEntry
from ..slide.reader import Slide
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import TissueRegions
from .project import Project

if TYPE_CHECKING:
    from ..features.encoder import Encoder
    from ..features.patch_stream import PatchStream
    from ..segment.segmenter import Segmenter


#: Settings of segments on which they do not depend, or that count only where segments are fine.
_NO_PART_OF_THE_KEY = {"segmenter", "points_per_batch", "mpp", "both_scales"}


class Tools:
    """What the stages of one run share.

    Parameters
    ----------
    settings
        The settings of the run.
    device
        Where models run: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    automatic
        Settings of the segments that the segmenter ``auto`` stands for, where a classifier expects some.
    """

    def __init__(
        self, settings: ProcessSettings, *, device: str = "auto", automatic: SegmentSettings | None = None
    ):
        self.settings = settings
        self.device = device
        self._automatic = automatic
        self._encoders: dict[str, Encoder] = {}
        self._segmenters: dict[SegmentSettings, Segmenter] = {}

    def for_slide(self, entry: SlideEntry) -> Tools:
        """Return the tools of a slide that has a tissue preset of its own; they share the loaded models."""
        if entry.preset is None:
            return self
        one = copy(self)
        one.settings = with_preset(self.settings, entry.preset)
        return one

    @property
    def segments(self) -> SegmentSettings:
        """How slides are segmented: as the settings say, or as ``auto`` stands for."""
        chosen = self.settings.segments
        return self._automatic if chosen.segmenter == "auto" and self._automatic is not None else chosen

    @property
    def segmenter(self) -> Segmenter:
        """The segmenter of the settings."""
        from ..segment.loading import load_segmenter

        chosen = self.segments
        if chosen not in self._segmenters:
            self._segmenters[chosen] = load_segmenter(chosen.segmenter, settings=chosen, device=self.device)
        return self._segmenters[chosen]

    def encoder_named(self, name: str) -> Encoder:
        """Return one of the encoders of the settings."""
        from ..features.loading import load_encoder

        if name not in self._encoders:
            precision = self.settings.features.precision
            self._encoders[name] = load_encoder(name, device=self.device, precision=precision)
        return self._encoders[name]

    def stage_key(
        self,
        stage: str,
        slide: str,
        done: dict[str, str],
        *,
        encoder: str | None = None,
        drawn: DrawnTissue = NOTHING_DRAWN,
    ) -> str:
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
        drawn
            What a person drew of the tissue.
        """
        settings = self.settings
        match stage:
            case "tissue":
                region = () if settings.region is None else (settings.region,)
                found = settings.resolved_tissue if drawn.tissue is None else "drawn"
                return key(stage, slide, found, *region, *drawn.key)
            case "tiles":
                return key(stage, done["tissue"], _as_before(settings.tiles))
            case "segments":
                segmenter = self.segmenter
                rest = self.segments.model_dump(mode="json", exclude=_NO_PART_OF_THE_KEY)
                fine: tuple[object, ...] = ()
                if self.segments.mpp is not None:
                    fine = (self.segments.mpp, self.segments.both_scales, settings.tiles.source_mpp)
                return key(stage, done["tissue"], segmenter.name, segmenter.version, rest, *fine)
            case "features":
                features = settings.features
                half = () if features.precision == "float32" else (features.precision,)
                name = recorded_name(encoder or features.encoder)
                return key(stage, done["tiles"], name, features.dtype, *half)
            case _:
                before = [done[name] for name in ("tiles", "segments", "features")]
                return key(stage, *before, settings.groups)


def _as_before(tiles: TileSettings) -> dict[str, object]:
    """Return the settings of the grid; keys without overlap and artefacts are older than these two."""
    newer = {"overlap": tiles.overlap == 0, "artefacts": tiles.artefacts == "keep"}
    return tiles.model_dump(mode="json", exclude={name for name, unused in newer.items() if unused})


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


def require_encoders(
    project: Project, entries: Sequence[SlideEntry], tools: Tools, *, stages: Collection[str]
) -> None:
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
            if not all(_is_encoded(project.bag(one.slide_id, side), tools, name) for one in entries):
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
    drawn
        What a person drew of the tissue.
    """

    slide: Slide
    slide_id: str
    project: Project
    tools: Tools
    progress: ProgressCallback
    side: str | None = None
    tiles: PatchStream | None = None
    drawn: DrawnTissue = NOTHING_DRAWN

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
            if self.drawn.inside is not None or self.drawn.outside is not None:
                raise SlideError(
                    "no tissue is left where the outlines allow it",
                    where=self.slide.info.path,
                    hint="Check the classes of --only-inside and --not-inside, and the outlines of this slide",
                    window_hint="Check the outlines of this slide",
                )
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
            if self.tools.settings.tiles.artefacts == "drop":
                raise SlideError(
                    "no patch lies in tissue without artefacts",
                    where=self.slide.info.path,
                    hint="Look at the slide; with --artefacts mark, spoilt patches are kept and shown",
                    window_hint="Look at the slide; in All settings, mark artefacts instead of dropping them",
                )
            raise SlideError(
                "no patch lies in the tissue",
                where=self.slide.info.path,
                hint="Choose a smaller --patch-size, or look at the image in masks/",
                window_hint="In the Analyze dock, choose a classifier with smaller patches or another preset",
            )
        return grid
