"""The outlines of an open slide, in an image layer or as editable shapes. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sam_mil_engine.errors import DataError

from ..analysis.agreement import UNCLASSIFIED
from ..layers.annotations import (
    CLASS,
    MOST_SHAPES,
    NAME,
    OUTLINE,
    PART,
    editable,
    outline_image_layer,
    shape_annotations,
    shapes_layer,
)
from ..layers.outline_features import outline_rows
from ..layers.outline_image import annotations_of_image
from ..layers.results import LayerData

if TYPE_CHECKING:
    from napari.layers import Layer

    from sam_mil_engine.annotations.model import Annotation

    from .slide import SlideSession

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class SlideOutlines:
    """The outlines of a slide, and how they are shown.

    Attributes
    ----------
    many
        Outlines that are shown as an image, which cannot be edited.
    shapes
        Outlines that are shown as shapes.
    """

    many: tuple[Annotation, ...] = ()
    shapes: tuple[Annotation, ...] = ()

    @property
    def all(self) -> list[Annotation]:
        """All outlines."""
        return [*self.many, *self.shapes]

    def with_added(self, found: Sequence[Annotation]) -> SlideOutlines:
        """Add outlines: as shapes if all of them can then be edited, else to the image."""
        if not self.many and editable([*self.shapes, *found]):
            return SlideOutlines((), (*self.shapes, *found))
        return SlideOutlines((*self.many, *found), self.shapes)

    def made_editable(self, classification: str | None, bounds_px0: Bounds | None, what: str) -> SlideOutlines:
        """Move some outlines from the image to the shapes.

        Parameters
        ----------
        classification
            Only this class; all classes if None.
        bounds_px0
            Only outlines that overlap this window (left, top, right, bottom); all if None.
        what
            Description of the choice for the message, for example ``in view``.

        Raises
        ------
        DataError
            If there are none, or too many to be edited.
        """
        chosen = [
            item
            for item in self.many
            if (classification is None or (item.classification or UNCLASSIFIED) == classification)
            and (bounds_px0 is None or _overlap(item.polygon.bounds, bounds_px0))
        ]
        if not chosen:
            raise DataError(f"no outline of the image is {what}", hint="Move to an outline, or choose a class")
        if not editable([*self.shapes, *chosen]):
            raise DataError(
                f"{len(chosen):,} outlines are {what}, but only about {MOST_SHAPES} can be edited at once",
                hint="Zoom in until fewer outlines are in view, and choose those in view",
            )
        snapshot_outlines = set(map(id, chosen))
        return SlideOutlines(
            tuple(item for item in self.many if id(item) not in snapshot_outlines), (*self.shapes, *chosen)
        )

    def layers(self, session: SlideSession) -> dict[str, LayerData]:
        """Return kind -> layer for these outlines. It is slow for thousands of outlines."""
        info, mpp = session.source.info, session.source.place
        found: dict[str, LayerData] = {}
        if self.many:
            found["outlines"] = outline_image_layer(self.many, info, mpp=mpp)
        if self.shapes or not self.many:
            found["annotations"] = shapes_layer(self.shapes, info, mpp=mpp)
        return found


def snapshot_outlines(session: SlideSession) -> Callable[[], SlideOutlines]:
    """Copy the current state of the outline layers; the returned function converts it to outlines in any thread."""
    held = {kind: session.layers[kind] for kind in ("outlines", "annotations") if kind in session.layers}
    states = {kind: _state(layer) for kind, layer in held.items()}
    mpp = session.source.place

    def make() -> SlideOutlines:
        found = {kind: tuple(shape_annotations(data, meta, mpp=mpp)) for kind, (data, meta) in states.items()}
        return SlideOutlines(found.get("outlines", ()), found.get("annotations", ()))

    return make


def classes_of(layer: Layer) -> list[str]:
    """Return the class of every outline of a layer, one per outline as it is compared and saved."""
    behind = annotations_of_image(layer.data)
    if behind is not None:
        return [item.classification or UNCLASSIFIED for item in behind]
    features = layer.features
    columns = (list(features.get(name, ())) for name in (OUTLINE, PART))
    rows_of_outlines = outline_rows(layer.shape_type[: len(features)], *columns)
    return [str(features[CLASS][rows[0]]) for rows in rows_of_outlines]


def shape_text_at(layer: Layer, position_world: Sequence[float]) -> str | None:
    """Return class and name of the shape at a point: ``class: Tumour, name: core A``; empty if there is none.

    Without it, napari shows the number of the shape, or ``[, ]`` between shapes. None if the layer holds no shapes.
    """
    from napari.layers import Shapes

    if not isinstance(layer, Shapes):
        return None
    found = layer.get_value(position_world, world=True)
    number = None if found is None else found[0]
    if number is None or number >= len(layer.features):
        return ""
    row = layer.features.iloc[number]
    return ", ".join(f"{name}: {row[name]}" for name in (CLASS, NAME) if row.get(name))


def same_objects(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two sequences hold the same objects. Equality would compare all numbers of the results."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _state(layer: Layer) -> tuple[Any, dict[str, Any]]:
    data, meta, _ = layer.as_layer_data_tuple()
    if annotations_of_image(data) is None:
        data = [np.array(vertices) for vertices in data]
    return data, meta | {"features": meta["features"].copy()}


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and one[1] < other[3] and one[2] > other[0] and one[3] > other[1]
