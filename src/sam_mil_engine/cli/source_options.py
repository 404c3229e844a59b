"""Options of the commands that read features of other tools, and how they become a source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..convert.source import Source

Features = Annotated[
    Path,
    typer.Argument(
        help="Folder of features: CLAM, TRIDENT, SAM-MIL, STAMP, tables, a project; or one file.",
        metavar="FEATURES",
    ),
]
Format = Annotated[
    str, typer.Option("--from", help="auto, clam, trident, sam-mil, stamp, csv or native.", metavar="FORMAT")
]
Patches = Annotated[
    Path | None,
    typer.Option("--patches", help="Folder of the coordinate files, if not next to the features.", metavar="DIR"),
]
Slides = Annotated[
    Path | None,
    typer.Option("--slides", help="Folder of the slides: mpp, magnification, levels.", metavar="DIR"),
]
ProcessList = Annotated[
    Path | None,
    typer.Option("--process-list", help="CLAM's process_list_autogen.csv: only slides that it marks as processed."),
]
PatchSizePx0 = Annotated[
    float | None,
    typer.Option("--patch-size-px0", help="Side of a patch in level-0 pixels, if no file states it.", min=1),
]
SourceMpp = Annotated[
    float | None,
    typer.Option("--source-mpp", help="Micrometres per level-0 pixel, if no slide states it.", min=1e-3),
]
EncoderName = Annotated[
    str | None,
    typer.Option("--encoder", help="Name of the encoder that made the features, if no file states it."),
]


def make_source(
    path: Path,
    *,
    format: str,
    patches: Path | None,
    slides: Path | None,
    process_list: Path | None,
    patch_size_px0: float | None,
    source_mpp: float | None,
    encoder: str | None,
) -> Source:
    """Build the source from what was typed."""
    from ..convert.source import Source

    return Source(
        path,
        format=format,
        patches=patches,
        slides=slides,
        process_list=process_list,
        patch_size_px0=patch_size_px0,
        mpp=source_mpp,
        encoder=encoder,
    )
