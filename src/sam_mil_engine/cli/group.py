"""``sam-mil-engine group``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import progress
from .imported import tell
from .options import Config, Device, Json, Preset, Quiet, SegmenterName, Set, process_settings
from .source_options import (
    EncoderName,
    Features,
    Format,
    Patches,
    PatchSizePx0,
    ProcessList,
    Slides,
    SourceMpp,
    make_source,
)


def command(
    features: Features,
    project: Annotated[Path, typer.Option("--output", "-o", help="The project folder.", metavar="PROJECT")],
    segments: Annotated[
        Path | None,
        typer.Option(
            "--segments",
            help="Folder of SLIDE.pkl (SAM-MIL), SLIDE.h5 (bags), SLIDE.geojson or SLIDE.ome.zarr.",
            metavar="DIR",
        ),
    ] = None,
    slides: Slides = None,
    format: Format = "auto",
    patches: Patches = None,
    process_list: ProcessList = None,
    rule: Annotated[
        str | None,
        typer.Option("--rule", help="any, centre, majority, or released (the paper's code). (default: any)"),
    ] = None,
    segmenter: SegmenterName = None,
    preset: Preset = None,
    patch_size_px0: PatchSizePx0 = None,
    source_mpp: SourceMpp = None,
    encoder: EncoderName = None,
    config: Config = None,
    assignments: Set = None,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Attach SAM groups to existing features; nothing is extracted again.

    Segments are read from --segments, or lie next to the features; where there are none, the segmenter runs on the
    slides of --slides. Ends with exit code 1 if some slides failed.

    Examples:  sam-mil-engine group features/h5_files -o study --segments Segments/ --slides slides/  ·
    sam-mil-engine group features/pt_files -o study --patches patches/ --segments Segments/  ·
    sam-mil-engine group trident/20x_256px_0px_overlap/features_uni_v1 -o study --slides slides/ --segmenter vit_b
    """
    from ..convert.grouping import group_slides

    source = make_source(
        features,
        format=format,
        patches=patches,
        slides=slides,
        process_list=process_list,
        patch_size_px0=patch_size_px0,
        source_mpp=source_mpp,
        encoder=encoder,
    )
    settings = process_settings(
        preset=preset, segmenter=segmenter, rule=rule, config=config, assignments=assignments
    )
    with progress(quiet=quiet) as report:
        results = group_slides(
            source, project, segments=segments, settings=settings, device=device, progress=report
        )
        tell(results, project, quiet=quiet, json=json)
