"""The segmenter and the encoder of a run: loaded when first needed, used for every slide."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..settings import ProcessSettings, key

if TYPE_CHECKING:
    from ..features.encoder import Encoder
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
                return key(stage, done["tiles"], encoder or features.encoder, features.dtype, *half)
            case _:
                before = [done[name] for name in ("tiles", "segments", "features")]
                return key(stage, *before, settings.groups)
