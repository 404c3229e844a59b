"""The figures of one slide: thumbnail with tissue, segments, attention, probability, annotation."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ..drawing.colours import ANNOTATION, ATTENTION_MAP, HOLE, POSITIVE, PROBABILITY_MAP, TISSUE
from ..drawing.images import (
    RgbImage,
    attention_limit,
    draw_map,
    draw_outlines,
    draw_patches,
    draw_segments,
    draw_tissue,
    encode_image,
    segment_labels,
    soften,
)
from ..geometry import Frame
from .content import SlideSection
from .legends import colour_bar, key, overlay, scale_bar

_NOTHING = Markup("")
_NAMED_GROUPS = 10
#: Share of the image's side that a segment must measure around its number.
_THIN = 0.012


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of the page.

    Attributes
    ----------
    title, caption, alt
        Texts; escaped when drawn.
    uri
        The image as a ``data:`` URI.
    size
        Width and height of the image.
    over, legend
        SVG and HTML on and below the image.
    """

    title: str
    caption: str
    alt: str
    uri: str
    size: tuple[int, int]
    over: Markup = _NOTHING
    legend: Markup = _NOTHING


def jpeg_uri(image: RgbImage) -> str:
    """Encode an image as a ``data:image/jpeg`` URI."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_image(image, ".jpg")).decode()


def fit(image: RgbImage, frame: Frame, max_side: int) -> tuple[RgbImage, Frame]:
    """Shrink an image so that its longer side is at most ``max_side``; smaller ones stay as they are."""
    import cv2

    height, width = image.shape[:2]
    factor = max_side / max(height, width)
    if factor >= 1:
        return image, frame
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small: RgbImage = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    ratio = frame.sizes_to_px0((width / size[0], height / size[1]))
    return small, Frame(frame.origin_px0, (float(ratio[0]), float(ratio[1])))


def make_panels(section: SlideSection, *, max_side: int) -> tuple[Panel, ...]:
    """Draw every figure that the section has data for; none where it has no image."""
    if section.image is None or section.frame is None:
        return ()
    image, frame = fit(section.image, section.frame, max_side)
    candidates = (
        _tissue_panel(section, image, frame),
        _segments_panel(section, image, frame),
        _attention_panel(section, image, frame),
        _probability_panel(section, image, frame),
        _annotation_panel(section, image, frame),
    )
    return tuple(panel for panel in candidates if panel is not None)


def _panel(
    section: SlideSection,
    frame: Frame,
    image: RgbImage,
    *,
    title: str,
    caption: str,
    legend: Markup = _NOTHING,
    marks: tuple[tuple[float, float, str], ...] = (),
) -> Panel:
    height, width = image.shape[:2]
    bar = None if section.mpp is None else scale_bar(frame, section.mpp, width)
    alt = f"{title}: {section.slide_id}. {caption}"
    over = overlay((width, height), bar=bar, marks=marks)
    return Panel(
        title=title, caption=caption, alt=alt, uri=jpeg_uri(image), size=(width, height), over=over, legend=legend
    )


def _tissue_panel(section: SlideSection, image: RgbImage, frame: Frame) -> Panel:
    if section.tissue is None:
        return _panel(section, frame, image, title="Slide", caption="Overview.")
    tissue = section.tissue
    holes = sum(len(rings) for _, rings in tissue.polygons_px0)
    pieces = f"{len(tissue)} piece{'' if len(tissue) == 1 else 's'} of tissue"
    caption = f"{pieces}, {holes} hole{'' if holes == 1 else 's'}; found by “{tissue.method}”."
    if len(tissue.left_out_px0):
        smaller = f"{len(tissue.left_out_px0)} smaller piece{'' if len(tissue.left_out_px0) == 1 else 's'}"
        caption += f" Left out: {smaller}, {tissue.left_out_share:.0%} of the tissue."
    entries = [(TISSUE, "tissue", "line"), *([(HOLE, "hole", "line")] if holes else [])]
    drawn = draw_tissue(image, frame, tissue)
    return _panel(section, frame, drawn, title="Slide and tissue", caption=caption, legend=key(entries))


def _segments_panel(section: SlideSection, image: RgbImage, frame: Frame) -> Panel | None:
    segments = section.segments
    if segments is None:
        return None
    caption = f"{len(segments)} segments, small ones drawn over large ones."
    marks = _group_names(section, frame, (image.shape[1], image.shape[0]))
    if marks:
        caption += " Numbers name the groups in the table."
    drawn = draw_segments(soften(image, colour=0.35, contrast=0.85), frame, segments)
    return _panel(section, frame, drawn, title="Segments", caption=caption, marks=marks)


def _group_names(
    section: SlideSection, frame: Frame, size: tuple[int, int]
) -> tuple[tuple[float, float, str], ...]:
    """Numbers of the most attended (else the largest) groups, each at the middle of what is seen of it."""
    import cv2

    segments, groups = section.segments, section.groups
    if segments is None or groups is None or len(groups) == 0:
        return ()
    scores = None if section.scores is None else section.scores.groups
    weight = groups.area_raster if scores is None else scores.attention_mass
    labels = segment_labels(segments, frame, size)
    marks: list[tuple[float, float, str]] = []
    for group in np.argsort(-weight, kind="stable"):
        segment = int(groups.segment_of_group[group])
        distance = cv2.distanceTransform(np.pad((labels == segment).astype(np.uint8), 1), cv2.DIST_L2, 5)
        # A segment that smaller ones cover, or that is thinner than a figure, gets no number.
        if distance.max() >= max(size) * _THIN:
            row, column = np.unravel_index(int(distance.argmax()), distance.shape)
            marks.append((float(column) - 0.5, float(row) - 0.5, str(segment + 1)))
        if len(marks) == _NAMED_GROUPS:
            break
    return tuple(marks)


def _attention_panel(section: SlideSection, image: RgbImage, frame: Frame) -> Panel | None:
    scores, size = section.scores, section.patch_size_px0
    attention = None if scores is None else scores.relative_attention
    if scores is None or attention is None or size is None:
        return None
    finite = attention[np.isfinite(attention)]
    top = attention_limit(attention)
    drawn = draw_map(
        *(soften(image), frame, scores.coords_px0, size, attention),
        colormap=ATTENTION_MAP,
        limits=(0, top),
        tissue=section.tissue,
    )
    peak = float(finite.max()) if len(finite) else float("nan")
    ticks = [(0.0, "0"), (1.0, "1"), (top, f"{top:.1f}" + (" and more" if peak > top * 1.005 else ""))]
    bar = colour_bar(ATTENTION_MAP, (0, top), title="attention (1 = the mean patch)", ticks=ticks)
    caption = f"Where the model looked, compared with the mean patch; the highest is {peak:.1f}."
    return _panel(section, frame, drawn, title="Attention", caption=caption, legend=bar)


def _probability_panel(section: SlideSection, image: RgbImage, frame: Frame) -> Panel | None:
    scores, size = section.scores, section.patch_size_px0
    if scores is None or size is None:
        return None
    name = scores.classes[section.shown_class]
    values = scores.patch_probability[:, section.shown_class]
    drawn = draw_map(
        *(soften(image), frame, scores.coords_px0, size, values),
        colormap=PROBABILITY_MAP,
        limits=(0, 1),
        tissue=section.tissue,
    )
    ticks = [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")]
    title = f"probability of {name}, per patch ({scores.calibrated})"
    bar = colour_bar(PROBABILITY_MAP, (0, 1), title=title, ticks=ticks)
    threshold = scores.patch_threshold(section.shown_class)
    share = float((values >= threshold).mean()) if len(values) else 0.0
    caption = f"{share:.0%} of the patches reach {threshold:.2g}{_of_normal(section)}."
    return _panel(section, frame, drawn, title=f"Probability of {name}", caption=caption, legend=bar)


def _of_normal(section: SlideSection) -> str:
    """Say what the threshold of patches means; empty where the model is not calibrated."""
    scores = section.scores
    if scores is None or scores.calibration is None:
        return ""
    threshold = scores.patch_threshold(section.shown_class)
    if threshold != scores.calibration.operating_point:
        return ""
    share = scores.calibration.normal_share(threshold)
    return f", the operating point: {share:.1%} of normal tissue would be marked"


def _annotation_panel(section: SlideSection, image: RgbImage, frame: Frame) -> Panel | None:
    if not section.annotation:
        return None
    scores, size = section.scores, section.patch_size_px0
    entries = [(ANNOTATION, "annotation", "line")]
    drawn, caption = image, "The annotation."
    if scores is not None and size is not None:
        threshold = scores.patch_threshold(section.shown_class)
        chosen = scores.patch_probability[:, section.shown_class] >= threshold
        drawn = draw_patches(drawn, frame, scores.coords_px0[chosen], size, colour=POSITIVE)
        entries.append((POSITIVE, f"patch probability ({scores.calibrated}) at least {threshold:.2g}", "area"))
        caption = "The annotation, and the patches that the model calls positive."
    drawn = draw_outlines(drawn, frame, section.annotation)
    title = "Annotation" if scores is None else "Annotation and prediction"
    return _panel(section, frame, drawn, title=title, caption=caption, legend=key(entries))
