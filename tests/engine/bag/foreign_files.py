"""Files of other tools, built by hand as these tools write them: names, types, chunks and attributes."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import torch

SIZE = 64


def grid_coords(n: int = 12, *, start: tuple[int, int] = (100, 52), step: int = SIZE) -> np.ndarray:
    """(n, 2) corners in rows of four: as CLAM, they begin at a contour and not at a multiple of the step."""
    cells = np.stack([np.arange(n) % 4, np.arange(n) // 4], axis=1)
    return np.asarray(start) + step * cells


def features_of(n: int = 12, width: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def growing(path: Path, arrays: dict[str, np.ndarray], attrs: dict[str, dict[str, object]] | None = None) -> Path:
    """The writer that CLAM, TRIDENT and SAM-MIL share: one row a chunk, an endless first axis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            shape = array.shape
            data = file.create_dataset(name, data=array, chunks=(1, *shape[1:]), maxshape=(None, *shape[1:]))
            for key, value in (attrs or {}).get(name, {}).items():
                data.attrs[key] = value
    return path


def clam_folder(folder: Path, slide_id: str = "s0", *, level: int = 0, seed: int = 0) -> Path:
    coords, features = grid_coords(), features_of(seed=seed)
    down = 4.0**level
    said = {"patch_size": SIZE // int(down), "patch_level": level, "downsample": (down, down), "name": slide_id}
    said |= {"level_dim": (1400, 1100), "downsampled_level_dim": (1400, 1100), "save_path": "/data/patches"}
    growing(folder / "patches" / f"{slide_id}.h5", {"coords": coords}, {"coords": said})
    rows = {"features": features, "coords": coords.astype(np.int32)}
    growing(folder / "h5_files" / f"{slide_id}.h5", rows)
    (folder / "pt_files").mkdir(exist_ok=True)
    torch.save(torch.from_numpy(features), folder / "pt_files" / f"{slide_id}.pt")
    return folder


def trident_folder(folder: Path, slide_id: str = "s0", *, overlap: int = 0) -> Path:
    place = folder / f"10x_{SIZE // 2}px_{overlap}px_overlap"
    coords = grid_coords(start=(0, 0), step=SIZE - 2 * overlap)
    said = {"patch_size": SIZE // 2, "patch_size_level0": SIZE, "level0_magnification": 20}
    said |= {"target_magnification": 10, "overlap": overlap, "name": slide_id, "savetodir": str(place)}
    said |= {"level0_width": 1400, "level0_height": 1100}
    growing(place / "patches" / f"{slide_id}_patches.h5", {"coords": coords}, {"coords": said})
    growing(
        place / "features_uni_v1" / f"{slide_id}.h5",
        {"features": features_of(), "coords": coords},
        {"features": {"name": slide_id, "savetodir": "x", "encoder": "uni_v1"}, "coords": said},
    )
    return place


def stamp_file(path: Path, mpp: float, **attrs: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["coords"] = (grid_coords(start=(0, 0)) * mpp).astype(np.float32)
        file["feats"] = features_of().astype(np.float16)
        known = {"stamp_version": "2.5.0", "extractor": "uni2", "unit": "um", "feat_type": "tile"}
        for name, value in {**known, "tile_size_um": SIZE * mpp, "tile_size_px": 32, **attrs}.items():
            if value is not None:
                file.attrs[name] = value
    return path


def nested_masks(shape: tuple[int, int] = (60, 80)) -> list[np.ndarray]:
    """Large, its last column and row under patches' corners; small inside it; far from all; at the edge."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return [
        (rows < 34) & (columns < 50),
        (rows - 12) ** 2 + (columns - 20) ** 2 < 60,
        (rows > 56) & (columns > 76),
        (rows > 20) & (columns > 30) & (rows + columns < 90),
    ]


def segments_pickle(
    path: Path,
    masks: list[np.ndarray],
    *,
    start: tuple[int, int] = (96, 48),
    level: int = 0,
    ratio: int = 4,
    level_downsample: int = 1,
    parts: int = 1,
) -> Path:
    """The list that SAM-MIL's first script pickles; numbers of the image are NumPy's, as its contours are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = masks[0].shape
    factor = ratio * level_downsample
    info = {"patch_size": SIZE, "vis_level": level, "downsample_ratio": ratio}
    for axis, begin, side in (("x", start[0], width), ("y", start[1], height)):
        info |= {f"start_{axis}": np.int32(begin), f"stop_{axis}": np.int32(begin + side * factor)}
    info |= {"w": np.int32(width * factor), "h": np.int32(height * factor)}
    items: list[dict[str, object]] = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        x, y = int(columns.min()), int(rows.min())
        items.append(
            {
                "segmentation": mask,
                "area": int(mask.sum()),
                "bbox": [x, y, int(columns.max()) - x, int(rows.max()) - y],
                "predicted_iou": 0.75,
                "point_coords": [[1.5, 2.5]],
                "stability_score": 0.5,
                "crop_box": [0, 0, width, height],
            }
        )
    with path.open("wb") as file:
        first = -(-len(items) // parts)
        pickle.dump([info, *items[:first]], file, protocol=pickle.HIGHEST_PROTOCOL)
        for begin in range(first, len(items), first):
            pickle.dump(items[begin : begin + first], file, protocol=pickle.HIGHEST_PROTOCOL)
    return path


def released_groups(coords: np.ndarray, path: Path, factor: int) -> dict[int, list[int]]:
    """Mask -> its patches, as SAM-MIL's second script finds them, one patch and one mask at a time."""
    with path.open("rb") as file:
        info, *items = pickle.load(file)
    found: dict[int, list[int]] = {}
    side = SIZE // factor
    for number, item in enumerate(items):
        left, top, width, height = item["bbox"]
        for patch, (px, py) in enumerate(coords):
            x = int(np.round((px - info["start_x"]) / factor))
            y = int(np.round((py - info["start_y"]) / factor))
            if not (left <= x < left + width and top <= y < top + height):
                continue
            if item["segmentation"][y : y + side, x : x + side].any():
                found.setdefault(number, []).append(patch)
    return found


def sam_mil_folder(folder: Path, slide_id: str = "s0") -> tuple[Path, dict[int, list[int]]]:
    """What SAM-MIL's three scripts leave of one slide, and the membership in it."""
    clam_folder(folder, slide_id)
    coords, features = grid_coords(), features_of()
    masks = nested_masks()
    groups = released_groups(coords, segments_pickle(folder / "segments" / f"{slide_id}.pkl", masks), 4)
    rows = np.concatenate([features, *(features[patches].mean(axis=0)[None] for patches in groups.values())])
    all_coords = np.concatenate([coords, np.full((len(groups), 2), -1)])
    growing(folder / "h5_files" / f"{slide_id}.h5", {"features": rows, "coords": all_coords})
    torch.save(torch.from_numpy(rows), folder / "pt_files" / f"{slide_id}.pt")
    (folder / "seg_files").mkdir()
    with h5py.File(folder / "seg_files" / f"{slide_id}.h5", "w") as file:
        for number, patches in groups.items():
            file[f"seg_{number}"] = coords[patches]
            file[f"seg_{number}"].attrs["seg_index"] = number
    area = np.ones(len(all_coords), dtype=np.int64)
    area[len(coords) :] = 0
    for number, patches in groups.items():
        for patch in patches:
            size = int(masks[number].sum())
            area[patch] = size if area[patch] == 1 else min(area[patch], size)
    is_group = (all_coords == -1).all(axis=1).astype(np.int64)
    info = {"coords": all_coords, "is_group_feat": is_group, "relative_area": area}
    growing(folder / "sam_info" / f"{slide_id}.h5", info)
    return folder, groups
