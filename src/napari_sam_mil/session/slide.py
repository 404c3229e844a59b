"""One open slide: its results, and the layers that show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari.layers import Layer

from ..analysis.prompting import RegionCache
from ..analysis.segment_table import Column, segment_table
from ..analysis.source import SlideSource
from ..layers.annotations import OUTLINES
from ..layers.results import LayerData, result_layers

if TYPE_CHECKING:
    from ..analysis.agreement import Agreement
    from ..analysis.finer import FinerMap
    from ..analysis.model import Analysis, ResolutionQuestion


@dataclass(eq=False, slots=True)
class SlideSession:
    """One open slide.

    Attributes
    ----------
    layer, source
        The layer that shows the slide, and the slide behind it.
    analysis
        The results so far, or None.
    layers
        Kind (:data:`~napari_sam_mil.layers.results.RESULT_KINDS`,
        :data:`~napari_sam_mil.layers.annotations.OUTLINES`, ``above``, ``measurements``, ``prompts``) -> the layer
        that shows it.
    agreement
        The comparison of the segments with the annotations, or None.
    colour_by
        Column of :meth:`table` that colours the segments; None gives each segment its own colour.
    regions
        Parts of the slide that a SAM has embedded.
    earlier
        The results before each manual edit, the latest last.
    question
        The step that waits for the resolution, and the question; None if no step waits.
    tissue_in_hand
        The user edits the outline of the tissue: its layer is left alone.
    finer
        The map of a part of the slide that *Finer map here* predicted, or None.
    on_disk
        The results in the project; ``analysis`` differs if there are unsaved edits.
    """

    layer: Layer
    source: SlideSource
    analysis: Analysis | None = None
    layers: dict[str, Layer] = field(default_factory=dict)
    agreement: Agreement | None = None
    colour_by: str | None = None
    regions: RegionCache = field(default_factory=RegionCache)
    earlier: list[Analysis] = field(default_factory=list)
    on_disk: Analysis | None = None
    tissue_in_hand: bool = False
    finer: FinerMap | None = None
    question: tuple[str, ResolutionQuestion] | None = None

    def outline_layers(self) -> list[Layer]:
        """Return the layers that hold outlines: the image, and the editable shapes."""
        return [self.layers[kind] for kind in OUTLINES if kind in self.layers]

    def table(self) -> dict[str, Column]:
        """Return the segment table, one row per segment; empty if there are no segments."""
        processed = None if self.analysis is None else self.analysis.processed
        if self.analysis is None or processed is None or processed.segments is None:
            return {}
        return segment_table(
            processed.segments,
            groups=processed.bag.groups if processed.bag is not None else None,
            scores=self.analysis.scores,
            comparison=None if self.agreement is None else self.agreement.comparison,
            others=None if self.agreement is None else self.agreement.others,
            names=self.analysis.names,
            mpp=self.source.mpp,
        )

    def result_layers(self, *, smooth: bool = False) -> dict[str, LayerData]:
        """Return layer data for all results; ``smooth`` interpolates the maps between patches."""
        if self.analysis is None:
            return {}
        processed, scores = self.analysis.processed, self.analysis.scores
        return result_layers(
            info=self.source.info,
            mpp=self.source.place,
            tissue=processed.tissue,
            segments=processed.segments,
            table=self.table(),
            grid=processed.grid,
            artefacts=None if processed.artefacts is None else processed.artefacts.map,
            scores=scores,
            segmenter=processed.segmenter,
            finer=self.finer,
            smooth=smooth,
        )
