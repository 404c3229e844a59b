"""Line charts of training as inline SVG, drawn by matplotlib."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Size of a chart in points, and what its axes leave free of it.
_WIDTH, _HEIGHT = 520, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 12, 38
_TEXT_SIZE = 11
#: Colours that matplotlib draws -> those of the page, which are others in the dark and in print.
_INK, _SOFT, _LINE = "#010203", "#010204", "#010205"
_PAGE_COLOURS = {_INK: "var(--ink)", _SOFT: "var(--soft)", _LINE: "var(--line)"}
#: Text stays text, in the page's font; the axes end at round values.
_STYLE = {"svg.fonttype": "none", "axes.autolimit_mode": "round_numbers", "font.size": _TEXT_SIZE}
_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
#: Colours that stay apart for colour-blind eyes on white and on black; dashes tell them apart in print.
_STROKES = (
    ("#1f77b4", ""),
    ("#d9730d", "7 3"),
    ("#2a9d6f", "2 3"),
    ("#b5508f", "9 3 2 3"),
    ("#8a7a2c", "5 5"),
    ("#6b6fb3", "1 4"),
)

FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity over the epochs, once for every run (fold) that has it.

    Attributes
    ----------
    name
        What it is.
    runs
        Tuple of (x, y), each (n,), one per run; values of y that are not finite leave a gap.
    """

    name: str
    runs: tuple[tuple[FloatVector, FloatVector], ...]

    def mean(self) -> tuple[FloatVector, FloatVector]:
        """Mean of y over the runs that have a finite value at x, for every x."""
        xs = np.concatenate([x for x, _ in self.runs])
        ys = np.concatenate([y for _, y in self.runs])
        finite = np.isfinite(ys)
        positions, inverse = np.unique(xs[finite], return_inverse=True)
        sums = np.bincount(inverse, weights=ys[finite], minlength=len(positions))
        return positions, sums / np.maximum(np.bincount(inverse, minlength=len(positions)), 1)


@dataclass(frozen=True, slots=True)
class Chart:
    """Series that share their axes.

    Attributes
    ----------
    title, x_label, y_label
        Texts; escaped when drawn.
    series
        What is drawn.
    y_limits
        Ends of the y axis, or None to fit the data.
    """

    title: str
    series: tuple[Series, ...]
    x_label: str = "epoch"
    y_label: str = ""
    y_limits: tuple[float, float] | None = None


def line_chart(chart: Chart) -> Markup:
    """Draw a chart; several runs of a series are thin lines under their thick mean.

    The same chart gives the same text. A chart without a finite value says so in words.
    """
    if not any(np.isfinite(y).any() for series in chart.series for _, y in series.runs):
        return Markup('<p class="note">No values for “{}”.</p>').format(chart.title)
    summary = f"{chart.title}: " + ", ".join(series.name for series in chart.series)
    keys = [
        Markup(
            '<li><svg viewBox="0 0 26 8" aria-hidden="true"><line x1="0" x2="26" y1="4" y2="4" stroke="{}"'
            ' stroke-width="2.4" stroke-dasharray="{}"/></svg>{}</li>'
        ).format(*_STROKES[number % len(_STROKES)], series.name)
        for number, series in enumerate(chart.series)
    ]
    return Markup(
        '<figure class="chart"><figcaption>{}</figcaption>'
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
        '<ul class="key">{}</ul></figure>'
    ).format(chart.title, _WIDTH, _HEIGHT, summary, Markup(_drawn(chart)), Markup("").join(keys))


def _drawn(chart: Chart) -> str:
    """Return what stands inside the ``svg`` element; the chart has a finite value."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # a salt of its own: two charts of a page share no id
    with rc_context({**_STYLE, "svg.hashsalt": repr(chart.title)}):
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
        axes = _axes(figure, chart)
        for number, series in enumerate(chart.series):
            if series.runs:
                _draw_series(axes, series, number)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True)
    return _for_page(text.getvalue())


def _axes(figure: Figure, chart: Chart) -> Axes:
    """Add empty axes with labels, round ticks and lines across."""
    from matplotlib.ticker import MaxNLocator

    size = ((_WIDTH - _LEFT - _RIGHT) / _WIDTH, (_HEIGHT - _TOP - _BOTTOM) / _HEIGHT)
    axes = figure.add_axes((_LEFT / _WIDTH, _BOTTOM / _HEIGHT, *size))
    axes.spines[:].set_visible(False)
    axes.margins(0, tight=False)
    axes.grid(axis="y", color=_LINE, linewidth=1, clip_on=False)
    axes.tick_params(bottom=False, left=False, labelcolor=_INK, pad=4)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    for axis, label in ((axes.xaxis, chart.x_label), (axes.yaxis, chart.y_label)):
        axis.set_major_formatter("{x:g}")
        axis.set_label_text(_printable(label), color=_SOFT, parse_math=False)
    xs = np.concatenate([x for series in chart.series for x, _ in series.runs])
    beside = 0 if np.ptp(xs) else 1
    axes.set_xlim(float(xs.min()) - beside, float(xs.max()) + beside)
    if chart.y_limits:
        axes.set_ylim(chart.y_limits)
    return axes


def _draw_series(axes: Axes, series: Series, number: int) -> None:
    stroke, dash = _STROKES[number % len(_STROKES)]
    if len(series.runs) > 1:
        for x, y in series.runs:
            axes.plot(x, y, color=stroke, linewidth=0.8, alpha=0.35, clip_on=False)
    x, y = series.mean()
    if len(x) == 1:
        axes.plot(x, y, "o", color=stroke, markersize=7, clip_on=False)
    elif len(x):
        # With one run the line itself keeps its gaps; the mean of several has none.
        x, y = series.runs[0] if len(series.runs) == 1 else (x, y)
        # matplotlib counts dashes in widths of the line
        dashes = [float(part) / 2.2 for part in dash.split()]
        axes.plot(x, y, color=stroke, linewidth=2.2, dashes=dashes or (None, None), clip_on=False)


def _printable(text: str) -> str:
    """Replace what no font draws and no XML holds."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _for_page(svg: str) -> str:
    """Return the content of matplotlib's file as it can stand in a page: without styles and ids for others."""
    root = ElementTree.fromstring(svg)
    used = {element.get(_LINK, "")[1:] for element in root.iter(f"{_SVG}use")}
    for parent in list(root.iter()):
        parent.tag = parent.tag.removeprefix(_SVG)
        for name in ("metadata", "style"):
            for element in parent.findall(f"{_SVG}{name}"):
                parent.remove(element)
        if parent.get("id") not in used:
            parent.attrib.pop("id", None)
        if _LINK in parent.attrib:
            parent.set("href", parent.attrib.pop(_LINK))
    for element in root.iter("text"):
        # the rest of the style is the font, which is the page's
        parts = [part for part in element.get("style", "").split("; ") if not part.startswith("font")]
        element.set("style", "; ".join(parts))
    text = "".join(ElementTree.tostring(element, encoding="unicode") for element in root)
    for colour, name in _PAGE_COLOURS.items():
        text = text.replace(colour, name)
    return text
