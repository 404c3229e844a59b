"""One synthetic slide: plan, draw, stain, write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from shapely import Polygon

from ..annotations.geojson import write_geojson
from ..annotations.model import Annotation
from ..errors import SettingsError
from .canvas import connective_tissue
from .cells import populate
from .layout import plan
from .pyramid import write_pyramid
from .stain import Stain

#: Changes whenever the pixels that a seed gives change.
VERSION = 1
LABELS = ("normal", "tumour")


@dataclass(frozen=True, slots=True)
class SyntheticSlide:
    """A synthetic slide, and the truth about it.

    Attributes
    ----------
    path
        The TIFF.
    label
        ``normal`` or ``tumour``.
    size_px0, mpp
        Width and height, and µm per pixel.
    tissue_polygons, tumour_polygons
        Outlines in level-0 pixels; the centre of every tumour cell lies inside the latter.
    tumour_fraction
        Share of the tissue's area that is tumour.
    """

    path: Path
    label: str
    size_px0: tuple[int, int]
    mpp: float
    tissue_polygons: tuple[Polygon, ...]
    tumour_polygons: tuple[Polygon, ...]
    tumour_fraction: float


def description(*, seed: int, tumour: bool, size_px0: tuple[int, int], mpp: float) -> str:
    """Return what the TIFF says of itself (ImageDescription): enough to recognise the slide that is wanted."""
    return json.dumps(
        {
            "synthetic H&E": "not a real patient",
            "version": VERSION,
            "seed": seed,
            "label": LABELS[tumour],
            "size_px0": list(size_px0),
            "mpp": mpp,
        }
    )


def make_slide(
    path: Path,
    *,
    seed: int,
    tumour: bool,
    size_px0: tuple[int, int] = (4096, 3072),
    mpp: float = 0.5,
    annotations: Path | None = None,
) -> SyntheticSlide:
    """Make one slide and write it; the same arguments give the same pixels.

    Parameters
    ----------
    path
        The pyramidal TIFF to write; it appears whole or not at all.
    seed
        Number of the slide.
    tumour
        Whether it has tumour islands, which then take about 5 to 22 % of its tissue.
    size_px0, mpp
        Width and height in pixels, at least 512; µm per pixel, 0.2 to 2.
    annotations
        Where to write the tumour outlines as GeoJSON, or None.

    Raises
    ------
    SettingsError
        If the size or the mpp is out of range.
    ProjectError
        If the file cannot be written.
    """
    if min(size_px0) < 512 or not 0.2 <= mpp <= 2:
        raise SettingsError(
            f"a synthetic slide of {size_px0[0]} x {size_px0[1]} px at {mpp} µm per pixel cannot be drawn",
            hint="Sides of at least 512 px and 0.2 to 2 µm per pixel are possible",
        )
    place, stains, cells, finish = (np.random.default_rng([seed, int(tumour), part]) for part in range(4))
    layout = plan(place, size=size_px0, mpp=mpp, tumour=tumour)
    canvas = connective_tissue(cells, layout)
    populate(cells, canvas)
    image = Stain.random(stains).colour(*canvas.densities(finish), finish)
    if annotations is not None:
        outlines = enumerate(layout.tumour, start=1)
        drawn = [Annotation(f"tumour {k}", LABELS[1], outline) for k, outline in outlines]
        write_geojson(annotations, drawn, info=None)
    text = description(seed=seed, tumour=tumour, size_px0=size_px0, mpp=mpp)
    write_pyramid(path, image, mpp=mpp, description=text)
    tissue = sum(float(piece.area) for piece in layout.tissue)
    return SyntheticSlide(
        path=path,
        label=LABELS[tumour],
        size_px0=size_px0,
        mpp=mpp,
        tissue_polygons=layout.tissue,
        tumour_polygons=layout.tumour,
        tumour_fraction=sum(float(island.area) for island in layout.tumour) / tissue,
    )
