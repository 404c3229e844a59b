"""Features that other tools extracted become native bags of a project."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bag import h5
from ..bag.foreign import ForeignBag, SlideFiles
from ..bag.names import KnownNames, file_name
from ..errors import Cancelled, DataError, SamMilError
from ..process.project import Project
from ..process.results import ProcessRow, SlideResult
from ..progress import Progress, ProgressCallback, notice, silent
from ..slide.info import SlideInfo, slide_sha
from ..tables.cells import listing
from .source import Opened, Source, open_source, read_source, source_key


@dataclass(frozen=True, slots=True)
class ImportedBag:
    """What the bag of a slide holds after ``import`` or ``group``.

    Attributes
    ----------
    patches, groups, segments
        How many there are; None where the source has none.
    reused
        Whether it held all that before.
    notes
        What a person has to know of the source.
    """

    patches: int
    groups: int | None = None
    segments: int | None = None
    reused: bool = False
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return one line for the user."""
        groups = "" if self.groups is None else f", {self.groups} groups"
        return f"{self.patches} patches{groups}{' (reused)' if self.reused else ''}"

    def row(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        counts = {"patches": self.patches, "groups": self.groups, "segments": self.segments}
        return {**counts, "reused": self.reused, "notes": list(self.notes)}


def import_slides(
    source: Source,
    project: str | Path,
    *,
    labelled: Sequence[str] = (),
    progress: ProgressCallback = silent,
) -> Iterator[SlideResult[ImportedBag]]:
    """Make native bags of the features of another tool; one slide that fails does not stop the others.

    What was imported before from the same files is reused; a bag of another origin moves to ``superseded/``.

    Parameters
    ----------
    labelled
        Slides of the table of labels. A notice counts and names those without features and without a bag.

    Yields
    ------
    SlideResult
        As soon as each slide ends. ``process.csv`` says the same.

    Raises
    ------
    BagError, DataError, SettingsError
        Before anything is written, if the source is not understood.
    """
    opened, target = open_source(source), Project(project)
    _tell_missing(labelled, opened, target, progress)

    def work(files: SlideFiles) -> ImportedBag:
        made = source_key(source, opened, files)
        if h5.read_stages(target.bag(files.slide_id)).get("features") == made:
            return kept(target, files)
        found, info = read_source(source, opened, files)
        write_bag(target, found, info, made, origin=opened.format.name)
        groups = None if found.bag.groups is None else len(found.bag.groups)
        segments = None if found.segments is None else len(found.segments)
        return ImportedBag(len(found.bag), groups, segments, notes=found.notes)

    yield from each_slide(target, opened, work, stage="features", progress=progress)


def _tell_missing(labelled: Sequence[str], opened: Opened, project: Project, progress: ProgressCallback) -> None:
    """Say which labelled slides have neither features in the source nor a bag in the project."""
    bags = (path.stem for path in project.bags.glob("*.h5"))
    known = KnownNames([*(files.slide_id for files in opened.files), *opened.missing, *bags])
    missing = [name for name in labelled if known.find(name) is None]
    if missing:
        slides = "1 labelled slide has" if len(missing) == 1 else f"{len(missing)} labelled slides have"
        progress(notice("labels", f"warning: {slides} no features: {listing(missing)}"))


def kept(project: Project, files: SlideFiles) -> ImportedBag:
    """Tell what a bag holds that need not be made again."""
    path = project.bag(files.slide_id)
    bag, segments = h5.read_bag(path), h5.read_segments(path)
    groups = None if bag.groups is None else len(bag.groups)
    return ImportedBag(len(bag), groups, None if segments is None else len(segments), reused=True)


def each_slide(
    project: Project,
    opened: Opened,
    work: Callable[[SlideFiles], ImportedBag],
    *,
    stage: str,
    progress: ProgressCallback,
) -> Iterator[SlideResult[ImportedBag]]:
    """Do ``work`` on every slide under its lock, and keep ``process.csv`` true."""
    for name in opened.missing:
        error = DataError("listed as processed, but it has no features", where=name, hint="Extract them")
        yield _failed(project, SlideFiles(name, Path(name)), Path(name), error)
    for number, files in enumerate(opened.files):
        progress(Progress(stage, number, len(opened.files), unit="slides", message=files.slide_id))
        path = opened.slides.get(files.slide_id, files.features)
        start = time.perf_counter()
        try:
            with project.lock(file_name(files.slide_id, where=files.features)):
                done = work(files)
        except Cancelled:
            raise
        except SamMilError as error:
            yield _failed(project, files, path, error)
            continue
        if not done.reused:
            seconds = {stage: time.perf_counter() - start}
            project.record(
                ProcessRow(
                    slide_id=files.slide_id,
                    path=str(path.resolve()),
                    state="done",
                    tiles=done.patches,
                    segments=done.segments,
                    seconds=seconds,
                )
            )
        yield SlideResult(files.slide_id, files.features, done)
    progress(Progress(stage, len(opened.files), len(opened.files), unit="slides", message="done"))


def _failed(project: Project, files: SlideFiles, path: Path, error: SamMilError) -> SlideResult[ImportedBag]:
    what = str(type(error)(error.what, where=error.where))
    project.record(ProcessRow(files.slide_id, str(path), "failed", error=what, hint=error.hint or ""))
    return SlideResult(files.slide_id, files.features, error=error)


def write_bag(project: Project, found: ForeignBag, info: SlideInfo | None, made: str, *, origin: str) -> None:
    """Write the bag of a slide again; an older one of another origin is kept under ``superseded/``."""
    bag, path = found.bag, project.bag(found.bag.slide_id)
    if path.exists():
        project.supersede(bag.slide_id)
    features = {"encoder", "encoder_version", "weights_sha256", "preprocessing"}
    facts = {name: value for name, value in bag.attrs.items() if name not in features | {"path"}}
    facts |= {"slide_id": bag.slide_id, "settings_key": made, "imported_from": origin}
    facts |= {"objective_power": found.power, "notes": "\n".join(found.notes) or None}
    if info is not None:
        facts |= h5.slide_facts(info) | {"slide_sha": slide_sha(info)}
        facts |= {"objective_power": info.objective_power or found.power}
    size = found.slide_size_px0 if info is None else info.size_px0
    with h5.edit_bag(path, fresh=True) as file:
        h5.put_attributes(file, {name: value for name, value in facts.items() if _storable(value)})
        h5.put_tiles(file, found.grid, size_px0=size, power=facts["objective_power"])
        h5.put_features(file, np.asarray(bag.features), {n: bag.attrs[n] for n in features & set(bag.attrs)})
        for stage in ("tiles", "features"):
            h5.mark_stage(file, stage, made)
        if found.segments is not None:
            h5.put_segments(file, found.segments, segmenter=str(facts.get("segmenter", origin)), version=made)
            h5.mark_stage(file, "segments", made)
        if bag.groups is not None:
            h5.put_groups(file, bag, found.segments)
            h5.mark_stage(file, "groups", made)


def _storable(value: object) -> bool:
    return isinstance(value, str | int | float | tuple | bytes) and value != ""
