"""Options of the commands that read a table of labels: which of its columns are meant."""

from __future__ import annotations

from typing import Annotated

import typer

from ..tables.columns import LABEL, PATIENT, SLIDE

PatientColumn = Annotated[
    str | None,
    typer.Option(
        PATIENT.option,
        help="Column of the labels that names the patient; the slides' own column if every slide counts alone."
        " (default: patient_id, case_id, patient, submitter_id, ... if there is one)",
        metavar="NAME",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(LABEL.option, help="Column of the labels that names the class. (default: label)", metavar="NAME"),
]
SlideColumn = Annotated[
    str | None,
    typer.Option(
        SLIDE.option, help="Column of the labels that names the slide. (default: slide_id)", metavar="NAME"
    ),
]
