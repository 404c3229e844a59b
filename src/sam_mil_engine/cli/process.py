"""``sam-mil-engine process``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from .. import layout
from .console import err, print_dashboard, print_error, print_json, print_line, progress
from .drawn_options import Annotations, NotInside, OnlyInside, Tissue, outline_settings, with_tissue
from .options import (
    ALL_STAGES,
    Artefacts,
    BatchSize,
    BothScales,
    Config,
    Device,
    EncoderNames,
    FeatureType,
    Json,
    Mpp,
    Overlap,
    PatchSize,
    Precision,
    Preset,
    Quiet,
    SegmenterName,
    SegmentMpp,
    Set,
    SlidesTable,
    SourceMpp,
    Stages,
    process_settings,
    slide_entries,
)


def command(
    project: Annotated[Path, typer.Option("--output", "-o", help="The project folder.", metavar="PROJECT")],
    slides: Annotated[
        list[Path] | None, typer.Argument(help="Slide files, or folders of them.", metavar="SLIDE...")
    ] = None,
    slides_table: SlidesTable = None,
    segmenter: SegmenterName = None,
    segment_mpp: SegmentMpp = None,
    both_scales: BothScales = None,
    encoder: EncoderNames = None,
    patch_size: PatchSize = None,
    mpp: Mpp = None,
    source_mpp: SourceMpp = None,
    overlap: Overlap = None,
    artefacts: Artefacts = None,
    preset: Preset = None,
    tissue: Tissue = None,
    annotations: Annotations = None,
    only_inside: OnlyInside = None,
    not_inside: NotInside = None,
    batch_size: BatchSize = None,
    dtype: FeatureType = None,
    precision: Precision = None,
    config: Config = None,
    assignments: Set = None,
    stages: Stages = ALL_STAGES,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", help="local, or the address of a Dask scheduler (tcp://HOST:PORT)."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            help="Slides whose tissue and patches are found side by side, a process for each. (default: all cores)",
            min=1,
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Only slides marked as failed in process.csv.")
    ] = False,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Find tissue, lay out patches, segment, encode and group: from slides to bags.

    Stages that were done before with the same settings are not repeated; a run that was stopped continues.
    Ends with exit code 1 if some slides failed: process.csv says why.

    Examples:  sam-mil-engine process slides/ -o study  ·
    sam-mil-engine process slide.svs -o study --patch-size 256 --mpp 0.5 --segmenter vit_b  ·
    sam-mil-engine process slides/ -o study --encoder efficientnet-lite0 --encoder timm:resnet18  ·
    sam-mil-engine process --slides-table cohort.csv -o study  ·
    sam-mil-engine process slides/ -o study --tissue corrected/  ·
    sam-mil-engine process slides/ -o study --annotations outlines/ --not-inside Artefact  ·
    sam-mil-engine process slides/ -o study --segmenter vit_b --set segments.pred_iou_thresh=0.7  ·
    sam-mil-engine process slides/ -o study --segment-mpp 2 --both-scales
    """
    from ..cluster.slides import process_on_cluster
    from ..devices import cpu_count
    from ..features.loading import require_known
    from ..models.encoder_defaults import with_encoder_defaults
    from ..process.batch import process_slides
    from ..process.project import Project

    settings = process_settings(
        preset=preset,
        patch_size=patch_size,
        mpp=mpp,
        source_mpp=source_mpp,
        overlap=overlap,
        artefacts=artefacts,
        segmenter=segmenter,
        segment_mpp=segment_mpp,
        both_scales=both_scales,
        encoders=encoder,
        precision=precision,
        batch_size=batch_size,
        dtype=dtype,
        outlines=outline_settings(annotations, only_inside, not_inside),
        config=config,
        assignments=assignments,
    )
    for name in settings.features.encoders:
        require_known(name)
    settings, note = with_encoder_defaults(settings)
    if note and not quiet:
        err.print(f"note: {note}; --patch-size and --mpp choose others", markup=False)
    names = [name.strip() for name in stages.split(",") if name.strip()]
    named, home = slide_entries(slides or [], slides_table), Project(project)
    entries = home.entries(named, settings=settings)
    entries = with_tissue(home.failed_among(entries) if retry_failed else entries, tissue, home)
    failed = 0
    with progress(quiet=quiet) as report:
        if scheduler is None:
            results = process_slides(
                entries,
                project,
                settings=settings,
                stages=names,
                device=device,
                jobs=jobs or cpu_count(),
                progress=report,
            )
        else:
            results = process_on_cluster(
                entries,
                project,
                settings=settings,
                stages=names,
                device=device,
                address=scheduler,
                progress=report,
                announce=None if quiet else print_dashboard,
            )
        rows: list[dict[str, object]] = []
        with closing(results):
            for number, item in enumerate(results, start=1):
                failed += item.error is not None
                rows.append(item.row())
                if item.error is not None:
                    print_error(item.error)
                elif not quiet:
                    err.print(f"[{number}/{len(entries)}] {item.summary()}", markup=False)
    if json:
        print_json(rows)
    else:
        folders = [
            project / layout.BAGS,
            *(project / layout.side_folder(name) for name in settings.features.more_encoders),
        ]
        print_line(f"{len(entries) - failed} of {len(entries)} slides done; bags in {', '.join(map(str, folders))}")
    if failed:
        err.print(f"{failed} failed; to try them again, add --retry-failed to the same command")
        raise typer.Exit(1)
