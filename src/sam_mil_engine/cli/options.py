"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError, SettingsError
from ..models.registry import names
from ..settings import (
    EMBEDDED_SEGMENTER,
    STAGES,
    TISSUE_PRESETS,
    FeatureSettings,
    GroupSettings,
    ProcessSettings,
    SegmentSettings,
    TileSettings,
)
from ..settings.changes import complete, merge, put
from .assignments import assign, read_config

if TYPE_CHECKING:
    from ..slide.entry import SlideEntry

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]

_process = ProcessSettings()
_tiles, _segments, _features = _process.tiles, _process.segments, _process.features

PatchSize = Annotated[
    int | None,
    typer.Option(
        "--patch-size",
        help=f"Side of a patch in pixels as read. (default: as --encoder was trained, else {_tiles.patch_size})",
    ),
]
Mpp = Annotated[
    float | None,
    typer.Option(
        "--mpp", help="Micrometres per pixel to read at. (default: as --encoder was trained, else level 0)"
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        "--overlap", help=f"Pixels that neighbouring patches share, as read. (default: {_tiles.overlap})", min=0
    ),
]
Artefacts = Annotated[
    str | None,
    typer.Option(
        "--artefacts",
        help="Pen, folds, blur, air bubbles, dark spots: keep does not look for them, mark counts and shows them,"
        f" drop leaves out spoilt patches. (default: {_tiles.artefacts})",
    ),
]
SourceMpp = Annotated[
    float | None,
    typer.Option("--source-mpp", help="Micrometres per level-0 pixel, for slides that do not state it."),
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help=f"Tissue: {', '.join(TISSUE_PRESETS)}. (default: {_process.preset})"),
]
SegmenterName = Annotated[
    str | None,
    typer.Option(
        "--segmenter",
        help=f"{', '.join(names('segmenter'))}, an added SAM, a checkpoint file, or auto: a SAM on disk, else"
        f" {EMBEDDED_SEGMENTER}. (default: that of the project, else {_segments.segmenter})",
    ),
]
SegmentMpp = Annotated[
    float | None,
    typer.Option(
        "--segment-mpp",
        help="Fine segments: found at this many micrometres per pixel, in tiles that are joined; 0: on one image of"
        " the whole slide. (default: as in the project, else 0)",
    ),
]
BothScales = Annotated[
    bool | None,
    typer.Option(
        "--both-scales/--one-scale", help="With --segment-mpp: keep the segments of the one image too, or not."
    ),
]
EncoderNames = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder",
        help=f"{', '.join(names('encoder'))}, or one of pathology (uni2-h, virchow2, phikon-v2 and more:"
        " `sam-mil-engine models` lists them); given several times, the patches are read"
        f" once and each further encoder has its bags in bags-NAME. (default: {_features.encoder})",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help=f"Precision of the encoders: float32, bfloat16 or float16. (default: {_features.precision})",
    ),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help=f"Patches encoded at once. (default: {_features.batch_size})")
]
FeatureType = Annotated[
    str | None,
    typer.Option(
        "--dtype", help=f"Type of the features in the bag: float16 or float32. (default: {_features.dtype})"
    ),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings as a TOML file; options override it.", metavar="FILE.toml")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any setting by its name (sam-mil-engine settings lists them). Repeatable.",
        metavar="NAME=VALUE",
    ),
]
SlidesTable = Annotated[
    Path | None,
    typer.Option(
        "--slides-table",
        help="The slides as a table: path, and where needed slide_id, mpp (µm per level-0 pixel), preset. Paths"
        " count from its folder; train reads label and patient_id of the same file.",
        metavar="FILE.csv",
    ),
]
Stages = Annotated[str, typer.Option("--stages", help="Which stages to run, separated by commas.")]
ALL_STAGES = ",".join(STAGES)


def process_settings(
    *,
    preset: str | None = None,
    patch_size: int | None = None,
    mpp: float | None = None,
    source_mpp: float | None = None,
    overlap: int | None = None,
    artefacts: str | None = None,
    segmenter: str | None = None,
    segment_mpp: float | None = None,
    both_scales: bool | None = None,
    encoders: Sequence[str] | None = None,
    precision: str | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    rule: str | None = None,
    outlines: Mapping[str, object] | None = None,
    config: Path | None = None,
    assignments: Sequence[str] | None = None,
) -> ProcessSettings:
    """Build the settings of preprocessing from what was typed; None leaves the default.

    ``outlines`` are settings by their names. Options win over the file ``config``, and ``assignments`` (``--set``)
    over both. The first of ``encoders`` makes the slide's own bag.

    Raises
    ------
    SettingsError
        Naming each value that is out of range.
    """
    encoder, *more = encoders or (None,)
    typed = ProcessSettings.of(
        **outlines or {},
        preset=preset,
        tiles=TileSettings.of(
            patch_size=patch_size, mpp=mpp, source_mpp=source_mpp, overlap=overlap, artefacts=artefacts
        ),
        segments=SegmentSettings.of(segmenter=segmenter, mpp=segment_mpp or None, both_scales=both_scales),
        features=FeatureSettings.of(
            encoder=encoder, more_encoders=more, precision=precision, batch_size=batch_size, dtype=dtype
        ),
        groups=GroupSettings.of(rule=rule),
    )
    values = typed.model_dump(exclude_unset=True)
    if segment_mpp == 0:
        put(values, "segments.mpp", None)
    return changed_settings(values, config=config, assignments=assignments)


def changed_settings(
    values: dict[str, Any], *, config: Path | None, assignments: Sequence[str] | None
) -> ProcessSettings:
    """Put nested ``values`` over those of a file, and ``NAME=VALUE`` over both.

    Tissue settings of which only some are given keep the rest of their preset.

    Raises
    ------
    SettingsError
        Naming each value that is unknown or out of range.
    """
    return complete(assign(merge(read_config(config), values), assignments or [], ProcessSettings))


def slide_entries(inputs: list[Path], table: Path | None) -> list[SlideEntry | Path]:
    """Return the slides that were named, or those of a slide table.

    Raises
    ------
    SettingsError
        If both are given, or none.
    DataError
        If a folder holds no slide, or the table is wrong.
    """
    from ..slide.table import read_slides_table
    from .console import err

    if (table is None) == (not inputs):
        raise SettingsError(
            "no slides are named" if table is None else "slides are named twice, in a table and beside it",
            hint="Name slide files or folders, or a table with --slides-table FILE.csv",
        )
    if table is None:
        return [*slide_paths(inputs)]
    return [*read_slides_table(table, progress=lambda report: err.print(f"note: {report.message}", markup=False))]


def slide_paths(inputs: list[Path]) -> list[Path]:
    """Files as they are, and every slide below each folder; files that are left out are reported.

    Raises
    ------
    DataError
        If a folder holds no slide.
    """
    from ..slide.finding import find_slides
    from ..slide.zarr_store import is_zarr
    from .console import err

    paths: list[Path] = []
    for item in inputs:
        if not item.is_dir() or is_zarr(item):
            paths.append(item)
            continue
        found = find_slides(item)
        for note in found.notes:
            err.print(f"note: {note}", markup=False)
        if not found.slides:
            raise DataError(
                "there is no slide in this folder", where=item, hint="Name slide files, or another folder"
            )
        paths.extend(found.slides)
    return paths
