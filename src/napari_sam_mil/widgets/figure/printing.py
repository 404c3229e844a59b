"""Draw the view as a figure for print: the same layers at print resolution. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer

from sam_mil_engine.drawing.colours import ANNOTATION, HOLE, POSITIVE, TISSUE
from sam_mil_engine.drawing.images import RgbImage, draw_outlines, draw_segments, draw_tissue
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.progress import Progress, ProgressCallback, silent
from sam_mil_engine.report.figure import Bar, Entry, image_width, write_figure

from ...analysis.placement import Place, points_to_world
from ...layers.recolour import bar_of
from ...layers.results import RESULT_KINDS
from ...layers.view import view_px0
from ...session.annotations import snapshot_outlines

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from sam_mil_engine.annotations.model import Annotation
    from sam_mil_engine.slide.slide import Slide

    from ...analysis.model import Analysis
    from ...session.slide import SlideSession

_UNITS = {"attention": "attention (1 = the mean patch)", "evidence": "evidence (adds to the slide's logit)"}


@dataclass(frozen=True, slots=True)
class Painted:
    """A snapshot of a layer: colours (h, w, 4) of its pixels in 0-1, and its placement."""

    rgba: npt.NDArray[np.float32]
    scale: tuple[float, float]
    translate: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """A snapshot of the view, so that it can be drawn in a thread."""

    slide: Slide
    mpp: tuple[float, float] | None
    origin: tuple[float, float]
    bounds_px0: tuple[float, float, float, float]
    analysis: Analysis | None
    painted: tuple[Painted, ...] = ()
    contours: bool = False
    tissue: bool = False
    outlines: tuple[Annotation, ...] = ()
    bars: tuple[Bar, ...] = ()
    entries: tuple[Entry, ...] = field(default=())


def scene_of(viewer: Viewer, session: SlideSession) -> Scene:
    """Take a snapshot of what the viewer shows of a slide.

    Raises
    ------
    SettingsError
        If the slide is not in view.
    """
    width, height = session.source.info.size_px0
    left, top, right, bottom = view_px0(viewer, session.source.place)
    bounds = max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
    if not (bounds[0] < bounds[2] and bounds[1] < bounds[3]):
        raise SettingsError("the slide is not in view", hint="Press Ctrl+R to show it")
    seen = [(kind, layer) for kind, layer in session.layers.items() if layer.visible]
    seen.sort(key=lambda pair: viewer.layers.index(pair[1]))
    kinds = {kind for kind, _ in seen}
    segments = session.layers.get("segments")
    contours = "segments" in kinds and isinstance(segments, Labels) and segments.contour > 0
    painted = [
        (kind, layer)
        for kind, layer in seen
        if kind in {*RESULT_KINDS, "above"} and isinstance(layer, Image | Labels)
    ]
    outlines = _outlines(session, kinds)
    return Scene(
        slide=session.source.slide,
        mpp=session.source.mpp,
        origin=session.source.origin,
        bounds_px0=bounds,
        analysis=session.analysis,
        painted=tuple(_paint(layer) for kind, layer in painted if not (kind == "segments" and contours)),
        contours=contours,
        tissue="tissue" in kinds,
        outlines=tuple(outlines),
        bars=tuple(_bars(session, painted, contours=contours)),
        entries=tuple(_entries(kinds, session.analysis, contours=contours, outlines=bool(outlines))),
    )


def caption_of(session: SlideSession) -> str:
    """Return a caption with slide, model and prediction, which the user can edit."""
    text = f"{session.source.info.slide_id}."
    scores = None if session.analysis is None else session.analysis.scores
    if scores is not None:
        model = scores.attrs.get("model", "the model")
        chance = scores.probabilities.max()
        text += f" {model} predicts {scores.predicted} with probability {chance:.3f}"
        text += f" (threshold {scores.threshold:.2f}). Not for diagnosis."
    return text


def save_figure(
    scene: Scene, path: Path, *, caption: str, width_mm: float, dpi: int, progress: ProgressCallback = silent
) -> str:
    """Draw the scene at print resolution and write it; return a message for the user.

    Raises
    ------
    SettingsError, SlideError, ProjectError
        If the size is invalid, the slide cannot be read, or the file cannot be written.
    """
    progress(Progress("figure", 0, 2, unit="steps", message="reading the slide"))
    pixels = image_width(width_mm, dpi)
    picture, frame = _read(scene, pixels)
    progress(Progress("figure", 1, 2, unit="steps", message="drawing"))
    for layer in scene.painted:
        picture = _blend(picture, frame, layer, Place(scene.mpp, scene.origin))
    line = max(1, round(pixels / 700))
    processed = None if scene.analysis is None else scene.analysis.processed
    if scene.contours and processed is not None and processed.segments is not None:
        picture = draw_segments(picture, frame, processed.segments, opacity=0.0)
    if scene.tissue and processed is not None and processed.tissue is not None:
        picture = draw_tissue(picture, frame, processed.tissue, width=line)
    if scene.outlines:
        picture = draw_outlines(picture, frame, _polygons(scene.outlines), width=line + 1)
    write_figure(
        *(path, picture, frame),
        mpp=scene.mpp,
        bars=scene.bars,
        entries=scene.entries,
        caption=caption,
        width_mm=width_mm,
        dpi=dpi,
    )
    progress(Progress("figure", 2, 2, unit="steps"))
    return f"Saved {path.name}: {width_mm:g} mm wide, {dpi} dpi"


def _read(scene: Scene, pixels: int) -> tuple[RgbImage, Frame]:
    """Read the view ``pixels`` wide. Enlarge it if the slide is coarser than the print."""
    import cv2

    left, _, right, _ = scene.bounds_px0
    picture, frame = scene.slide.read_image(
        bounds_px0=scene.bounds_px0, downsample=max(1.0, (right - left) / pixels)
    )
    height, width = picture.shape[:2]
    factor = pixels / width
    if factor <= 1.05:
        return picture, frame
    size = pixels, max(1, round(height * factor))
    ratio = frame.sizes_to_px0((width / size[0], height / size[1]))
    large: RgbImage = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    return large, Frame(frame.origin_px0, (float(ratio[0]), float(ratio[1])))


def _paint(layer: Layer) -> Painted:
    data = np.asarray(layer.data)
    if isinstance(layer, Labels):
        rgba = layer.colormap.map(data)
    else:
        low, high = layer.contrast_limits
        known = np.isfinite(data)
        share = np.clip((np.where(known, data, low) - low) / (high - low), 0, 1)
        rgba = layer.colormap.map(share.ravel()).reshape(*data.shape, 4)
        rgba[~known] = 0
    rgba = np.array(rgba, dtype=np.float32)
    rgba[..., 3] *= layer.opacity
    scale, translate = layer.scale, layer.translate
    return Painted(rgba, (float(scale[0]), float(scale[1])), (float(translate[0]), float(translate[1])))


def _blend(picture: RgbImage, frame: Frame, layer: Painted, place: Place) -> RgbImage:
    height, width = picture.shape[:2]
    centres = np.stack([np.arange(max(height, width)) + 0.5] * 2, axis=-1)
    world = points_to_world(frame.to_px0(centres), place)
    cells = np.rint((world - layer.translate) / layer.scale).astype(np.int64)
    rows, columns = cells[:height, 0], cells[:width, 1]
    inside_y = (rows >= 0) & (rows < layer.rgba.shape[0])
    inside_x = (columns >= 0) & (columns < layer.rgba.shape[1])
    where = np.ix_(inside_y, inside_x)
    over = layer.rgba[np.ix_(rows[inside_y], columns[inside_x])]
    drawn = picture.copy()
    alpha = over[..., 3:]
    drawn[where] = np.rint(over[..., :3] * alpha * 255 + (1 - alpha) * picture[where]).astype(np.uint8)
    return drawn


def _outlines(session: SlideSession, kinds: Collection[str]) -> list[Annotation]:
    """Return the outlines in layers of these kinds."""
    found = snapshot_outlines(session)()
    return [*(found.many if "outlines" in kinds else ()), *(found.shapes if "annotations" in kinds else ())]


def _polygons(
    outlines: Sequence[Annotation],
) -> list[tuple[npt.NDArray[np.float64], tuple[npt.NDArray[np.float64], ...]]]:
    from sam_mil_engine.annotations.model import polygons_of

    return [
        (np.asarray(one.exterior.coords)[:-1], tuple(np.asarray(hole.coords)[:-1] for hole in one.interiors))
        for item in outlines
        for one in polygons_of(item.polygon)
    ]


def _bars(session: SlideSession, painted: Sequence[tuple[str, Layer]], *, contours: bool) -> list[Bar]:
    found = []
    for kind, layer in painted:
        if kind == "segments" and not contours and session.colour_by is not None:
            colours, limits = bar_of(session.table()[session.colour_by], session.colour_by)
            found.append(Bar(f"segments: {session.colour_by}", colours, limits))
        elif isinstance(layer, Image) and kind != "above":
            title = _UNITS.get(kind, str(layer.name))
            low, high = layer.contrast_limits
            found.append(
                Bar(title, np.asarray(layer.colormap.map(np.linspace(0, 1, 256))), (float(low), float(high)))
            )
    return found


def _entries(kinds: set[str], analysis: Analysis | None, *, contours: bool, outlines: bool) -> list[Entry]:
    found = []
    if outlines:
        found.append(Entry("annotation", ANNOTATION))
    if "above" in kinds:
        found.append(Entry("patches at or above the threshold", POSITIVE, area=True))
    if "tissue" in kinds:
        found.append(Entry("tissue", TISSUE))
        tissue = None if analysis is None else analysis.processed.tissue
        if tissue is not None and any(holes for _, holes in tissue.polygons_px0):
            found.append(Entry("hole in the tissue", HOLE))
    if contours:
        found.append(Entry("thin lines: segments, individual colours", (120, 120, 120)))
    return found
