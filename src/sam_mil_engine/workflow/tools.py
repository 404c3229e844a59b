"""The segmenter and the encoder of a run: loaded when first needed, used for every slide."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..settings import ProcessSettings, key

if TYPE_CHECKING:
    from ..features.registry import Encoder
    from ..segment.registry import Segmenter


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

    @cached_property
    def segmenter(self) -> Segmenter:
        """The segmenter of the settings."""
        from ..segment.registry import load_segmenter

        chosen = self.settings.segments
        return load_segmenter(chosen.segmenter, settings=chosen, device=self.device)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of the settings."""
        from ..features.registry import load_encoder

        return load_encoder(self.settings.features.encoder, device=self.device)

    def stage_key(self, stage: str, slide: str, done: dict[str, str]) -> str:
        """Key of the settings that the result of ``stage`` depends on.

        Parameters
        ----------
        stage
            Name of the stage.
        slide
            Fingerprint of the slide file.
        done
            Keys of the stages before it, as they are in the bag.
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
                return key(stage, done["tiles"], settings.features.encoder, settings.features.dtype)
            case _:
                before = [done[name] for name in ("tiles", "segments", "features")]
                return key(stage, *before, settings.groups)
