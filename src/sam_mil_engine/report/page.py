"""Write a report as one HTML file that needs nothing else: no network, no second file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..files import atomic_write
from ..geometry import area_um2
from .charts import line_chart
from .content import Cell, QualityItem, ReportContent, SlideSection, Strip
from .panels import fit_patch, jpeg_uri, make_panels
from .strips import save_strips
from .tables import anchor, groups_table, metrics_table, predictions_table

#: Longest side of a panel, and the smaller one that keeps a page of many slides small.
PANEL_SIDE, SMALL_PANEL_SIDE = 900, 640
#: Longest side of a patch in a strip.
PATCH_SIDE = 160
_MANY_SLIDES = 4

#: What an HTML file cannot hold: control characters, and halves of surrogate pairs from undecodable file names.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def write_report(path: Path, content: ReportContent) -> Path:
    """Write ``content`` as one self-contained HTML page, and the patches of its strips as files next to it.

    The page refers to no other file or address, and tells the browser to load none. Every text is escaped.

    Parameters
    ----------
    path
        Where to write; replaced in one step, so that a reader never sees half a page.
    content
        What to say.

    Returns
    -------
    Path
        ``path`` itself.

    Raises
    ------
    ProjectError
        If the file cannot be written.
    """
    path = Path(path)
    save_strips(path, content.strips)
    atomic_write(path, render(content))
    return path


def render(content: ReportContent) -> str:
    """Return the page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sam_mil_engine.report", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    side = PANEL_SIDE if len(content.slides) < _MANY_SLIDES else SMALL_PANEL_SIDE
    linked = frozenset(section.slide_id for section in content.slides)
    page = environment.get_template("page.html.j2").render(
        content=content,
        metrics=metrics_table(content.metrics) if content.metrics else None,
        charts=[line_chart(chart) for chart in content.charts],
        curves=[line_chart(chart) for chart in content.curves],
        strips=[_strip(strip) for strip in content.strips],
        quality=[_quality(item) for item in content.quality],
        predictions=predictions_table(content.predictions, linked=linked) if content.predictions else None,
        slides=[_slide(section, side) for section in content.slides],
        linked=linked,
        sort_value=_sort_value,
    )
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", page)


def _strip(strip: Strip) -> dict[str, Any]:
    patches = [
        {
            "uri": jpeg_uri(fit_patch(patch.rgb, PATCH_SIDE)),
            "alt": f"{strip.title}, number {number}",
            "slide": patch.slide_id,
            "place": f"{patch.corner_px0[0]}, {patch.corner_px0[1]}",
            "value": patch.value,
        }
        for number, patch in enumerate(strip.patches, start=1)
    ]
    return {"title": strip.title, "patches": patches}


def _quality(item: QualityItem) -> dict[str, Any]:
    uri = None if item.thumbnail is None else jpeg_uri(item.thumbnail)
    return {"item": item, "uri": uri, "anchor": anchor(item.slide_id)}


def _slide(section: SlideSection, max_side: int) -> dict[str, Any]:
    scores = section.scores
    classes = [] if scores is None else list(zip(scores.classes, map(float, scores.probabilities), strict=True))
    return {
        "section": section,
        "anchor": anchor(section.slide_id),
        "facts": _facts(section),
        "panels": make_panels(section, max_side=max_side),
        "groups": groups_table(section),
        "classes": classes,
        "right": None if scores is None or section.label is None else scores.predicted == section.label,
    }


def _facts(section: SlideSection) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    info, mpp = section.info, section.mpp
    if info is not None:
        width, height = info.size_px0
        facts += [
            ("Format", f"{info.vendor} ({info.reader})"),
            ("Size", f"{width:,} × {height:,} px".replace(",", " ")),
        ]
        if info.objective_power is not None:
            facts.append(("Objective", f"{info.objective_power:g}×"))
    if mpp is not None:
        same = abs(mpp[0] - mpp[1]) < 1e-6 * mpp[0]
        facts.append(("Resolution", f"{mpp[0]:.4g} µm/px" if same else f"{mpp[0]:.4g} × {mpp[1]:.4g} µm/px"))
    elif info is not None:
        facts.append(("Resolution", "not in the file"))
    if section.tissue is not None:
        area = float(section.tissue.area_px0.sum())
        text = (
            f"{area:,.0f} px²".replace(",", " ") if mpp is None else f"{float(area_um2(area, mpp)) / 1e6:.2f} mm²"
        )
        facts.append(("Tissue", text))
    if section.coords_px0 is not None:
        facts.append(("Patches", f"{len(section.coords_px0):,}".replace(",", " ")))
    if section.segments is not None:
        facts.append(("Segments", str(len(section.segments))))
    if section.groups is not None:
        facts.append(("Groups", str(len(section.groups))))
    return facts


def _sort_value(cell: Cell) -> str:
    """Return what ``data-sort`` holds: a number as Python writes it, a text as it is, nothing for None."""
    if cell.sort is None:
        return ""
    return repr(cell.sort) if isinstance(cell.sort, float) else cell.sort
