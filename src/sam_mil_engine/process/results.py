"""What preprocessing says of a slide when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from ..bag.feature_bag import FeatureBag
from ..errors import SamMilError
from ..segment.segments import Segments
from ..slide.info import SlideInfo
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import TissueRegions


@dataclass(frozen=True, slots=True)
class ProcessedSlide:
    """What is known of a slide after :func:`~sam_mil_engine.process_slide`.

    Attributes
    ----------
    slide_id, bag_path, info
        Name, native bag and facts of the slide.
    tissue, grid, segments, bag
        Results of the stages that are done; None for the others.
    tiles, groups
        How many patches and groups there are, or None where that stage is not done.
    segmenter
        Name of what made the segments, or None where there are none.
    seconds
        Stage -> seconds, for the stages that ran now.
    reused
        Stages that were done before with the same settings.
    """

    slide_id: str
    bag_path: Path
    info: SlideInfo
    tissue: TissueRegions | None = None
    grid: TileGrid | None = None
    segments: Segments | None = None
    bag: FeatureBag | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    reused: tuple[str, ...] = ()
    tiles: int | None = None
    groups: int | None = None
    segmenter: str | None = None

    def without_arrays(self) -> ProcessedSlide:
        """Return the same facts without what is in the bag file anyway: light enough to travel."""
        return replace(self, tissue=None, grid=None, segments=None, bag=None)


@dataclass(frozen=True, slots=True)
class SlideOutcome:
    """How one slide of many ended: its result, or its error."""

    path: Path
    result: ProcessedSlide | None = None
    error: BaseException | None = None

    def summary(self) -> str:
        """One line for a person."""
        if self.result is None:
            return f"{self.path.name}: {self.error}"
        spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.result.seconds.items())
        reused = f"kept {', '.join(self.result.reused)}" if self.result.reused else ""
        counts = f"{self.result.tiles or 0} patches, {self.result.groups or 0} groups"
        return f"{self.result.slide_id}: {counts} ({'; '.join(part for part in (spent, reused) if part)})"

    def row(self) -> dict[str, object]:
        """Return the outcome as plain values, for JSON."""
        if self.result is None:
            error = self.error
            what, hint = (error.what, error.hint) if isinstance(error, SamMilError) else (str(error), None)
            return {"path": str(self.path), "state": "failed", "error": what, "hint": hint}
        result = self.result
        return {
            "path": str(self.path),
            "state": "done",
            "slide_id": result.slide_id,
            "bag": str(result.bag_path),
            "tiles": result.tiles,
            "groups": result.groups,
            "seconds": result.seconds,
            "reused": result.reused,
        }
