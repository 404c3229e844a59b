"""Line charts as inline SVG: training curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

_WIDTH, _HEIGHT = 520, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 12, 38
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
        Tuple of (x, y), each (n,), one a run; values of y that are not finite leave a gap.
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


def nice_ticks(low: float, high: float, *, count: int = 5) -> FloatVector:
    """Return about ``count`` round values from ``low`` to ``high``, both of them within the ticks' span."""
    if not high > low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / max(count - 1, 1)
    decade = 10.0 ** np.floor(np.log10(raw))
    step = next(factor * decade for factor in (1, 2, 2.5, 5, 10) if factor * decade >= raw * (1 - 1e-9))
    ticks: FloatVector = np.arange(np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9) + 1) * step
    return ticks


def line_chart(chart: Chart) -> Markup:
    """Draw a chart; several runs of a series are thin lines under their thick mean.

    A chart without a finite value says so in words.
    """
    ys = [y[np.isfinite(y)] for series in chart.series for _, y in series.runs]
    values = np.concatenate(ys) if ys else np.zeros(0)
    if len(values) == 0:
        return Markup('<p class="note">No values for “{}”.</p>').format(chart.title)
    xs = np.concatenate([x for series in chart.series for x, _ in series.runs])
    y_ticks = nice_ticks(*(chart.y_limits or (float(values.min()), float(values.max()))), count=6)
    x_ticks = nice_ticks(float(xs.min()), float(xs.max()), count=6)
    x_low, x_high = (float(xs.min()), float(xs.max())) if np.ptp(xs) else (float(x_ticks[0]), float(x_ticks[-1]))
    axes = _Axes((x_low, x_high), (float(y_ticks[0]), float(y_ticks[-1])))
    drawn = [_axes_markup(chart, axes, x_ticks, y_ticks)]
    drawn += [_series_markup(series, axes, number) for number, series in enumerate(chart.series) if series.runs]
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
    ).format(chart.title, _WIDTH, _HEIGHT, summary, Markup("").join(drawn), Markup("").join(keys))


@dataclass(frozen=True, slots=True)
class _Axes:
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, xs: FloatVector, ys: FloatVector) -> tuple[FloatVector, FloatVector]:
        """Values -> positions in the drawing."""
        across = (xs - self.x[0]) / (self.x[1] - self.x[0])
        up = (ys - self.y[0]) / (self.y[1] - self.y[0])
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)


def _axes_markup(chart: Chart, axes: _Axes, x_ticks: FloatVector, y_ticks: FloatVector) -> Markup:
    x_ticks = x_ticks[(x_ticks >= axes.x[0]) & (x_ticks <= axes.x[1])]
    across, _ = axes.place(x_ticks, np.full(len(x_ticks), axes.y[0]))
    _, up = axes.place(np.full(len(y_ticks), axes.x[0]), y_ticks)
    base = _HEIGHT - _BOTTOM
    parts = [
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
            '<text x="{3}" y="{2:.1f}" text-anchor="end" dominant-baseline="central">{4:g}</text>'
        ).format(_LEFT, _WIDTH - _RIGHT, y, _LEFT - 6, round(float(tick), 10))
        for tick, y in zip(y_ticks, up, strict=True)
    ]
    parts += [
        Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{:g}</text>').format(
            x, base + 15, round(float(tick), 10)
        )
        for tick, x in zip(x_ticks, across, strict=True)
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="middle" class="name">{}</text>').format(
            middle, _HEIGHT - 5, chart.x_label
        )
    )
    upright = (_TOP + base) / 2
    parts.append(
        Markup('<text transform="translate(11 {}) rotate(-90)" text-anchor="middle" class="name">{}</text>').format(
            upright, chart.y_label
        )
    )
    return Markup("").join(parts)


def _series_markup(series: Series, axes: _Axes, number: int) -> Markup:
    stroke, dash = _STROKES[number % len(_STROKES)]
    parts = []
    if len(series.runs) > 1:
        parts = [_line(axes, x, y, stroke=stroke, dash="", width=0.8, opacity=0.35) for x, y in series.runs]
    x, y = series.mean()
    if len(x) == 1:
        (cx,), (cy,) = axes.place(x, y)
        parts.append(Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.5" fill="{}"/>').format(cx, cy, stroke))
    elif len(x):
        # With one run the line itself keeps its gaps; the mean of several has none.
        x, y = series.runs[0] if len(series.runs) == 1 else (x, y)
        parts.append(_line(axes, x, y, stroke=stroke, dash=dash, width=2.2, opacity=1))
    return Markup("").join(parts)


def _line(
    axes: _Axes, xs: FloatVector, ys: FloatVector, *, stroke: str, dash: str, width: float, opacity: float
) -> Markup:
    commands, pen_down = [], False
    for x, y in zip(*axes.place(xs, ys), strict=True):
        if np.isfinite(y):
            commands.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
        pen_down = bool(np.isfinite(y))
    return Markup(
        '<path d="{}" fill="none" stroke="{}" stroke-dasharray="{}" stroke-width="{}" stroke-opacity="{}"'
        ' stroke-linejoin="round"/>'
    ).format(" ".join(commands), stroke, dash, width, opacity)
