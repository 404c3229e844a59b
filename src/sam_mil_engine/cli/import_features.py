"""``sam-mil-engine import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import layout
from ..tables.columns import Columns
from .console import print_line, progress
from .imported import tell
from .label_options import LabelColumn, PatientColumn, SlideColumn
from .options import Json, Quiet
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
    format: Format = "auto",
    patches: Patches = None,
    slides: Slides = None,
    process_list: ProcessList = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", help="Label table of CLAM or SAM-MIL, to be converted to PROJECT/labels.csv.", metavar="CSV"
        ),
    ] = None,
    patient_column: PatientColumn = None,
    label_column: LabelColumn = None,
    slide_column: SlideColumn = None,
    patch_size_px0: PatchSizePx0 = None,
    source_mpp: SourceMpp = None,
    encoder: EncoderName = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make bags of features that another tool extracted; nothing is extracted again.

    The format is recognised by the folder. What was imported before is reused; a file that cannot be trusted or
    does not fit is named and the others go on. Ends with exit code 1 if some failed.

    Examples:  sam-mil-engine import clam/features -o study --patches clam/patches --encoder resnet50  ·
    sam-mil-engine import trident/20x_256px_0px_overlap/features_uni_v1 -o study --slides slides/  ·
    sam-mil-engine import stamp/uni -o study --slides slides/
    """
    from ..convert.clam_tables import import_labels
    from ..convert.importing import import_slides

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
    labelled: list[str] = []
    with progress(quiet=quiet) as report:
        if labels is not None:
            columns = Columns(slide=slide_column, label=label_column, patient=patient_column)
            labelled = import_labels(labels, project / layout.LABELS, columns=columns, progress=report)
            if not json:
                print_line(f"labels: {project / 'labels.csv'}")
        results = import_slides(source, project, labelled=labelled, progress=report)
        tell(results, project, quiet=quiet, json=json)
