"""Convert engine results to napari layer data. Pure functions, no viewer, no Qt.

Each function returns a layer data tuple (data, keywords, type), placed by :mod:`napari_sam_mil.analysis.placement`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, sqrt
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

from ..analysis.finer import FinerMap
from ..analysis.placement import PlaceOrMpp, place_points, place_raster
from ..analysis.segment_table import Column, class_title, shown_class
from .colours import DIVERGING, PROBABILITY, QUANTITY, TISSUE_EDGE, napari_colormap

LayerData = tuple[Any, dict[str, Any], str]

#: The kinds of layers that an analysis adds, from bottom to top.
KINDS: tuple[str, ...] = ("tissue", "artefacts", "segments", "attention", "probability", "evidence")

#: The kind of layer that *Finer map here* adds above them.
FINER = "finer"
#: All kinds of layers that show results.
RESULT_KINDS = (*KINDS, FINER)

#: Most pixels of a map that is cut to the tissue.
_MAP_PIXELS = 2**22
#: Most pixels of the label image of segments.
_LABEL_PIXELS = 2**25


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
    """Return all segments in one label image, small ones over large ones. The name contains the segmenter.

    Of a raster with more than :data:`_LABEL_PIXELS`, every second, third, ... pixel is shown.
    """
    width, height = segments.size_raster
    step = max(1, ceil(sqrt(width * height / _LABEL_PIXELS)))
    frame = segments.frame
    keywords = {
        "name": segments_title(segmenter),
        "features": dict(table),
        "opacity": 0.8,
        **place_raster(Frame(frame.origin_px0, (frame.downsample[0] * step, frame.downsample[1] * step)), mpp),
    }
    return segments.labels()[step // 2 :: step, step // 2 :: step], keywords, "labels"


def attention_layer(
    scores: SlideScores,
    grid: TileGrid,
    *,
    mpp: PlaceOrMpp,
    tissue: TissueRegions | None = None,
    smooth: bool = False,
) -> LayerData | None:
    """Return attention times the number of patches (1 = uniform), or None if the model has no attention."""
    relative = scores.relative_attention
    if relative is None:
        return None
    limits = (0.0, attention_limit(relative))
    return _map(
        *(*grid.raster(relative), "attention"),
        colormap=QUANTITY,
        limits=limits,
        mpp=mpp,
        visible=False,
        tissue=tissue,
        smooth=smooth,
    )


def probability_layer(
    scores: SlideScores,
    grid: TileGrid,
    *,
    mpp: PlaceOrMpp,
    tissue: TissueRegions | None = None,
    smooth: bool = False,
) -> LayerData:
    """Return the probability of every patch, from 0 to 1."""
    return _map(
        *grid.raster(scores.patch_probability[:, shown_class(scores)]),
        class_title(scores.classes[shown_class(scores)]),
        colormap=PROBABILITY,
        limits=(0.0, 1.0),
        mpp=mpp,
        visible=True,
        tissue=tissue,
        smooth=smooth,
    )


def evidence_layer(
    scores: SlideScores,
    grid: TileGrid,
    *,
    mpp: PlaceOrMpp,
    tissue: TissueRegions | None = None,
    smooth: bool = False,
) -> LayerData | None:
    """Return the signed contribution of every patch to the slide's logit, or None if the head is not linear."""
    if scores.evidence is None:
        return None
    evidence = scores.evidence[:, shown_class(scores)]
    limit = float(np.percentile(np.abs(evidence), 99)) or 1.0
    return _map(
        *(*grid.raster(evidence), "evidence"),
        colormap=DIVERGING,
        limits=(-limit, limit),
        mpp=mpp,
        visible=False,
        tissue=tissue,
        smooth=smooth,
    )


def finer_layer(
    found: FinerMap,
    scores: SlideScores,
    *,
    mpp: PlaceOrMpp,
    tissue: TissueRegions | None = None,
    smooth: bool = False,
) -> LayerData:
    """Return the finer map of a part of the slide, from 0 to 1, as far as it has grown."""
    return _map(
        *(found.filled(), found.frame, f"{class_title(scores.classes[shown_class(scores)])} (finer)"),
        colormap=PROBABILITY,
        limits=(0.0, 1.0),
        mpp=mpp,
        visible=True,
        tissue=tissue,
        smooth=smooth,
    )


def _map(
    values: npt.NDArray[np.float32],
    frame: Frame,
    name: str,
    *,
    colormap: str,
    limits: tuple[float, float],
    mpp: PlaceOrMpp,
    visible: bool,
    tissue: TissueRegions | None,
    smooth: bool,
) -> LayerData:
    image, frame = cut_to_tissue(values, frame, tissue, smooth=smooth)
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
    values: npt.NDArray[np.float32], frame: Frame, tissue: TissueRegions | None, *, smooth: bool = False
) -> tuple[npt.NDArray[np.float32], Frame]:
    """Subdivide the pixels of a map (rows, columns), one per patch, and set those outside the tissue to NaN.

    Each patch becomes up to 16 x 16 pixels, with at most four million pixels in total. With ``smooth``, values are
    interpolated between the centres of patches, and end where they would end without it.
    """
    has_tissue = tissue is not None and len(tissue) > 0
    if not (has_tissue or smooth):
        return values, frame
    parts = int(np.clip(np.sqrt(_MAP_PIXELS / values.size), 1, 16))
    finer = frame.finer(parts)
    blocks = values.repeat(parts, axis=0).repeat(parts, axis=1)
    image = interpolated(values, parts) if smooth else blocks
    image[np.isnan(blocks)] = np.nan
    if tissue is not None and has_tissue:
        from sam_mil_engine.annotations.masks import tissue_area
        from sam_mil_engine.annotations.raster import rasterise

        inside = rasterise(tissue_area(tissue), frame=finer, size_raster=(image.shape[1], image.shape[0]))
        image[~inside] = np.nan
    return image, finer


def interpolated(values: npt.NDArray[np.float32], parts: int) -> npt.NDArray[np.float32]:
    """(rows, columns) -> (rows * parts, columns * parts): linear between the centres; NaN takes no part."""
    import cv2

    size = (values.shape[1] * parts, values.shape[0] * parts)
    known = ~np.isnan(values)
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    total = cv2.resize(np.where(known, values, np.float32(0)), size, interpolation=cv2.INTER_LINEAR)
    unknown = np.full(total.shape, np.nan, dtype=np.float32)
    return np.asarray(np.divide(total, weight, out=unknown, where=weight > 0), dtype=np.float32)


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
    finer: FinerMap | None = None,
    smooth: bool = False,
) -> dict[str, LayerData]:
    """Return kind -> layer for all available results, in the order of :data:`RESULT_KINDS`."""
    found: dict[str, LayerData | None] = {}
    if tissue is not None and len(tissue):
        found["tissue"] = tissue_layer(tissue, info, mpp=mpp)
    if artefacts is not None:
        found["artefacts"] = artefacts_layer(artefacts, mpp=mpp)
    if segments is not None and len(segments):
        found["segments"] = segments_layer(segments, table or {}, mpp=mpp, segmenter=segmenter)
    if scores is not None and grid is not None:
        found["attention"] = attention_layer(scores, grid, mpp=mpp, tissue=tissue, smooth=smooth)
        found["probability"] = probability_layer(scores, grid, mpp=mpp, tissue=tissue, smooth=smooth)
        found["evidence"] = evidence_layer(scores, grid, mpp=mpp, tissue=tissue, smooth=smooth)
        if finer is not None:
            found[FINER] = finer_layer(finer, scores, mpp=mpp, tissue=tissue, smooth=smooth)
    return {kind: layer for kind, layer in found.items() if layer is not None}
