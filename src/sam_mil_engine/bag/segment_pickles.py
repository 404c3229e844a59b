"""SAM-MIL's ``Segments/SLIDE.pkl`` (Fang et al. 2024, the code released with it), in and out.

A list: first a dictionary that says where the image lies (``start_x``, ``start_y``, ``stop_x``, ``stop_y``,
``w``, ``h`` in level-0 pixels; ``vis_level`` and ``downsample_ratio``: the image is the box at that level, made
smaller by the ratio), then SAM's own dictionaries, one per mask, whose ``segmentation`` is as large as the image.
A file may hold several pickles, one after the other. The released code takes whole downsamples; so does this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BagError, values_of
from ..geometry import Frame
from ..segment.segments import Segments
from .pickles import load_pickles, save_pickle

_HINT = "Export the segments again with SAM-MIL's first script"
_FRAME = ("start_x", "start_y", "stop_x", "stop_y", "vis_level", "downsample_ratio")


@dataclass(frozen=True, slots=True)
class PickledSegments:
    """Segments of a file, and the number that each had in it: empty masks are left out."""

    segments: Segments
    numbers: npt.NDArray[np.int32]


def read_pickled_segments(
    path: Path, *, level_downsamples: Sequence[tuple[float, float]] | None = None
) -> PickledSegments:
    """Read the segments of a slide.

    Parameters
    ----------
    path
        The file.
    level_downsamples
        Of the slide. Without them, the downsample of a level follows from the size of the masks.

    Raises
    ------
    BagError
        If the file is not such a list, its masks differ in size, or it holds more than one image.
    """
    with values_of(BagError, where=path, hint=_HINT):
        return _read(path, level_downsamples)


def _read(path: Path, level_downsamples: Sequence[tuple[float, float]] | None) -> PickledSegments:
    info, masks = _parts(load_pickles(path), path)
    shapes = {_mask(item, path).shape for item in masks}
    if len(shapes) > 1:
        raise BagError(f"its masks differ in size: {sorted(shapes)}", where=path, hint=_HINT)
    factor = _downsample(info, next(iter(shapes), None), level_downsamples)
    height, width = next(iter(shapes), None) or tuple(
        max(1, int((info[f"stop_{axis}"] - info[f"start_{axis}"]) / factor)) for axis in "yx"
    )
    kept = [number for number, item in enumerate(masks) if _mask(item, path).any()]
    segments = Segments.from_masks(
        [_mask(masks[number], path) for number in kept],
        frame=Frame((float(info["start_x"]), float(info["start_y"])), (float(factor), float(factor))),
        size_raster=(width, height),
        predicted_iou=[float(masks[number].get("predicted_iou", 1.0)) for number in kept],
        stability=[float(masks[number].get("stability_score", 1.0)) for number in kept],
    )
    return PickledSegments(segments, np.asarray(kept, dtype=np.int32))


def _parts(found: Sequence[Any], path: Path) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """Divide what is in the file into the image's dictionary and those of the masks."""
    items = [item for part in found for item in (part if isinstance(part, list) else [part])]
    if not items or not all(isinstance(item, dict) for item in items):
        raise BagError("it is not a list of dictionaries", where=path, hint=_HINT)
    infos = [item for item in items if "segmentation" not in item]
    masks = [item for item in items if "segmentation" in item]
    if items[0] is not (infos[0] if infos else None):
        raise BagError("it does not begin with the place of its image", where=path, hint=_HINT)
    for info in infos:
        wrong = [name for name in _FRAME if not _is_number(info.get(name))]
        if wrong or int(info["downsample_ratio"]) < 1:
            raise BagError(f"{', '.join(wrong) or 'downsample_ratio'} is not a number", where=path, hint=_HINT)
    if any(info[name] != infos[0][name] for info in infos for name in _FRAME):
        raise BagError("it holds segments of several images", where=path, hint=_HINT)
    return infos[0], masks


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 2**31


def _mask(item: Mapping[str, Any], path: Path) -> npt.NDArray[np.bool_]:
    mask = item["segmentation"]
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.dtype.kind not in "bu":
        raise BagError("one of its masks is not an image", where=path, hint=_HINT)
    return np.asarray(mask).astype(bool, copy=False)


def _downsample(
    info: Mapping[str, Any],
    shape: tuple[int, ...] | None,
    level_downsamples: Sequence[tuple[float, float]] | None,
) -> int:
    """Level-0 pixels in one pixel of the masks, whole: that of the level times the ratio."""
    level, ratio = int(info["vis_level"]), int(info["downsample_ratio"])
    if level_downsamples is not None and 0 <= level < len(level_downsamples):
        return int(level_downsamples[level][0]) * ratio
    if level == 0 or shape is None:
        return ratio
    height, width = shape
    axis, side = ("x", width) if width >= height else ("y", height)  # the longer side tells it best
    seen = (int(info[f"stop_{axis}"]) - int(info[f"start_{axis}"])) / side
    return max(1, round(seen / ratio)) * ratio


def write_pickled_segments(path: Path, segments: Segments, *, patch_size_px0: int) -> npt.NDArray[np.int64]:
    """Write the segments of a slide as one list; returns the area (L,) that each mask has in the file.

    The format knows whole level-0 corners and downsamples only. Where the segments' own are not whole, the masks
    are resampled (nearest pixel); a mask that would vanish keeps the pixel at its middle.
    """
    frame, masks = _whole_frame(segments)
    width, height = (masks[0].shape[1], masks[0].shape[0]) if masks else segments.size_raster
    factor, (left, top) = int(frame.downsample[0]), (int(side) for side in frame.origin_px0)
    info: dict[str, Any] = {
        "patch_size": patch_size_px0,
        "start_x": left,
        "start_y": top,
        "stop_x": left + width * factor,
        "stop_y": top + height * factor,
        "w": width * factor,
        "h": height * factor,
        "vis_level": 0,
        "downsample_ratio": factor,
    }
    items: list[dict[str, Any]] = [info]
    for mask, iou, stability in zip(masks, segments.predicted_iou, segments.stability, strict=True):
        x, y, box_width, box_height = Segments.tight_box(mask)
        items.append(
            {
                "segmentation": mask,
                "area": int(np.count_nonzero(mask)),
                "bbox": [x, y, box_width - 1, box_height - 1],  # SAM's boxes end at the last pixel
                "predicted_iou": float(iou),
                "point_coords": [[float(x), float(y)]],
                "stability_score": float(stability),
                "crop_box": [0, 0, width, height],
            }
        )
    save_pickle(path, items)
    return np.asarray([item["area"] for item in items[1:]], dtype=np.int64)


def _whole_frame(segments: Segments) -> tuple[Frame, list[npt.NDArray[np.bool_]]]:
    """Masks on an image whose corner and downsample are whole and the same along both axes."""
    frame, (width, height) = segments.frame, segments.size_raster
    factor = max(1, round(float(np.mean(frame.downsample))))
    left, top = (round(side) for side in frame.origin_px0)
    whole = Frame((float(left), float(top)), (float(factor), float(factor)))
    full = [segments.mask(number) for number in range(len(segments))]
    if whole == frame:
        return whole, full
    extent = np.ceil(frame.sizes_to_px0((width, height)) / factor).astype(int)
    centres = np.stack(np.meshgrid(np.arange(extent[0]), np.arange(extent[1])), axis=-1) + 0.5
    source = np.floor(frame.from_px0(whole.to_px0(centres))).astype(int).clip(0, (width - 1, height - 1))
    resampled = []
    for number, mask in enumerate(full):
        coarse = mask[source[..., 1], source[..., 0]]
        if not coarse.any():
            x, y, box_width, box_height = segments.boxes_raster[number].tolist()
            middle = whole.from_px0(frame.to_px0((x + box_width / 2, y + box_height / 2)))
            column, row = np.floor(middle).astype(int).clip(0, extent - 1)
            coarse[row, column] = True
        resampled.append(coarse)
    return whole, resampled
