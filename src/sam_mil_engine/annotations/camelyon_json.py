"""The JSON into which the CAMELYON16 annotations are often turned: positive and negative lists of outlines."""

from __future__ import annotations

from typing import Any

from .outlines import Reader

CLASSIFICATION = "Tumor"


def fits(content: object) -> bool:
    """Whether parsed JSON is of this format."""
    return isinstance(content, dict) and "positive" in content and "type" not in content


def read(reader: Reader, content: dict[str, Any]) -> None:
    """Add the outlines under ``positive`` as tumour, and take those under ``negative`` out of them."""
    for name, area in _areas(reader, content, "positive"):
        reader.add(name, CLASSIFICATION, area)
    reader.cut([area for _, area in _areas(reader, content, "negative")])


def _areas(reader: Reader, content: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    outlines = content.get(key, [])
    if not isinstance(outlines, list):
        raise reader.error("it is not a list", element=key)
    areas = []
    for number, outline in enumerate(outlines):
        if not isinstance(outline, dict) or "vertices" not in outline:
            raise reader.error("there are no vertices", element=f"{key}[{number}]")
        name = str(outline.get("name") or f"{key} {number}")
        with reader.each_shape():
            areas.append((name, reader.area(outline["vertices"], element=f"{key}[{number}] {name!r}")))
    return areas
