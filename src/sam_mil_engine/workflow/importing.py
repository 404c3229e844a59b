"""Features that other tools extracted become native bags of a project."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..bag import h5
from ..bag.foreign import ForeignBag, Known, SlideFiles
from ..bag.interchange import Format, find_slides
from ..bag.names import file_name
from ..errors import Cancelled, DataError, SamMilError
from ..progress import Progress, ProgressCallback, silent
from ..settings import key
from ..slide.finding import require_own_names
from ..slide.info import SlideInfo
from ..slide.reader import open_slide
from .clam_tables import read_process_list
from .project import ProcessRow, Project, slide_sha
from .slide_files import slides_by_name


@dataclass(frozen=True, slots=True)
class ImportedSlide:
    """How one slide ended: what its bag holds now, or its error."""

    slide_id: str
    path: Path
    patches: int | None = None
    groups: int | None = None
    segments: int | None = None
    reused: bool = False
    notes: tuple[str, ...] = ()
    error: SamMilError | None = None

    def summary(self) -> str:
        """One line for a person."""
        if self.error is not None:
            return f"{self.slide_id}: {self.error}"
        groups = "" if self.groups is None else f", {self.groups} groups"
        return f"{self.slide_id}: {self.patches} patches{groups}{' (kept)' if self.reused else ''}"

    def row(self) -> dict[str, object]:
        """Return the outcome as plain values, for JSON."""
        row: dict[str, object] = {"slide_id": self.slide_id, "path": str(self.path)}
        if self.error is not None:
            return {**row, "state": "failed", "error": self.error.what, "hint": self.error.hint}
        counts = {"patches": self.patches, "groups": self.groups, "segments": self.segments}
        return {**row, "state": "done", **counts, "reused": self.reused, "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class Source:
    """Where features come from, and what is known of them beside their files.

    Attributes
    ----------
    path
        A folder of CLAM, TRIDENT, SAM-MIL, STAMP or this package, or one file of it.
    format
        Its name, or ``auto``.
    patches
        Folder of the coordinate files, if not beside the features.
    slides
        Folder of the slides, which tell mpp, magnification and levels.
    process_list
        CLAM's ``process_list_autogen.csv``: only the slides that it calls processed.
    patch_size_px0, mpp, encoder
        As in :class:`~sam_mil_engine.bag.foreign.Known`; they outrank what the files and slides say.
    """

    path: Path
    format: str = "auto"
    patches: Path | None = None
    slides: Path | None = None
    process_list: Path | None = None
    patch_size_px0: float | None = None
    mpp: float | None = None
    encoder: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A source whose slides are listed.

    Attributes
    ----------
    format
        The format that was recognised.
    files
        Files of every slide that is to be read.
    slides
        Slide name -> slide file, for the slides that are at hand.
    missing
        Slides of the process list without features.
    """

    format: Format
    files: tuple[SlideFiles, ...]
    slides: dict[str, Path] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def open_source(source: Source) -> Opened:
    """List what is to be read.

    Raises
    ------
    BagError, SettingsError
        If nothing is recognised there.
    DataError
        If two slides have the same name, or the process list is damaged.
    """
    format, files = find_slides(source.path, format=source.format, patches=source.patches)
    missing: list[str] = []
    if source.process_list is not None:
        listed, missing = read_process_list(source.process_list, [item.slide_id for item in files])
        files = [item for item in files if item.slide_id in listed]
    require_own_names((item.slide_id, item.features) for item in files)
    slides = {} if source.slides is None else slides_by_name(source.slides, files)
    return Opened(format=format, files=tuple(files), slides=slides, missing=tuple(missing))


def read_source(source: Source, opened: Opened, files: SlideFiles) -> tuple[ForeignBag, SlideInfo | None]:
    """Read one slide's files, and the facts of the slide itself where it is at hand."""
    info = None
    if files.slide_id in opened.slides:
        with open_slide(opened.slides[files.slide_id]) as slide:
            info = slide.info
    mpp = None if info is None else info.mpp
    known = Known(
        patch_size_px0=source.patch_size_px0,
        mpp=(source.mpp, source.mpp) if source.mpp is not None else mpp,
        level_downsamples=None if info is None else info.level_downsamples,
        encoder=source.encoder,
    )
    return opened.format.read(files, known), info


def source_key(source: Source, opened: Opened, files: SlideFiles) -> str:
    """Key that changes when a file of the slide, or what is known beside it, changes."""
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files.all]
    known = (source.patch_size_px0, source.mpp, source.encoder, str(opened.slides.get(files.slide_id, "")))
    return key("import", opened.format.name, stats, known)


def import_slides(
    source: Source, project: str | Path, *, progress: ProgressCallback = silent
) -> Iterator[ImportedSlide]:
    """Make native bags of the features of another tool; one slide that fails does not stop the others.

    What was imported before from the same files is kept; a bag of another origin moves to ``superseded/``.

    Yields
    ------
    ImportedSlide
        As soon as each slide ends. ``process.csv`` says the same.

    Raises
    ------
    BagError, DataError, SettingsError
        Before anything is written, if the source is not understood.
    """
    opened, home = open_source(source), Project(project)

    def work(files: SlideFiles) -> ImportedSlide:
        made = source_key(source, opened, files)
        if h5.read_stages(home.bag(files.slide_id)).get("features") == made:
            return kept(home, files)
        found, info = read_source(source, opened, files)
        write_bag(home, found, info, made, origin=opened.format.name)
        groups = None if found.bag.groups is None else len(found.bag.groups)
        segments = None if found.segments is None else len(found.segments)
        return ImportedSlide(
            slide_id=files.slide_id,
            path=files.features,
            patches=len(found.bag),
            groups=groups,
            segments=segments,
            notes=found.notes,
        )

    yield from each_slide(home, opened, work, stage="features", progress=progress)


def kept(home: Project, files: SlideFiles) -> ImportedSlide:
    """Tell what a bag holds that need not be made again."""
    path = home.bag(files.slide_id)
    bag, segments = h5.read_bag(path), h5.read_segments(path)
    groups = None if bag.groups is None else len(bag.groups)
    return ImportedSlide(
        slide_id=files.slide_id,
        path=files.features,
        patches=len(bag),
        groups=groups,
        segments=None if segments is None else len(segments),
        reused=True,
    )


def each_slide(
    home: Project,
    opened: Opened,
    work: Callable[[SlideFiles], ImportedSlide],
    *,
    stage: str,
    progress: ProgressCallback,
) -> Iterator[ImportedSlide]:
    """Do ``work`` on every slide under its lock, and keep ``process.csv`` true."""
    for name in opened.missing:
        error = DataError("listed as processed, but there are no features of it", where=name, hint="Extract them")
        yield _failed(home, SlideFiles(name, Path(name)), Path(name), error)
    for number, files in enumerate(opened.files):
        progress(Progress(stage, number, len(opened.files), unit="slides", message=files.slide_id))
        path = opened.slides.get(files.slide_id, files.features)
        start = time.perf_counter()
        try:
            with home.lock(file_name(files.slide_id, where=files.features)):
                done = work(files)
        except Cancelled:
            raise
        except SamMilError as error:
            yield _failed(home, files, path, error)
            continue
        if not done.reused:
            seconds = {stage: time.perf_counter() - start}
            home.record(
                ProcessRow(
                    slide_id=files.slide_id,
                    path=str(path.resolve()),
                    state="done",
                    tiles=done.patches,
                    segments=done.segments,
                    seconds=seconds,
                )
            )
        yield done
    progress(Progress(stage, len(opened.files), len(opened.files), unit="slides", message="done"))


def _failed(home: Project, files: SlideFiles, path: Path, error: SamMilError) -> ImportedSlide:
    what = str(type(error)(error.what, where=error.where))
    home.record(ProcessRow(files.slide_id, str(path), "failed", error=what, hint=error.hint or ""))
    return ImportedSlide(files.slide_id, files.features, error=error)


def write_bag(home: Project, found: ForeignBag, info: SlideInfo | None, made: str, *, origin: str) -> None:
    """Write the bag of a slide again; an older one of another origin is kept under ``superseded/``."""
    bag, path = found.bag, home.bag(found.bag.slide_id)
    if path.exists():
        home.supersede(bag.slide_id)
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
