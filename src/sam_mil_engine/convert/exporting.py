"""Bags written as other tools read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import layout
from ..annotations.drawn_tissue import tissue_annotations
from ..annotations.geojson import write_geojson
from ..annotations.masks import segment_annotations
from ..bag import clam, csv_files, h5, sam_mil, trident
from ..bag.foreign import ForeignBag, SlideFiles
from ..bag.names import file_name
from ..bag.place import read_slide_place
from ..errors import BagError, Cancelled, SamMilError, SettingsError
from ..ngff import NgffVersion, write_ome_zarr
from ..process.results import SlideResult
from ..progress import Progress, ProgressCallback, silent
from ..segment.groups import Groups
from ..segment.segments import Segments
from ..segment.titles import segments_title
from ..slide.place import UNKNOWN_PLACE
from ..tables.columns import FOUND_BY_NAME, Columns
from . import qupath
from .clam_tables import PROCESS_LIST, read_labels, write_labels, write_process_list, write_splits
from .source import Opened, Source, open_source, read_source

if TYPE_CHECKING:
    from ..slide.info import SlideInfo


@dataclass(frozen=True, slots=True)
class ExportedFiles:
    """The files that were written of a slide."""

    files: tuple[Path, ...]

    def summary(self) -> str:
        """Return one line for the user."""
        return ", ".join(str(path) for path in self.files)

    def row(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {"files": [str(path) for path in self.files]}


def _clam(folder: Path, found: ForeignBag, _: SlideInfo | None) -> list[Path]:
    return clam.write(folder, found.bag, found.grid, slide_size_px0=found.slide_size_px0)


def _trident(folder: Path, found: ForeignBag, _: SlideInfo | None) -> list[Path]:
    size = found.slide_size_px0
    return trident.write(folder, found.bag, found.grid, slide_size_px0=size, power=found.power)


def _sam_mil(folder: Path, found: ForeignBag, _: SlideInfo | None) -> list[Path]:
    size = found.slide_size_px0
    return sam_mil.write(folder, found.bag, found.grid, segments=found.segments, slide_size_px0=size)


def _csv(folder: Path, found: ForeignBag, _: SlideInfo | None) -> list[Path]:
    return csv_files.write(folder, found.bag)


def _geojson(folder: Path, found: ForeignBag, info: SlideInfo | None) -> list[Path]:
    """Outlines of all segments, with what is known of their groups, and of the tissue."""
    name, bag_path = file_name(found.bag.slide_id), Path(found.bag.attrs["path"])
    place = info or (read_slide_place(bag_path) if bag_path.suffix == ".h5" else UNKNOWN_PLACE)
    written = []
    if found.segments is not None:
        outlines = segment_annotations(found.segments)
        written.append(folder / f"{name}.geojson")
        write_geojson(written[-1], outlines, info=place, properties=_properties(found.segments, found.bag.groups))
    tissue = h5.read_tissue(bag_path) if bag_path.suffix == ".h5" else None
    if tissue is not None:
        written.append(folder / f"{name}.tissue.geojson")
        write_geojson(written[-1], tissue_annotations(tissue), info=place)
    if not written:
        raise BagError("the bag has neither segments nor tissue", where=bag_path, hint="Group it first")
    return written


def _properties(segments: Segments, groups: Groups | None) -> list[dict[str, Any]]:
    """Properties of every segment: its area, SAM's scores, and its group where it has patches."""
    group_of = {} if groups is None else {s: k for k, s in enumerate(groups.segment_of_group.tolist())}
    rows: list[dict[str, Any]] = []
    for number in range(len(segments)):
        row: dict[str, Any] = {
            "segment": number,
            "area_raster": int(segments.area[number]),
            "predicted_iou": float(segments.predicted_iou[number]),
            "stability": float(segments.stability[number]),
        }
        if groups is not None and number in group_of:
            row |= {"group": group_of[number], "patches": int(groups.sizes[group_of[number]])}
        rows.append(row)
    return rows


def _ome_zarr(folder: Path, found: ForeignBag, _: SlideInfo | None, *, version: NgffVersion = "0.5") -> list[Path]:
    if found.segments is None:
        raise BagError(
            "the bag has no segments",
            where=found.bag.slide_id,
            hint="Run `sam-mil-engine group` first",
            window_hint="Press Segment/Classify in the Analyze dock first",
        )
    path, mpp = folder / f"{file_name(found.bag.slide_id)}.ome.zarr", found.bag.attrs.get("mpp")
    write_ome_zarr(
        path,
        found.segments.labels(),
        frame=found.segments.frame,
        mpp=None if mpp is None else (float(mpp[0]), float(mpp[1])),
        name=segments_title(found.bag.attrs.get("segmenter")),
        version=version,
    )
    return [path]


#: Writes one slide into a folder; returns the files.
Writer = Callable[[Path, ForeignBag, "SlideInfo | None"], list[Path]]
#: What can be written, by name.
WRITERS: dict[str, Writer] = {
    "clam": _clam,
    "trident": _trident,
    "sam-mil": _sam_mil,
    "geojson": _geojson,
    "csv": _csv,
    "ome-zarr": _ome_zarr,
    "ome-zarr-0.4": partial(_ome_zarr, version="0.4"),
    "qupath": qupath.write,
}


def export_slides(
    source: Source,
    folder: str | Path,
    *,
    to: str,
    labels: Path | None = None,
    splits: Path | None = None,
    columns: Columns = FOUND_BY_NAME,
    scores: Path | None = None,
    annotations: Path | None = None,
    progress: ProgressCallback = silent,
) -> Iterator[SlideResult[ExportedFiles]]:
    """Write bags for another tool; one slide that fails does not stop the others.

    Parameters
    ----------
    source
        A project, a folder of bags, or anything that ``import`` reads.
    folder
        Where the files go; made if it does not exist.
    to
        ``clam``, ``trident``, ``sam-mil``, ``qupath``, ``geojson``, ``csv``, ``ome-zarr`` or ``ome-zarr-0.4``.
    labels, splits
        Our ``labels.csv`` and ``splits.csv``, to be written as CLAM and SAM-MIL read them.
    columns
        Which columns of the labels are meant, where their names do not say it.
    scores, annotations
        With ``qupath``: a folder that ``predict`` wrote, and a folder of outlines named as the slides.

    Raises
    ------
    SettingsError
        If there is no such format, scores or annotations are given with another one than ``qupath``, or their
        folder does not exist.
    BagError, DataError
        Before anything is written, if the source or a table is not understood.
    """
    if to not in WRITERS:
        raise SettingsError(f"there is no export format {to!r}", hint=f"Choose one of: {', '.join(WRITERS)}")
    writer = WRITERS[to]
    for given in (scores, annotations):
        if given is not None and not given.is_dir():
            raise SettingsError("there is no such folder", where=given, hint="Check the path")
    if to == "qupath":
        writer = partial(qupath.write, scores=scores, annotations=annotations)
    elif scores is not None or annotations is not None:
        raise SettingsError(
            "scores and annotations are written for QuPath only",
            hint="Use --to qupath",
            window_hint="Press “Send to QuPath…” in the Segments dock",
        )
    folder, opened = Path(folder), open_source(source)
    if labels is not None:
        table = read_labels(labels, columns=columns, progress=progress)
        write_labels(folder / layout.LABELS, table, to=to, progress=progress)
    if splits is not None:
        _write_splits(folder / "splits", splits, [item.slide_id for item in opened.files])
    names: list[str] = []
    for number, files in enumerate(opened.files):
        progress(Progress("export", number, len(opened.files), unit="slides", message=files.slide_id))
        try:
            written, name = _export(source, opened, files, folder, writer)
        except Cancelled:
            raise
        except SamMilError as error:
            yield SlideResult(files.slide_id, files.features, error=error)
            continue
        names.append(name)
        yield SlideResult(files.slide_id, files.features, ExportedFiles(tuple(written)))
    if to in ("clam", "sam-mil"):
        write_process_list(folder / PROCESS_LIST, names)
    progress(Progress("export", len(opened.files), len(opened.files), unit="slides", message="done"))


def _write_splits(folder: Path, path: Path, known: Sequence[str]) -> None:
    from ..training.split_files import match_known_ids, read_splits

    splits = match_known_ids(read_splits(path), known)
    write_splits(folder, [{part: getattr(split, part) for part in ("train", "val", "test")} for split in splits])


def _export(
    source: Source, opened: Opened, files: SlideFiles, folder: Path, writer: Writer
) -> tuple[list[Path], str]:
    """Write one slide; returns its files, and the name of the slide file, as far as it is known."""
    found, info = read_source(source, opened, files)
    found = replace(found, bag=replace(found.bag, slide_id=file_name(files.slide_id, where=files.features)))
    if info is not None:
        found = replace(found, slide_size_px0=info.size_px0, power=info.objective_power or found.power)
    slide = opened.slides.get(files.slide_id) or Path(str(found.bag.attrs.get("slide_path", files.slide_id)))
    return writer(folder, found, info), slide.name
