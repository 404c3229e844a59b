"""What a report says, as plain data; ``page.py`` turns it into HTML, ``project.py`` finds it on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..drawing.images import Polygon, RgbImage
from ..errors import SamMilError
from ..geometry import Frame
from ..mil.scores import SlideScores
from ..segment.groups import Groups
from ..segment.segments import Segments
from ..slide.info import SlideInfo
from ..slide.place import UNKNOWN_PLACE, SlidePlace
from ..slide.tissue_regions import TissueRegions
from .charts import Chart

Mark = Literal["", "right", "wrong", "warn"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Attributes
    ----------
    text
        What is read; escaped when drawn.
    sort
        What the column is sorted by: a number or a text; None sorts last.
    mark
        How it is set off.
    swatch
        A CSS colour shown before the text, or an empty string.
    link
        Name of an element of the page that the text leads to, or an empty string.
    """

    text: str
    sort: float | str | None = None
    mark: Mark = ""
    swatch: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """Head of a column: its name, its unit and what it means; numbers stand right, ``long`` texts wrap."""

    name: str
    unit: str = ""
    help: str = ""
    numeric: bool = True
    long: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose columns can be sorted by a click.

    Attributes
    ----------
    title, note
        Above and below the table.
    columns, rows
        Every row has one cell per column.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise SamMilError(
                    f"row {number} has {len(row)} cells for {len(self.columns)} columns", where=self.title
                )


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its mean, and over ``count`` > 1 runs its standard deviation; ``interval`` is 95%."""

    mean: float
    sd: float | None = None
    count: int = 1
    interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Metric:
        """Mean and sample standard deviation of the finite values; NaN where there is none."""
        finite = np.asarray([value for value in values if np.isfinite(value)], dtype=np.float64)
        if len(finite) == 0:
            return cls(mean=float("nan"), count=0)
        sd = float(finite.std(ddof=1)) if len(finite) > 1 else None
        return cls(mean=float(finite.mean()), sd=sd, count=len(finite))


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """The metrics of one model: name of the metric (``auc``, ``accuracy`` ...) -> :class:`Metric`."""

    model: str
    metrics: tuple[tuple[str, Metric], ...]


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One row of the predictions: a slide that the model had not seen.

    Attributes
    ----------
    slide_id, label, predicted
        Names; ``label`` is None where the truth is not known.
    probability
        Of ``positive``.
    positive
        The class that the probability belongs to.
    run
        Which fold or seed, where there are several.
    """

    slide_id: str
    label: str | None
    probability: float
    predicted: str
    positive: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class SlideSection:
    """Everything to be shown of one slide; what is None is left out of the page.

    Attributes
    ----------
    slide_id
        Name of the slide.
    image, frame
        An image of the whole slide and where it lies; None where the slide file is gone.
    info
        Facts of the file.
    mpp
        Micrometres per level-0 pixel (x, y).
    place
        Where annotations of other programs lie on the slide, as far as the bag says it.
    tissue, segments, groups
        Results of preprocessing.
    coords_px0, patch_size_px0
        (N, 2) patches, and their width and height in level-0 pixels.
    scores
        The prediction.
    label
        The true class.
    annotation
        Polygons of the annotated class.
    agreement
        (L,) share of every group's area that is annotated, 0 to 1.
    comparison
        (name, value) rows comparing prediction and annotation.
    notes
        What the reader must know: what is missing, and why.
    """

    slide_id: str
    image: RgbImage | None = None
    frame: Frame | None = None
    info: SlideInfo | None = None
    mpp: tuple[float, float] | None = None
    place: SlidePlace = UNKNOWN_PLACE
    tissue: TissueRegions | None = None
    segments: Segments | None = None
    groups: Groups | None = None
    coords_px0: npt.NDArray[np.int32] | None = None
    patch_size_px0: tuple[float, float] | None = None
    scores: SlideScores | None = None
    label: str | None = None
    annotation: tuple[Polygon, ...] = ()
    agreement: npt.NDArray[np.floating] | None = None
    comparison: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shown_class(self) -> int:
        """Number of the class whose probability is shown: the second of two, the most probable of more."""
        if self.scores is None:
            return 0
        return 1 if len(self.scores.classes) == 2 else int(self.scores.probabilities.argmax())


@dataclass(frozen=True, slots=True)
class PatchImage:
    """One patch as it is on the slide: RGB pixels, the slide it is of, its corner, and its value in words."""

    rgb: RgbImage
    slide_id: str
    corner_px0: tuple[int, int]
    value: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Patches side by side: the ``most`` or ``least`` attended ones of the slides of a class."""

    title: str
    kind: Literal["most", "least"]
    of_class: str
    patches: tuple[PatchImage, ...]


@dataclass(frozen=True, slots=True)
class QualityItem:
    """A slide at a glance.

    Attributes
    ----------
    slide_id, facts
        Name, and counts in words.
    warnings
        What looks wrong, the worst first.
    concern
        How much of it there is: 0 is nothing.
    thumbnail
        The slide with its tissue and patches, where it is shown.
    """

    slide_id: str
    facts: str = ""
    warnings: tuple[str, ...] = ()
    concern: float = 0.0
    thumbnail: RgbImage | None = None

    def with_thumbnail(self, thumbnail: RgbImage | None) -> QualityItem:
        """Return the same slide with an image."""
        return replace(self, thumbnail=thumbnail)


@dataclass(frozen=True, slots=True)
class ReportContent:
    """A whole report.

    Attributes
    ----------
    title, subtitle
        Head of the page.
    date
        When it was made, as it is to be read.
    facts
        (name, value) at the head: what was run on what.
    settings
        (name, value): the resolved settings and versions.
    metrics
        Metrics of every model.
    charts
        Training curves.
    curves
        What the predictions are worth: ROC, precision and recall, calibration, lesions, patch scores.
    strips
        Most and least attended patches of every class.
    predictions
        Slides that the model had not seen.
    quality
        The slides of a project at a glance, worst first.
    tables
        Further tables, such as the list of processed slides.
    slides
        One section each, in this order.
    notes
        What the reader must know of the whole.
    """

    title: str
    date: str
    subtitle: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    metrics: tuple[ModelMetrics, ...] = ()
    charts: tuple[Chart, ...] = ()
    curves: tuple[Chart, ...] = ()
    strips: tuple[Strip, ...] = ()
    predictions: tuple[PredictionRow, ...] = ()
    quality: tuple[QualityItem, ...] = ()
    tables: tuple[Table, ...] = ()
    slides: tuple[SlideSection, ...] = ()
    notes: tuple[str, ...] = ()
