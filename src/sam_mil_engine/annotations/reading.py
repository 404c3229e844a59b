"""Read annotations of any known program: the content decides, not the file's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from ..errors import AnnotationError
from ..slide.info import SlideInfo
from ..slide.place import SlidePlace
from . import asap, camelyon_json, dsa_json, geojson, imagescope, ndpa
from .json_items import load_json
from .model import Annotation
from .outlines import Reader, plane_name, shapes_summary
from .unpacking import unpack_file

_KNOWN = (
    "The supported formats are GeoJSON (QuPath), ASAP XML, ImageScope XML, HALO .annotations, NDPA, and "
    "JSON of the Digital Slide"
    " Archive and of CAMELYON; QuPath can export its annotations as GeoJSON"
)
_XML_STARTS = (b"<", b"\xff\xfe<", b"\xfe\xff\x00<")


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """What was read of an annotation file.

    Attributes
    ----------
    annotations
        In the order of the file.
    left_out
        Number of shapes that were left out, by their kind: points, lines, outlines without an area.
    repaired
        Number of repairs: outlines that cross themselves, holes outside their outline, parts that overlap.
    notes
        One sentence for each shape that was left out or repaired.
    plane
        Plane (z, t) of the slide that was read.
    """

    annotations: tuple[Annotation, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    repaired: int = 0
    notes: tuple[str, ...] = ()
    plane: tuple[int, int] = (0, 0)

    @property
    def summary(self) -> str:
        """What was left out and repaired, and the plane unless it is the first, in sentences; may be empty."""
        said = [shapes_summary(self.left_out, self.repaired)]
        if self.plane != (0, 0):
            said.append(f"The outlines lie on plane {plane_name(self.plane)}")
        return " ".join(f"{sentence}." for sentence in said if sentence)


def read_annotations(path: str | PathLike[str], *, info: SlideInfo | SlidePlace | None = None) -> list[Annotation]:
    """Read the polygons of an annotation file: :func:`read_annotation_file`, without what was left out.

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import sam_mil_engine as sme
    >>> with sme.open_slide("cohort/slides/synthetic-001.tiff") as slide:
    ...     annotations = sme.read_annotations("cohort/annotations/synthetic-001.geojson", info=slide.info)
    >>> annotations[0].classification, annotations[0].polygon.area > 0
    ('tumour', True)
    """
    return list(read_annotation_file(path, info=info).annotations)


def read_annotation_file(
    path: str | PathLike[str],
    *,
    info: SlideInfo | SlidePlace | None = None,
    plane: tuple[int, int] | None = (0, 0),
) -> AnnotationFile:
    """Read the polygons of an annotation file, in level-0 pixels, and what was left out or repaired.

    Shapes without an area (points, lines, rulers, accidental clicks) and shapes whose coordinates are not numbers
    are left out; outlines that cross themselves are repaired. Each is in the result's ``notes`` and in the log of
    ``sam_mil_engine.annotations``.

    Parameters
    ----------
    path
        GeoJSON as QuPath writes it, ASAP or ImageScope XML, HALO ``.annotations``, NDPA, JSON of the Digital Slide
        Archive or of CAMELYON16; also packed with gzip, or alone in a zip archive.
    info
        The slide, or its place. Some formats count from elsewhere than from the corner of the slide's file: without
        the slide, GeoJSON gives annotations that say they are not placed, and NDPA is refused.
    plane
        Plane (z, t) to read, of formats that have several. None: the first plane of the slide, or of the file where
        nothing lies on that.

    Raises
    ------
    AnnotationError
        Naming file, element and reason, if the file cannot be read, is malformed, is of no known format, or
        holds shapes of which none has an area. A file without any shape gives no annotation.
    """
    path = Path(path)
    reader = Reader(path, info.place if isinstance(info, SlideInfo) else info)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise reader.error(f"it cannot be read ({error.strerror})", hint="Check the path") from error
    data = unpack_file(reader, data)
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise reader.error("the file is empty")
    if text.startswith(_XML_STARTS):
        _read_xml(reader, data)
    else:
        _read_json(reader, data, plane)
    found = tuple(reader.finish())
    return AnnotationFile(
        annotations=found,
        left_out=Counter(reader.left_out),
        repaired=reader.repaired,
        notes=tuple(reader.notes),
        plane=reader.plane,
    )


def _read_xml(reader: Reader, data: bytes) -> None:
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(data)
    except DefusedXmlException as error:
        raise reader.error(
            f"it declares XML entities ({type(error).__name__}), which annotations never need",
            hint="Do not trust this file; ask for a new export",
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise reader.error(f"it is not well-formed XML ({error})") from error
    if root.tag == "ASAP_Annotations":
        asap.read(reader, root)
    elif root.tag == "Annotations":
        imagescope.read(reader, root)
    elif ndpa.fits(root):
        ndpa.read(reader, root)
    else:
        raise reader.error(f"the XML element <{root.tag}> is not in a known annotation format", hint=_KNOWN)


def _read_json(reader: Reader, data: bytes, plane: tuple[int, int] | None) -> None:
    try:
        content: Any = load_json(data)
    except UnicodeDecodeError as error:
        raise reader.error("it is neither XML nor text in UTF-8 or UTF-16", hint=_KNOWN) from error
    except (ValueError, RecursionError) as error:
        raise reader.error(f"it is not well-formed JSON ({error})") from error
    if camelyon_json.fits(content):
        camelyon_json.read(reader, content)
    elif geojson.fits(content):
        geojson.read(reader, content, plane=plane)
    elif dsa_json.fits(content):
        dsa_json.read(reader, content)
    else:
        raise AnnotationError("the JSON is not in a known annotation format", where=reader.path, hint=_KNOWN)
