"""Predict slides or bags with a trained model and write what a person or another program can use."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..annotations.geojson import write_geojson
from ..annotations.masks import segment_annotations
from ..annotations.model import Annotation
from ..bag import h5
from ..bag.feature_bag import FeatureBag
from ..bag.names import safe_name
from ..bag.native import name_of_bag
from ..bag.place import read_slide_place
from ..drawing.colours import ATTENTION_MAP, PROBABILITY_MAP
from ..drawing.images import attention_limit, draw_map, save_image, soften
from ..errors import Cancelled, SamMilError
from ..mil.score_files import save_scores
from ..mil.scores import SlideScores
from ..ngff import write_ome_zarr
from ..process.job import Tools
from ..process.results import SlideResult
from ..process.runner import process_slide
from ..progress import Progress, ProgressCallback, silent
from ..segment.segments import Segments
from ..settings import ProcessSettings, SegmentSettings, TileSettings
from ..slide.info import slide_id_of
from ..slide.reader import open_slide
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import TissueRegions
from .candidates import candidates_for

_log = logging.getLogger(__name__)
_IMAGE_SIDE = 2048
#: Two resolutions that differ less than this are the same.
SAME_MPP = 0.03

if TYPE_CHECKING:
    from ..training.checkpoint import TrainedModel


@dataclass(frozen=True, slots=True)
class Prediction:
    """The scores of one slide or bag."""

    scores: SlideScores

    def summary(self) -> str:
        """Return one line for the user."""
        return f"{self.scores.predicted} ({float(self.scores.probabilities.max()):.3f})"

    def row(self) -> dict[str, object]:
        """Return one line of ``predictions.csv``."""
        chances = zip(self.scores.classes, self.scores.probabilities.tolist(), strict=True)
        return {
            "slide_id": self.scores.slide_id,
            **{f"p_{name}": chance for name, chance in chances},
            "predicted": self.scores.predicted,
            "threshold": self.scores.threshold,
            "patch_probabilities": self.scores.calibrated,
            "model": self.scores.attrs["model"],
            "domain_distance": self.scores.domain_distance,
            "outside": self.scores.warning is not None,
        }


def settings_for(
    model: TrainedModel,
    *,
    source_mpp: float | None = None,
    slide_mpp: tuple[float, float] | None = None,
    segmenter: str | None = None,
    encoder: str | None = None,
    preset: str | None = None,
    kept: ProcessSettings | None = None,
) -> ProcessSettings:
    """Return the settings of preprocessing that make the bags which ``model`` expects.

    Parameters
    ----------
    source_mpp
        Micrometres per level-0 pixel, for a slide that does not say.
    slide_mpp
        What the slide says; where that is what the model expects, patches are read as they are, not resampled.
    segmenter, encoder, preset
        What the user chose; taken from the model, or from ``kept``, where None.
    kept
        Settings of an existing project that is continued: patch size, resolution and encoder follow the model,
        all else stays.

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import sam_mil_engine as sme
    >>> settings = sme.settings_for(sme.load_model("study/runs/first", device="cpu"))
    >>> settings.tiles.patch_size, settings.tiles.mpp, settings.features.encoder
    (128, 0.5, 'efficientnet-lite0')
    """
    expects = model.expects
    base = kept or ProcessSettings(segments=expects.segments(SegmentSettings()))
    segments = base.segments
    if segmenter is not None and segmenter != segments.segmenter:
        fresh = SegmentSettings(segmenter=segmenter)
        segments = segments.model_copy(
            update={"segmenter": segmenter, "superpixels": fresh.superpixels, "cuts": fresh.cuts}
        )
    read_at = slide_mpp if base.tiles.mpp is None else (base.tiles.mpp, base.tiles.mpp)
    mpp = expects.mpp
    if mpp is not None and read_at is not None and all(abs(one / mpp - 1) < SAME_MPP for one in read_at):
        mpp = base.tiles.mpp
    return base.model_copy(
        update={
            "preset": preset or base.preset,
            "tissue": base.tissue if preset is None else None,
            "tiles": TileSettings.of(
                patch_size=expects.patch_size,
                mpp=mpp,
                source_mpp=source_mpp,
                overlap=min(base.tiles.overlap, (expects.patch_size or base.tiles.patch_size) - 1),
                artefacts=base.tiles.artefacts,
                rule=base.tiles.rule,
            ),
            "segments": segments,
            "features": base.features.model_copy(
                update={"encoder": encoder or expects.encoder or base.features.encoder}
            ),
        }
    )


def predict_paths(
    models: Sequence[TrainedModel],
    paths: Sequence[Path],
    out: Path,
    *,
    settings: ProcessSettings | None = None,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> Iterator[SlideResult[Prediction]]:
    """Predict each slide or bag and write its files into ``out``; one that fails does not stop the others.

    Parameters
    ----------
    models
        The trained model; of several, each slide gets the one that fits best.
    paths
        Slides, which are processed into the project ``out/project`` first, or bags (``*.h5``).
    settings
        How slides are processed; as the first model expects where None. Where another fits better, patch size,
        resolution and encoder are those that it expects.
    """
    from .slide import best_fit, predict

    base = settings or settings_for(models[0])
    tools = _ToolsOfModels(models[0], base, device=device)
    for number, path in enumerate(paths):
        progress(Progress("predict", number, len(paths), unit="slides", message=path.name))
        slide_id = name_of_bag(path) if path.suffix == ".h5" else slide_id_of(path)
        try:
            bag_path, fitting = path, models
            if path.suffix != ".h5":
                fitting = candidates_for(models, path, tools.settings_of, device=device)
                own = tools.of(fitting[0])
                bag_path = process_slide(path, out / "project", tools=own, progress=progress).bag_path
            bag = h5.read_bag(bag_path)
            scores = predict(best_fit(fitting, bag), bag)
            write_prediction(scores, bag, bag_path, out)
        except Cancelled:
            raise
        except SamMilError as error:
            yield SlideResult(slide_id, path, error=error)
        else:
            yield SlideResult(slide_id, path, Prediction(scores))
    progress(Progress("predict", len(paths), len(paths), unit="slides"))


class _ToolsOfModels:
    """Settings and tools for the slides of several models: those given are meant for the first of them."""

    def __init__(self, first: TrainedModel, base: ProcessSettings, *, device: str):
        self._first, self._base, self._device = first, base, device
        self._tools: dict[ProcessSettings, Tools] = {}

    def settings_of(self, model: TrainedModel) -> ProcessSettings:
        """Return the given settings where the model expects the same patches as the first, else what it expects."""
        if model.expects.same_patches(self._first.expects):
            return self._base
        segments = self._base.segments
        if segments == self._first.expects.segments(segments):
            segments = model.expects.segments(segments)
        return settings_for(
            model,
            kept=self._base.model_copy(update={"segments": segments}),
            source_mpp=self._base.tiles.source_mpp,
        )

    def of(self, model: TrainedModel) -> Tools:
        """Return the tools for the model's slides; made once for equal settings."""
        settings = self.settings_of(model)
        if settings not in self._tools:
            self._tools[settings] = Tools(settings, device=self._device)
        return self._tools[settings]


def write_prediction(scores: SlideScores, bag: FeatureBag, bag_path: Path, out: Path) -> None:
    """Write one slide's tables, its groups as GeoJSON, and its maps as OME-Zarr and PNG.

    The maps need the patch grid of the bag file, the GeoJSON its masks; a bag from elsewhere may have neither.
    """
    save_scores(scores, out)
    segments, grid = h5.read_segments(bag_path), h5.read_grid(bag_path)
    if segments is not None and bag.groups is not None:
        outlines, properties = group_annotations(scores, bag, segments)
        write_geojson(
            out / f"{scores.slide_id}.groups.geojson",
            outlines,
            info=read_slide_place(bag_path),
            properties=properties,
        )
    if grid is not None:
        _write_maps(scores, grid, bag, out, tissue=h5.read_tissue(bag_path))


def group_annotations(
    scores: SlideScores, bag: FeatureBag, segments: Segments
) -> tuple[list[Annotation], list[dict[str, Any]]]:
    """Outlines of the groups in level-0 pixels, and their scores as properties; empty where there are no groups."""
    groups, table = bag.groups, scores.groups
    if groups is None or table is None:
        return [], []
    properties = []
    for number in range(len(groups)):
        values: dict[str, Any] = {
            "group": number,
            "patches": int(groups.sizes[number]),
            "attention_mass": float(table.attention_mass[number]),
        }
        for c, name in enumerate(scores.classes):
            values[f"p_{name}"] = float(table.mean_probability[number, c])
            values[f"evidence_{name}"] = float(table.evidence[number, c])
            without = float(table.probability_without[number, c])
            values[f"p_{name}_without"] = None if np.isnan(without) else without
            if table.probability_only is not None:
                values[f"p_{name}_only"] = float(table.probability_only[number, c])
        properties.append(values)
    return segment_annotations(segments, groups.segment_of_group.tolist()), properties


def _write_maps(
    scores: SlideScores, grid: TileGrid, bag: FeatureBag, out: Path, *, tissue: TissueRegions | None
) -> None:
    maps: dict[str, Any] = {}
    if scores.relative_attention is not None:
        maps["attention"] = scores.relative_attention
    for c, name in enumerate(scores.classes):
        maps[f"p_{name}"] = scores.patch_probability[:, c]
        if scores.evidence is not None:
            maps[f"evidence_{name}"] = scores.evidence[:, c]
    rasters = [grid.raster(values) for values in maps.values()]
    mpp = bag.attrs.get("mpp")
    write_ome_zarr(
        out / f"{scores.slide_id}.maps.ome.zarr",
        np.stack([image for image, _ in rasters]),
        frame=rasters[0][1],
        mpp=None if mpp is None else (float(mpp[0]), float(mpp[1])),
        name="SAM-MIL maps",
        channels=list(maps),
    )
    slide = bag.attrs.get("slide_path")
    if slide is None or not Path(str(slide)).exists():
        reason = (
            "the bag does not say where its slide is" if slide is None else f"the slide is no longer at {slide}"
        )
        _log.warning("%s: %s, so its maps are not drawn over it", scores.slide_id, reason)
        return
    with open_slide(str(slide)) as opened:
        image, frame = opened.thumbnail(_IMAGE_SIDE)
    drawn = {f"p_{scores.classes[-1]}": (PROBABILITY_MAP, (0.0, 1.0))}
    if "attention" in maps:
        drawn["attention"] = (ATTENTION_MAP, (0.0, attention_limit(maps["attention"])))
    for name, (colormap, limits) in drawn.items():
        overlay = draw_map(
            soften(image), frame, grid.coords_px0, grid.size_px0, maps[name], colormap=colormap, limits=limits
        )
        save_image(out / f"{scores.slide_id}.{safe_name(name)}.png", overlay)
