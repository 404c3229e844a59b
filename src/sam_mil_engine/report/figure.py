"""One image for print: scale bar on it, legend and caption below it; PNG or PDF."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..drawing.colours import RGB, css
from ..drawing.images import RgbImage
from ..errors import SettingsError
from ..files import atomic_path
from ..geometry import Frame
from .legends import scale_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MM_PER_INCH = 25.4
#: What a PNG or a PDF can be asked for, so that a slip of the finger does not fill the memory.
DPI_RANGE, WIDTH_RANGE_MM = (72, 1200), (40.0, 400.0)
#: What journals ask for, and the width of a page.
DPI, WIDTH_MM = 300, 170.0
_SUFFIXES = (".png", ".pdf")
#: Heights below the image, in inches: a row of colour bars, a row of the key, a line of the caption.
_BAR, _KEY, _LINE = 0.52, 0.22, 0.145
_POINTS = 7.5


@dataclass(frozen=True, slots=True)
class Bar:
    """A colour map of the legend: ``colours`` (n, 3 or 4) in 0-1 from the low to the high limit."""

    title: str
    colours: npt.NDArray[np.floating]
    limits: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """A colour of the key; ``area`` is drawn as a square, else as a line."""

    text: str
    colour: RGB
    area: bool = False


def write_figure(
    path: Path,
    image: RgbImage,
    frame: Frame,
    *,
    mpp: tuple[float, float] | None = None,
    bars: Sequence[Bar] = (),
    entries: Sequence[Entry] = (),
    caption: str = "",
    width_mm: float = WIDTH_MM,
    dpi: int = DPI,
) -> Path:
    """Write a figure that is ``width_mm`` wide in print.

    Parameters
    ----------
    path
        ``.png`` or ``.pdf``; a PDF holds its text as text.
    image, frame
        RGB (height, width, 3) with everything drawn on it, and the frame it lies in.
    mpp
        Micrometres per level-0 pixel (x, y): gives the scale bar; None leaves it out.
    bars, entries, caption
        What stands below the image.
    dpi
        Pixels per inch of a PNG, and of the image in a PDF.

    Raises
    ------
    SettingsError
        If suffix, width or resolution make no sense.
    ProjectError
        If the file cannot be written.
    """
    _check(path, width_mm, dpi)
    from matplotlib import rc_context

    figure = _compose(
        *(image, frame),
        mpp=mpp,
        bars=bars,
        entries=entries,
        caption=caption,
        width=width_mm / MM_PER_INCH,
    )
    with atomic_path(path) as temporary, rc_context({"pdf.fonttype": 42}):
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=dpi)
    return path


def image_width(width_mm: float, dpi: int) -> int:
    """Pixels that the image of a figure needs in width."""
    return round(width_mm / MM_PER_INCH * dpi)


def _check(path: Path, width_mm: float, dpi: int) -> None:
    if path.suffix.lower() not in _SUFFIXES:
        raise SettingsError(f"figures are written as {' or '.join(_SUFFIXES)}, not as {path.suffix!r}", where=path)
    for what, value, (low, high) in (("dpi", dpi, DPI_RANGE), ("width in mm", width_mm, WIDTH_RANGE_MM)):
        if not low <= value <= high:
            raise SettingsError(f"the {what} must lie between {low} and {high}, not {value}", where=path)


def _compose(
    image: RgbImage,
    frame: Frame,
    *,
    mpp: tuple[float, float] | None,
    bars: Sequence[Bar],
    entries: Sequence[Entry],
    caption: str,
    width: float,
) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = textwrap.wrap(caption, round(width * 16.5)) if caption else []
    tall = width * image.shape[0] / image.shape[1]
    rows = [
        tall,
        _BAR * -(-len(bars) // 2),
        _KEY if entries else 0.0,
        _LINE * len(lines) + (0.06 if lines else 0.0),
    ]
    height = sum(rows)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 1 - tall / height, 1, tall / height))
    axes.imshow(image, aspect="auto", interpolation="antialiased")
    axes.set_axis_off()
    if mpp is not None:
        _draw_scale(axes, image, frame, mpp, points_wide=width * 72)
    top = height - tall
    for number, bar in enumerate(bars):
        left = 0.02 + 0.5 * (number % 2)
        bottom = top - _BAR * (number // 2 + 1) + 0.2
        _draw_bar(figure.add_axes((left, bottom / height, 0.44, 0.1 / height)), bar)
    top -= rows[1]
    if entries:
        _draw_key(figure.add_axes((0, (top - _KEY) / height, 1, _KEY / height)), entries, width)
    if lines:
        text = "\n".join(lines)
        figure.text(0.02, rows[3] / height, text, fontsize=_POINTS, va="top", linespacing=1.35)
    return figure


def _draw_scale(axes: Any, image: RgbImage, frame: Frame, mpp: tuple[float, float], *, points_wide: float) -> None:
    from matplotlib.patches import Rectangle

    height, width = image.shape[:2]
    bar = scale_bar(frame, mpp, width, share=0.22)
    point = width / points_wide
    x, y = width - 12 * point - bar.pixels, height - 12 * point
    plate = (x - 6 * point, y - 16 * point), bar.pixels + 12 * point, 22 * point
    axes.add_patch(Rectangle(*plate, facecolor="white", alpha=0.82, edgecolor="none"))
    axes.add_patch(Rectangle((x, y - 2.5 * point), bar.pixels, 2.5 * point, facecolor="black", edgecolor="none"))
    axes.text(x + bar.pixels / 2, y - 4.5 * point, bar.label, ha="center", va="bottom", fontsize=8)


def _draw_bar(axes: Any, bar: Bar) -> None:
    colours = np.asarray(bar.colours, dtype=np.float64)
    if colours.shape[1] == 4:  # as it looks on white paper
        colours = colours[:, :3] * colours[:, 3:] + 1 - colours[:, 3:]
    axes.imshow(colours[None], aspect="auto", extent=(*bar.limits, 0, 1))
    axes.set_yticks([])
    axes.tick_params(labelsize=_POINTS - 1, length=2, pad=1.5, width=0.5)
    axes.locator_params(axis="x", nbins=5)
    axes.set_title(bar.title, fontsize=_POINTS, loc="left", pad=2)
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)


def _draw_key(axes: Any, entries: Sequence[Entry], width: float) -> None:
    from matplotlib.patches import Rectangle

    axes.set_xlim(0, width)
    axes.set_ylim(0, _KEY)
    axes.set_axis_off()
    x = 0.02 * width
    for entry in entries:
        tall = 0.1 if entry.area else 0.03
        axes.add_patch(Rectangle((x, _KEY / 2 - tall / 2), 0.16, tall, facecolor=css(entry.colour)))
        axes.text(x + 0.22, _KEY / 2, entry.text, fontsize=_POINTS, va="center")
        x += 0.22 + 0.062 * len(entry.text) + 0.2
