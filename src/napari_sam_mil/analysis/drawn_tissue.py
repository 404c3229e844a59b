"""Tissue that the user drew or corrected in the window, kept in the project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sam_mil_engine.errors import SettingsError

from .project_settings import recorded_slide
from .source import SlideSource

if TYPE_CHECKING:
    from sam_mil_engine.annotations.model import Annotation


def keep_drawn_tissue(project: Path, source: SlideSource, outlines: Sequence[Annotation]) -> None:
    """Use outlines as the tissue of a slide, in this project, until :func:`forget_drawn_tissue`.

    Raises
    ------
    SettingsError
        If no outline has an area.
    ProjectError
        If the project cannot be written.
    """
    from sam_mil_engine.annotations.drawn_tissue import tissue_annotations
    from sam_mil_engine.annotations.geojson import write_geojson
    from sam_mil_engine.annotations.model import polygons_of, union_px0
    from sam_mil_engine.process.project import Project
    from sam_mil_engine.slide.tissue_regions import TissueRegions

    if not outlines:
        raise SettingsError("the tissue layer has no outline", hint="Draw the tissue as polygons, then try again")
    tissue = TissueRegions.of(polygons_of(union_px0(outlines)), method="drawn")
    slide_id = recorded_slide(project, source.info.path).slide_id
    write_geojson(Project(project).drawn_tissue(slide_id), tissue_annotations(tissue), info=source.info)


def forget_drawn_tissue(project: Path, source: SlideSource) -> None:
    """Find the tissue of a slide again from now on."""
    from sam_mil_engine.process.project import Project

    Project(project).forget_drawn_tissue(recorded_slide(project, source.info.path).slide_id)
