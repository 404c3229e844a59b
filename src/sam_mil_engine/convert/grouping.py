"""SAM groups for existing features: no feature is extracted again (SAM-MIL's supplement, §2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..bag import h5
from ..bag.feature_bag import FeatureBag
from ..bag.foreign import SlideFiles
from ..errors import SegmentError
from ..process.job import SlideJob, Tools
from ..process.project import Project
from ..process.recorded import with_recorded_segments
from ..process.results import SlideResult
from ..process.stages import find_tissue_stage, segment_stage
from ..progress import ProgressCallback, silent
from ..provenance import versions
from ..segment.membership import assign_groups
from ..segment.segments import Segments
from ..settings import ProcessSettings, key
from ..slide.first_read import require_readable
from ..slide.info import slide_sha
from ..slide.reader import open_slide
from .importing import ImportedBag, each_slide, kept, write_bag
from .segment_sources import find_segments, load_segments
from .source import Opened, Source, open_source, read_source, source_key


def group_slides(
    source: Source,
    project: str | Path,
    *,
    segments: Path | None = None,
    settings: ProcessSettings | None = None,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> Iterator[SlideResult[ImportedBag]]:
    """Attach groups to features, and keep both as native bags.

    Segments are taken from ``segments``; where that is None, from next to the features (a SAM-MIL folder, a bag);
    where there are none, the segmenter of the settings runs on the slide.

    Parameters
    ----------
    source
        The features, in any format that ``import`` reads; the project's own bags too.
    project
        The project folder; made if it does not exist.
    segments
        Folder of ``SLIDE.pkl`` (SAM-MIL), ``SLIDE.h5`` (bags), ``SLIDE.geojson`` or ``SLIDE.ome.zarr``.
    settings
        The rule of membership, and how slides are segmented.

    Yields
    ------
    SlideResult
        As soon as each slide ends; one that fails does not stop the others.

    Raises
    ------
    BagError, DataError, SettingsError
        Before anything is written, if the source is not understood.
    """
    tools = Tools(with_recorded_segments(settings or ProcessSettings(), project), device=device)
    opened, target = open_source(source), Project(project)
    target.save_settings(tools.settings, versions())
    grouping = _Grouping(
        project=target, tools=tools, source=source, opened=opened, folder=segments, progress=progress
    )
    yield from each_slide(target, opened, grouping.group, stage="groups", progress=progress)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where a slide's segments come from, and the keys of what its bag is made of.

    ``path`` is a file of segments and ``slide`` a slide to be segmented; where both are None, the segments lie
    next to the features.
    """

    path: Path | None
    slide: Path | None
    features_key: str
    segments_key: str
    groups_key: str


@dataclass(frozen=True, slots=True)
class _Grouping:
    project: Project
    tools: Tools
    source: Source
    opened: Opened
    folder: Path | None
    progress: ProgressCallback

    def group(self, files: SlideFiles) -> ImportedBag:
        """Group one slide, unless its bag holds these groups."""
        bag = self.project.bag(files.slide_id)
        plan, done = self._plan(files), h5.read_stages(bag)
        if done.get("groups") == plan.groups_key and done.get("features") == plan.features_key:
            return kept(self.project, files)
        found, info = read_source(self.source, self.opened, files)
        if bag.resolve() != files.features.resolve() and done.get("features") != plan.features_key:
            write_bag(self.project, found, info, plan.features_key, origin=self.opened.format.name)
        mpp = found.bag.attrs.get("mpp")
        if plan.path is not None:
            masks = load_segments(plan.path, info=info, mpp=mpp)
        elif plan.slide is not None:
            masks = self._segment(files.slide_id, plan.slide, plan.segments_key)
        else:
            masks = _found(found.segments, files.features)
        rule = self.tools.settings.groups.rule
        groups = assign_groups(masks, found.bag.coords_px0, found.grid.size_px0, rule=rule, mpp=mpp)
        _store(bag, found.bag.with_groups(groups), masks, plan)
        return ImportedBag(len(found.bag), len(groups), len(masks), notes=found.notes)

    def _plan(self, files: SlideFiles) -> _Plan:
        """Decide where the segments come from; raises :class:`SegmentError` where there are none."""
        bag, native = self.project.bag(files.slide_id), self.opened.format.name == "native"
        own = bag.resolve() == files.features.resolve()
        stages = h5.read_stages(files.features) if native else {}
        features_key = stages.get("features", "") if own else source_key(self.source, self.opened, files)
        slide, settings = self.opened.slides.get(files.slide_id), self.tools.settings
        path = None if self.folder is None else find_segments(self.folder, files.slide_id)
        if path is not None:
            stat = path.stat()
            slide, segments_key = None, key("segments", path.name, stat.st_size, stat.st_mtime_ns)
        elif self.folder is None and (files.segments is not None or "segments" in stages):
            slide, segments_key = None, stages["segments"] if own else features_key
        elif slide is not None:
            segments_key = key("segments", str(slide), settings.resolved_tissue, settings.segments)
        else:
            raise SegmentError(
                f"there are no segments of {files.slide_id!r}" + (f" in {self.folder}" if self.folder else ""),
                where=files.features,
                hint="Give their folder with --segments, or the slides with --slides to segment them now",
                window_hint="Press Segment in the Analyze dock first",
            )
        return _Plan(
            path=path,
            slide=slide,
            features_key=features_key,
            segments_key=segments_key,
            groups_key=key("groups", features_key, segments_key, settings.groups),
        )

    def _segment(self, slide_id: str, path: Path, made: str) -> Segments:
        """Find the tissue of the slide and segment it, as ``process`` does; images land in the project too."""
        bag = self.project.bag(slide_id)
        stages = h5.read_stages(bag)
        if stages.get("segments") != made:
            stale = [stage for stage in ("tissue", "segments", "groups") if stage in stages]
            require_readable(path)
            with open_slide(path) as slide:
                with h5.edit_bag(bag, drop=stale):
                    pass  # what is dropped is not copied
                job = SlideJob(
                    slide=slide, slide_id=slide_id, project=self.project, tools=self.tools, progress=self.progress
                )
                find_tissue_stage(job, self.tools.stage_key("tissue", slide_sha(slide.info), {}))
                segment_stage(job, made)
        return _found(h5.read_segments(bag), bag)


def _found(segments: Segments | None, where: Path) -> Segments:
    if segments is None:
        raise SegmentError("there are no segments in it", where=where, hint="Segment the slide again")
    return segments


def _store(path: Path, bag: FeatureBag, masks: Segments, plan: _Plan) -> None:
    """Write the groups, and the masks where the bag does not hold them."""
    has_masks = h5.read_stages(path).get("segments") == plan.segments_key
    with h5.edit_bag(path, drop=["groups"] if has_masks else ["groups", "segments"]) as file:
        if not has_masks:
            h5.put_segments(file, masks, segmenter=_segmenter(plan.path), version=plan.segments_key)
            h5.mark_stage(file, "segments", plan.segments_key)
        h5.put_groups(file, bag, masks)
        h5.mark_stage(file, "groups", plan.groups_key)


def _segmenter(path: Path | None) -> str:
    """Name the maker of segments by their file: only SAM-MIL's pickles and bags say it."""
    if path is not None and path.suffix == ".h5":
        origin = h5.read_segment_origin(path)
        return "unknown" if origin is None else origin.segmenter
    return "sam" if path is None or path.suffix == ".pkl" else path.suffix.lstrip(".")
