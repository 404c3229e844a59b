"""Tissue that a person drew or corrected, and outlines to which it is limited."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from ..errors import AnnotationError, SettingsError
from ..settings import ProcessSettings
from ..slide.info import SlideInfo
from ..slide.tissue_clip import cut_tissue
from ..slide.tissue_regions import TissueRegions
from .finding import annotation_files
from .masks import tissue_area
from .model import Annotation, Area, as_area, polygons_of, union_px0
from .reading import read_annotations
from .tissue_masks import MASK_ENDINGS, read_tissue_mask

#: Class of tissue in files: where a file has outlines of this class, the others are no tissue.
TISSUE_CLASS = "Tissue"
#: Class of what is cut out of the tissue while it is drawn; files have polygons with holes.
HOLE_CLASS = "Hole"
#: Endings of files that may lie beside outlines and are none.
_NO_OUTLINES = frozenset({".jpg", ".jpeg", ".csv", ".txt", ".md"})
#: Outlines that are, on average, not further apart are the same, in level-0 pixels.
_SAME_PX0 = 0.05


@dataclass(frozen=True, slots=True)
class DrawnTissue:
    """What a person drew of one slide; None where nothing was drawn.

    Attributes
    ----------
    tissue
        The tissue, in the place of what would be found.
    inside, outside
        Areas in level-0 pixels: only tissue inside the one, and none inside the other, counts.
    """

    tissue: TissueRegions | None = None
    inside: Area | None = None
    outside: Area | None = None

    def cut(self, tissue: TissueRegions) -> TissueRegions:
        """Limit tissue to what was outlined."""
        if self.inside is None and self.outside is None:
            return tissue
        return cut_tissue(tissue, inside=self.inside, outside=self.outside, how="cut to outlines")

    @property
    def key(self) -> tuple[str, ...]:
        """A hash of each of the three; nothing where nothing was drawn."""
        areas = (None if self.tissue is None else tissue_area(self.tissue), self.inside, self.outside)
        if areas == (None, None, None):
            return ()
        return tuple("" if area is None else _hash(area) for area in areas)


#: Nothing was drawn: the tissue is found, and all of it counts.
NOTHING_DRAWN = DrawnTissue()


def drawn_tissue(info: SlideInfo, slide_id: str, *, tissue: Path | None, settings: ProcessSettings) -> DrawnTissue:
    """Read what a person drew of a slide.

    Parameters
    ----------
    info, slide_id
        The slide and its name.
    tissue
        File of its tissue, or None.
    settings
        Which outlines limit the tissue, and where they are.

    Raises
    ------
    AnnotationError
        If a file cannot be read, or there are no outlines inside which the tissue should lie.
    """
    if not settings.only_inside and not settings.not_inside:
        return NOTHING_DRAWN if tissue is None else DrawnTissue(read_tissue_file(tissue, info))
    folder = Path(settings.annotations or ".")
    file = None if settings.annotations is None else tissue_files(folder).get(slide_id)
    outlines = [] if file is None else read_annotations(file, info=info)
    inside, outside = (of_classes(outlines, names) for names in (settings.only_inside, settings.not_inside))
    if settings.only_inside and not inside:
        classes = sorted({one.classification or "no class" for one in outlines})
        raise AnnotationError(
            f"there is no outline of {' or '.join(settings.only_inside)}"
            + (f"; its classes are {', '.join(classes)}" if classes else f" for the slide {slide_id}"),
            where=file or folder,
            hint="Name a class of --only-inside as the file does, and give each slide a file in the folder of"
            " --annotations",
            window_hint="Name a class as the file of outlines does, and give each slide such a file",
        )
    if file is not None and settings.not_inside and not outside:
        warnings.warn(f"{slide_id}: {file.name} has no outline of {' or '.join(settings.not_inside)}", stacklevel=2)
    return DrawnTissue(
        tissue=None if tissue is None else read_tissue_file(tissue, info),
        inside=union_px0(inside) if inside else None,
        outside=union_px0(outside) if outside else None,
    )


def _hash(area: Area) -> str:
    normal = shapely.normalize(area)
    points = np.round(shapely.get_coordinates(normal), 2) + 0.0
    return hashlib.sha256(points.tobytes()).hexdigest()[:12]


def same_tissue(one: TissueRegions, other: TissueRegions) -> bool:
    """Whether two tissues are equal but for the rounding of files."""
    first, second = tissue_area(one), tissue_area(other)
    border = first.length + second.length
    return bool(shapely.symmetric_difference(first, second).area <= _SAME_PX0 * border)


def tissue_annotations(tissue: TissueRegions) -> list[Annotation]:
    """Return pieces of tissue as annotations of the class ``Tissue``."""
    return [
        Annotation(name=f"Tissue {number}", classification=TISSUE_CLASS, polygon=shapely.Polygon(outer, holes))
        for number, (outer, holes) in enumerate(tissue.polygons_px0, start=1)
    ]


def tissue_of_shapes(shapes: Sequence[Annotation]) -> TissueRegions:
    """Return the tissue that was drawn shape by shape: one of the class ``Hole`` cuts, any other one adds.

    Shapes lie over those before them, so that tissue that is drawn into a hole counts.

    Raises
    ------
    SettingsError
        If there is no shape, or the holes leave no tissue.
    """
    if not shapes:
        raise SettingsError("the tissue layer has no outline", hint="Draw the tissue as polygons, then try again")
    area: Area = shapely.Polygon()
    for shape in shapes:
        change = shapely.difference if shape.classification == HOLE_CLASS else shapely.union
        area = as_area(change(area, shape.polygon))
    if area.is_empty:
        raise SettingsError("the holes leave no tissue", hint="Draw tissue, or remove holes, then try again")
    return TissueRegions.of(polygons_of(area), method="drawn")


def tissue_files(folder: Path) -> dict[str, Path]:
    """Slide -> file of its tissue in a folder: outlines in any known format, or a mask as PNG or TIFF.

    Raises
    ------
    AnnotationError
        If the folder cannot be read.
    """
    found = annotation_files(folder)
    return {name: path for name, path in found.items() if path.suffix.lower() not in _NO_OUTLINES}


def read_tissue_file(path: Path, info: SlideInfo) -> TissueRegions:
    """Read the tissue of a slide from outlines in any known format, or from a mask.

    Parameters
    ----------
    path
        Outlines: those of the class ``Tissue``, or all where none has it. Or a mask of the whole slide, PNG or TIFF
        (:func:`~sam_mil_engine.annotations.tissue_masks.read_tissue_mask`).
    info
        The slide.

    Returns
    -------
    TissueRegions
        Its method is ``drawn``.

    Raises
    ------
    AnnotationError
        If the file cannot be read, or holds no area.
    """
    if path.suffix.lower() in MASK_ENDINGS:
        area: Area = read_tissue_mask(path, info)
    else:
        found = read_annotations(path, info=info)
        tissue = of_classes(found, [TISSUE_CLASS])
        area = union_px0(tissue or found)
    if area.is_empty:
        raise AnnotationError("it holds no tissue", where=path, hint="Draw the tissue, or leave this slide out")
    if not area.intersects(shapely.box(0, 0, *info.size_px0)):
        width, height = info.size_px0
        raise AnnotationError(
            f"its outlines lie outside the slide of {width} x {height} px",
            where=path,
            hint="Save the outlines in pixels of the slide in full resolution",
        )
    return TissueRegions.of(polygons_of(area), method="drawn")


def of_classes(annotations: Iterable[Annotation], classes: Sequence[str]) -> list[Annotation]:
    """Return the annotations of some classes; case and spaces at the ends do not count."""
    wanted = {_plain(name) for name in classes}
    return [one for one in annotations if _plain(one.classification or "") in wanted]


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the classes of the outlines in a folder, in alphabetical order; case and outer spaces do not count.

    Files that cannot be read are left out here: whoever uses the outlines of such a slide gets the error.

    Raises
    ------
    AnnotationError
        If the folder cannot be read.
    """
    found: dict[str, str] = {}
    for path in tissue_files(folder).values():
        if path.suffix.lower() in MASK_ENDINGS:
            continue
        try:
            annotations = read_annotations(path)
        except AnnotationError:
            continue
        for one in annotations:
            if name := (one.classification or "").strip():
                found.setdefault(_plain(name), name)
    return tuple(found[key] for key in sorted(found))


def _plain(name: str) -> str:
    """By this, classes are the same."""
    return name.strip().casefold()
