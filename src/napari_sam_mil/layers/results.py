"""Convert engine results to napari layer data. Pure functions, no viewer, no Qt.

Each function returns a layer data tuple (data, keywords, type), placed by :mod:`napari_sam_mil.analysis.placement`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.drawing.colours import ARTEFACTS
from sam_mil_engine.drawing.images import attention_limit
from sam_mil_engine.geometry import Frame
from sam_mil_engine.mil.scores import SlideScores
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.segment.titles import segments_title
from sam_mil_engine.slide.artefact_map import KINDS as ARTEFACT_KINDS
from sam_mil_engine.slide.artefact_map import ArtefactMap
from sam_mil_engine.slide.info import SlideInfo
from sam_mil_engine.slide.tile_grid import TileGrid
from sam_mil_engine.slide.tissue_regions import Ring, TissueRegions

from ..analysis.placement import PlaceOrMpp, place_points, place_raster
from ..analysis.segment_table import Column, class_title, shown_class
from .colours import DIVERGING, PROBABILITY, QUANTITY, TISSUE_EDGE, napari_colormap

LayerData = tuple[Any, dict[str, Any], str]

#: The kinds of layers that an analysis adds, from bottom to top.
KINDS: tuple[str, ...] = ("tissue", "artefacts", "segments", "attention", "probability", "evidence")

#: Most pixels of a map that is cut to the tissue.
_MAP_PIXELS = 2**22


def slide_layer(levels: list[Any], info: SlideInfo, *, mpp: PlaceOrMpp) -> LayerData:
    """Return the slide as a lazy RGB pyramid."""
    keywords = {"name": info.slide_id, "rgb": True, "multiscale": True, **place_raster(Frame(), mpp)}
    return levels, keywords, "image"


def tissue_layer(tissue: TissueRegions, info: SlideInfo, *, mpp: PlaceOrMpp) -> LayerData:
    """Return the outlines of the tissue. A piece with holes is one polygon with holes."""
    keywords = {
        "name": "tissue",
        "shape_type": "polygon",
        "edge_color": TISSUE_EDGE,
        "face_color": "transparent",
        "edge_width": max(info.size_px0) / 500,
        "opacity": 0.9,
        **place_points(mpp),
    }
    return [with_holes(outer, holes) for outer, holes in tissue.polygons_px0], keywords, "shapes"


def artefacts_layer(found: ArtefactMap, *, mpp: PlaceOrMpp) -> LayerData | None:
    """Return what spoils the slide as a label image, one colour for each kind; None where nothing does."""
    import pandas as pd
    from napari.utils.colormaps import DirectLabelColormap

    if not found.kinds.any():
        return None
    colours: dict[int | None, Any] = {None: (0.0, 0.0, 0.0, 0.0), 0: (0.0, 0.0, 0.0, 0.0)}
    colours |= {number + 1: (*np.divide(colour, 255), 1.0) for number, colour in enumerate(ARTEFACTS)}
    keywords = {
        "name": "artefacts",
        "features": pd.DataFrame({"index": np.arange(1, len(ARTEFACT_KINDS) + 1), "kind": list(ARTEFACT_KINDS)}),
        "colormap": DirectLabelColormap(color_dict=colours),
        "opacity": 0.5,
        **place_raster(found.frame, mpp),
    }
    return found.kinds, keywords, "labels"


def with_holes(outer: Ring, holes: tuple[Ring, ...]) -> npt.NDArray[np.float64]:
    """Return one closed path (n, 2), as (row, column), that napari draws as a polygon with holes.

    From the outer ring, the path goes into each hole and back along the same edge. napari drops edges that occur
    twice, so that only the rings remain.
    """
    closed = [np.vstack([ring, ring[:1]]) for ring in (outer, *holes)]
    path = [closed[0]]
    for hole in closed[1:]:
        path += [hole, outer[:1]]
    return np.vstack(path)[:, ::-1].astype(np.float64)


def segments_layer(
    segments: Segments, table: Mapping[str, Column], *, mpp: PlaceOrMpp, segmenter: str | None = None
) -> LayerData:
    """Return all segments in one label image, small ones over large ones. The name contains the segmenter."""
    keywords = {
        "name": segments_title(segmenter),
        "features": dict(table),
        "opacity": 0.8,
        **place_raster(segments.frame, mpp),
    }
    return segments.label_image(), keywords, "labels"


def attention_layer(
    scores: SlideScores, grid: TileGrid, *, mpp: PlaceOrMpp, tissue: TissueRegions | None = None
) -> LayerData | None:
    """Return attention times the number of patches (1 = uniform), or None if the model has no attention."""
    relative = scores.relative_attention
    if relative is None:
        return None
    limits = (0.0, attention_limit(relative))
    return _map(
        relative, grid, "attention", colormap=QUANTITY, limits=limits, mpp=mpp, visible=False, tissue=tissue
    )


def probability_layer(
    scores: SlideScores, grid: TileGrid, *, mpp: PlaceOrMpp, tissue: TissueRegions | None = None
) -> LayerData:
    """Return the probability of every patch, from 0 to 1."""
    return _map(
        scores.patch_probability[:, shown_class(scores)],
        grid,
        class_title(scores.classes[shown_class(scores)]),
        colormap=PROBABILITY,
        limits=(0.0, 1.0),
        mpp=mpp,
        visible=True,
        tissue=tissue,
    )


def evidence_layer(
    scores: SlideScores, grid: TileGrid, *, mpp: PlaceOrMpp, tissue: TissueRegions | None = None
) -> LayerData | None:
    """Return the signed contribution of every patch to the slide's logit, or None if the head is not linear."""
    if scores.evidence is None:
        return None
    evidence = scores.evidence[:, shown_class(scores)]
    limit = float(np.percentile(np.abs(evidence), 99)) or 1.0
    return _map(
        *(evidence, grid, "evidence"),
        colormap=DIVERGING,
        limits=(-limit, limit),
        mpp=mpp,
        visible=False,
        tissue=tissue,
    )


def _map(
    values: npt.ArrayLike,
    grid: TileGrid,
    name: str,
    *,
    colormap: str,
    limits: tuple[float, float],
    mpp: PlaceOrMpp,
    visible: bool,
    tissue: TissueRegions | None,
) -> LayerData:
    image, frame = cut_to_tissue(*grid.raster(values), tissue)
    keywords = {
        "name": name,
        "colormap": napari_colormap(colormap),
        "contrast_limits": limits,
        "interpolation2d": "nearest",
        "blending": "translucent",
        "opacity": 0.5,
        "visible": visible,
        **place_raster(frame, mpp),
    }
    return image, keywords, "image"


def cut_to_tissue(
    values: npt.NDArray[np.float32], frame: Frame, tissue: TissueRegions | None
) -> tuple[npt.NDArray[np.float32], Frame]:
    """Subdivide the pixels of a map (rows, columns), one per patch, and set those outside the tissue to NaN.

    Each patch becomes up to 16 x 16 pixels, with at most four million pixels in total.
    """
    if tissue is None or not len(tissue):
        return values, frame
    from sam_mil_engine.annotations.masks import tissue_area
    from sam_mil_engine.annotations.raster import rasterise

    parts = int(np.clip(np.sqrt(_MAP_PIXELS / values.size), 1, 16))
    finer = frame.finer(parts)
    image = values.repeat(parts, axis=0).repeat(parts, axis=1)
    inside = rasterise(tissue_area(tissue), frame=finer, size_raster=(image.shape[1], image.shape[0]))
    image[~inside] = np.nan
    return image, finer


def result_layers(
    *,
    info: SlideInfo,
    mpp: PlaceOrMpp,
    tissue: TissueRegions | None = None,
    segments: Segments | None = None,
    table: Mapping[str, Column] | None = None,
    grid: TileGrid | None = None,
    artefacts: ArtefactMap | None = None,
    scores: SlideScores | None = None,
    segmenter: str | None = None,
) -> dict[str, LayerData]:
    """Return kind -> layer for all available results, in the order of :data:`KINDS`."""
    found: dict[str, LayerData | None] = {}
    if tissue is not None and len(tissue):
        found["tissue"] = tissue_layer(tissue, info, mpp=mpp)
    if artefacts is not None:
        found["artefacts"] = artefacts_layer(artefacts, mpp=mpp)
    if segments is not None and len(segments):
        found["segments"] = segments_layer(segments, table or {}, mpp=mpp, segmenter=segmenter)
    if scores is not None and grid is not None:
        found["attention"] = attention_layer(scores, grid, mpp=mpp, tissue=tissue)
        found["probability"] = probability_layer(scores, grid, mpp=mpp, tissue=tissue)
        found["evidence"] = evidence_layer(scores, grid, mpp=mpp, tissue=tissue)
    return {kind: layer for kind, layer in found.items() if layer is not None}
