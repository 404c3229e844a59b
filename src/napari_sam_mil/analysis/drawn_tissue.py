"""Tissue that the user drew or corrected in the window, kept in the project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .project_settings import recorded_slide
from .source import SlideSource

if TYPE_CHECKING:
    from sam_mil_engine.annotations.model import Annotation


def keep_drawn_tissue(project: Path, source: SlideSource, shapes: Sequence[Annotation]) -> None:
    """Use shapes as the tissue of a slide, in this project, until :func:`forget_drawn_tissue`.

    Parameters
    ----------
    project, source
        Where the results of the slide are.
    shapes
        In the order in which they were drawn; those of the class ``Hole`` are cut out.

    Raises
    ------
    SettingsError
        If no tissue is drawn.
    ProjectError
        If the project cannot be written.
    """
    from sam_mil_engine.annotations.drawn_tissue import tissue_annotations, tissue_of_shapes
    from sam_mil_engine.annotations.geojson import write_geojson
    from sam_mil_engine.process.project import Project

    tissue = tissue_of_shapes(shapes)
    slide_id = recorded_slide(project, source.info.path).slide_id
    write_geojson(Project(project).drawn_tissue(slide_id), tissue_annotations(tissue), info=source.info)


def forget_drawn_tissue(project: Path, source: SlideSource) -> None:
    """Find the tissue of a slide again from now on."""
    from sam_mil_engine.process.project import Project

    Project(project).forget_drawn_tissue(recorded_slide(project, source.info.path).slide_id)
