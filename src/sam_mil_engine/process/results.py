"""How a slide ends: what is known of it, how one of many ended, and its line of ``process.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ..bag import h5
from ..bag.feature_bag import FeatureBag
from ..bag.h5 import StoredArtefacts
from ..errors import SamMilError
from ..segment.segments import Segments
from ..settings import STAGES
from ..slide.info import SlideInfo
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import TissueRegions
from ..tables.reading import whole_number


class Result(Protocol):
    """The result for one slide of many."""

    def summary(self) -> str:
        """Return one line for the user."""
        ...

    def row(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        ...


R = TypeVar("R", bound=Result)


@dataclass(frozen=True, slots=True)
class SlideResult(Generic[R]):
    """The result of one slide of many, or its error.

    Attributes
    ----------
    slide_id
        Its name in every file of a project.
    path
        The file that was read: a slide, a bag, or features of another tool.
    result, error
        One of the two.
    """

    slide_id: str
    path: Path
    result: R | None = None
    error: BaseException | None = None

    def summary(self) -> str:
        """One line for the user."""
        return f"{self.slide_id}: {self.error if self.result is None else self.result.summary()}"

    def row(self) -> dict[str, object]:
        """Return the result as plain values, for JSON."""
        slide: dict[str, object] = {"slide_id": self.slide_id, "path": str(self.path)}
        if self.result is not None:
            return {**slide, "state": "done", **self.result.row()}
        error = self.error
        what, hint = (error.what, error.hint) if isinstance(error, SamMilError) else (str(error), None)
        return {**slide, "state": "failed", "error": what, "hint": hint}


@dataclass(frozen=True, slots=True)
class ProcessedSlide:
    """What is known of a slide after :func:`~sam_mil_engine.process_slide`.

    Attributes
    ----------
    slide_id, bag_path, info
        Name, native bag and facts of the slide.
    tissue, grid, artefacts, segments, bag
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
    artefacts: StoredArtefacts | None = None
    segments: Segments | None = None
    bag: FeatureBag | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    reused: tuple[str, ...] = ()
    tiles: int | None = None
    groups: int | None = None
    segmenter: str | None = None

    def without_arrays(self) -> ProcessedSlide:
        """Return the same facts without what is in the bag file anyway: light enough to travel."""
        return replace(self, tissue=None, grid=None, artefacts=None, segments=None, bag=None)

    def with_arrays(self) -> ProcessedSlide:
        """Return the same facts with what is in the bag file; raises :class:`BagError` where that is damaged."""
        path = self.bag_path
        return replace(
            self,
            tissue=h5.read_tissue(path),
            grid=h5.read_grid(path),
            artefacts=h5.read_artefacts(path),
            segments=h5.read_segments(path),
            bag=h5.read_bag(path) if "features" in h5.read_stages(path) else None,
        )

    def summary(self) -> str:
        """Return one line for the user that says what was done."""
        spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.seconds.items())
        reused = f"reused {', '.join(self.reused)}" if self.reused else ""
        counts = f"{self.tiles or 0} patches, {self.groups or 0} groups"
        return f"{counts} ({'; '.join(part for part in (spent, reused) if part)})"

    def row(self) -> dict[str, object]:
        """Return what was done as plain values, for JSON."""
        return {
            "bag": str(self.bag_path),
            "tiles": self.tiles,
            "groups": self.groups,
            "seconds": self.seconds,
            "reused": self.reused,
        }


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One line of ``process.csv``.

    ``state`` is ``running``, ``done``, ``failed`` or ``cancelled``; counts and seconds are of the last run that
    made them, empty where a stage never ran. ``mpp`` and ``preset`` are those that a slide table states.
    """

    slide_id: str
    path: str
    state: str
    tiles: int | None = None
    segments: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    hint: str = ""
    mpp: float | None = None
    preset: str = ""

    def cells(self) -> dict[str, str]:
        """Return the line as column -> text."""
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "seconds"}
        plain["mpp"] = None if self.mpp is None else f"{self.mpp:.6g}"
        plain |= {f"seconds_{stage}": self.seconds.get(stage) for stage in STAGES}
        return {name: _text(value) for name, value in plain.items()}

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> ProcessRow:
        """Read back what :meth:`cells` returned, also where a spreadsheet has written the numbers its own way."""
        text = {name: cells.get(name, "") for name in cls(slide_id="", path="", state="").cells()}
        return cls(
            slide_id=text["slide_id"],
            path=text["path"],
            state=text["state"],
            tiles=whole_number(text["tiles"]) if text["tiles"] else None,
            segments=whole_number(text["segments"]) if text["segments"] else None,
            seconds={s: float(text[f"seconds_{s}"].replace(",", ".")) for s in STAGES if text[f"seconds_{s}"]},
            error=text["error"],
            hint=text["hint"],
            mpp=float(text["mpp"].replace(",", ".")) if text["mpp"] else None,
            preset=text["preset"],
        )


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("\n", " ")
