"""The feature rows of a shapes layer: class and name of each shape, and which shapes form one outline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sam_mil_engine.errors import AnnotationError

if TYPE_CHECKING:
    import pandas as pd

_WITHOUT_AREA = frozenset({"line", "path"})


def outline_rows(kinds: Sequence[str], outlines: Sequence[Any], parts: Sequence[Any]) -> list[list[int]]:
    """Return the numbers of the shapes of each outline. Lines and paths are skipped.

    A copied shape carries the same outline and part as its original, and counts as an outline of its own.

    Parameters
    ----------
    kinds
        Type of each shape, as napari names it.
    outlines, parts
        Which outline each shape belongs to, and which part of it the shape is. A shape without them is its own
        outline.
    """
    found: dict[str, list[int]] = {}
    seen: set[tuple[str, str]] = set()
    for number, kind in enumerate(kinds):
        if kind in _WITHOUT_AREA:
            continue
        outline, part = (_text(column[number]) if number < len(column) else "" for column in (outlines, parts))
        own = not outline or (outline, part) in seen
        seen.add((outline, part))
        found.setdefault(f"shape {number}" if own else outline, []).append(number)
    return list(found.values())


def feature_rows(features: pd.DataFrame | Mapping[str, Any] | None, count: int) -> dict[str, Sequence[Any]]:
    """Return the columns of the features of ``count`` shapes.

    Raises
    ------
    AnnotationError
        If they do not have one row for each shape.
    """
    rows: dict[str, Sequence[Any]] = {}
    if features is not None:
        rows = {str(name): list(column) for name, column in features.items()}
    for name, column in rows.items():
        if len(column) != count:
            raise AnnotationError(
                f"the layer has {count} shapes but {len(column)} values of {name!r}, so the classes are ambiguous",
                hint="Copy the shapes into a new layer, and assign their classes there",
            )
    return rows


def feature_text(rows: Mapping[str, Sequence[Any]], name: str, number: int) -> str:
    """Return a feature of a shape as text; empty if there is none."""
    return _text(rows[name][number]) if name in rows else ""


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)
