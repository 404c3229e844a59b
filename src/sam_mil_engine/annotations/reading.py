"""Read annotations of any known program: the content decides, not the file's name."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from ..errors import AnnotationError
from ..slide.info import SlideInfo
from . import asap, camelyon_json, geojson, imagescope
from .model import Annotation
from .outlines import Reader

_KNOWN = (
    "Known are GeoJSON (QuPath), ASAP XML, ImageScope XML, HALO .annotations and CAMELYON JSON;"
    " QuPath can export its annotations as GeoJSON"
)
_XML_STARTS = (b"<", b"\xff\xfe<", b"\xfe\xff\x00<")


def read_annotations(path: str | PathLike[str], *, info: SlideInfo | None = None) -> list[Annotation]:
    """Read the polygons of an annotation file, in level-0 pixels.

    Shapes without an area (points, lines, rulers) are left out, and each is named in the log of
    ``sam_mil_engine.annotations``; so is every self-crossing outline that was repaired.

    Parameters
    ----------
    path
        GeoJSON as QuPath writes it, ASAP or ImageScope XML, HALO ``.annotations``, or the JSON made of CAMELYON16.
    info
        The slide. Needed only for GeoJSON of slides that QuPath crops to their bounds (MIRAX above all).

    Raises
    ------
    AnnotationError
        Naming file, element and reason, if the file cannot be read, is malformed, is of no known format, or
        holds shapes of which none has an area. A file without any shape gives an empty list.
    """
    path = Path(path)
    reader = Reader(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise reader.error(f"it cannot be read ({error.strerror})", hint="Check the path") from error
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise reader.error("the file is empty")
    if text.startswith(_XML_STARTS):
        _read_xml(reader, data)
    else:
        _read_json(reader, data, info)
    return reader.finish()


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
    elif root.tag == "annotations" and root.find("ndpviewstate") is not None:
        raise reader.error(
            "NDPA keeps nanometres from the centre of the glass, and the slide does not say where that is",
            hint="Open the slide with its .ndpa in QuPath and export GeoJSON",
        )
    else:
        raise reader.error(f"the XML element <{root.tag}> is of no known annotation format", hint=_KNOWN)


def _read_json(reader: Reader, data: bytes, info: SlideInfo | None) -> None:
    try:
        content: Any = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise reader.error("it is neither XML nor UTF-8 text", hint=_KNOWN) from error
    except (ValueError, RecursionError) as error:
        raise reader.error(f"it is not well-formed JSON ({error})") from error
    if camelyon_json.fits(content):
        camelyon_json.read(reader, content)
    elif geojson.fits(content):
        geojson.read(reader, content, info=info)
    else:
        raise AnnotationError("the JSON is of no known annotation format", where=reader.path, hint=_KNOWN)
