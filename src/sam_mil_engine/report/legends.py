"""What explains an image: colour bars, keys and scale bars, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ..drawing.colours import RGB, css, legend_table
from ..geometry import Frame

_BAR_WIDTH, _BAR_HEIGHT, _BAR_STEPS = 260, 12, 64
_ROUND = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """A bar of a round length.

    Attributes
    ----------
    length_um
        Micrometres it stands for.
    pixels
        Its length on the image.
    label
        The length as one reads it: ``500 µm``, ``2 mm``.
    """

    length_um: float
    pixels: float
    label: str


def scale_bar(frame: Frame, mpp: tuple[float, float], width: int, *, share: float = 0.25) -> ScaleBar:
    """Return the longest bar of 1, 2 or 5 times a power of ten µm within ``share`` of an image's width."""
    um_per_pixel = float(frame.um_per_pixel(mpp)[0])
    room = um_per_pixel * width * share
    decade = 10.0 ** np.floor(np.log10(room))
    length = max(step * decade for step in _ROUND if step * decade <= room * (1 + 1e-9))
    label = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    return ScaleBar(length_um=float(length), pixels=float(length / um_per_pixel), label=label)


def colour_bar(
    colormap: str, limits: tuple[float, float], *, title: str, ticks: Sequence[tuple[float, str]] = ()
) -> Markup:
    """Draw a colour map with its title and ticks (value, text); texts are escaped.

    Ticks outside the limits are left out.
    """
    low, high = limits
    table = legend_table(colormap)
    step = _BAR_WIDTH / _BAR_STEPS
    parts = [
        Markup('<rect x="{:g}" y="16" width="{:g}" height="{}" fill="{}"/>').format(
            number * step, step + 0.5, _BAR_HEIGHT, css(table[round(number * 255 / (_BAR_STEPS - 1))])
        )
        for number in range(_BAR_STEPS)
    ]
    for value, text in ticks:
        share = 0.5 if high == low else (value - low) / (high - low)
        if not 0 <= share <= 1:
            continue
        x = share * _BAR_WIDTH
        anchor = "start" if share < 0.06 else "end" if share > 0.94 else "middle"
        parts.append(
            Markup(
                '<line x1="{0:.1f}" x2="{0:.1f}" y1="16" y2="32" stroke="currentColor"/>'
                '<text x="{0:.1f}" y="43" text-anchor="{1}">{2}</text>'
            ).format(x, anchor, text)
        )
    head = Markup('<text x="0" y="11" class="name">{}</text>').format(title)
    return Markup('<svg class="bar" viewBox="-1 0 {} 46" role="img" aria-label="{}">{}{}</svg>').format(
        _BAR_WIDTH + 2, f"Colour scale: {title}", head, Markup("").join(parts)
    )


def key(entries: Sequence[tuple[RGB, str, str]]) -> Markup:
    """Draw a key of (colour, text, kind), where kind is ``line`` or ``area``."""
    items = [
        Markup('<li><i class="{}" style="--c:{}"></i>{}</li>').format(kind, css(colour), text)
        for colour, text, kind in entries
    ]
    return Markup('<ul class="key">{}</ul>').format(Markup("").join(items))


def overlay(
    size: tuple[int, int], *, bar: ScaleBar | None = None, marks: Sequence[tuple[float, float, str]] = ()
) -> Markup:
    """Draw what lies over an image of (width, height): a scale bar and texts at (x, y).

    Coordinates are pixels of the image; text keeps a size that is read at any width of the page.
    """
    width, height = size
    if bar is None and not marks:
        return Markup("")
    font = max(width, height) / 30
    parts = [
        Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="middle" dominant-baseline="central">{}</text>').format(
            x, y, text
        )
        for x, y, text in marks
    ]
    if bar is not None:
        margin, thick = font * 0.8, font * 0.22
        x, y = width - margin - bar.pixels, height - margin
        parts.append(
            Markup(
                '<rect class="plate" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="{:.1f}"/>'
                '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
                '<text class="bare" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>'
            ).format(
                *(x - font * 0.5, y - font * 1.6, bar.pixels + font, font * 2.1, font * 0.25),
                *(x, y - thick, bar.pixels, thick),
                *(x + bar.pixels / 2, y - font * 0.5, bar.label),
            )
        )
    return Markup(
        '<svg class="over" viewBox="0 0 {} {}" aria-hidden="true" font-size="{:.1f}" stroke-width="{:.2f}">{}</svg>'
    ).format(width, height, font, font * 0.16, Markup("").join(parts))
