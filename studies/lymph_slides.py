"""Slides of lymph node as bags, composed of PatchCamelyon tiles that were embedded once: no pixel is drawn.

The layout is that of the classifier's slides (`training/lymph_node/mosaic.py`): pieces of tissue, zones of like
kind, foci of tumour, a tile in each cell. Segments are made as the engine's regions are: squares of cells in place
of superpixels, merged by Ward's criterion on the colours of their tiles, cut at the same numbers.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.decomposition import PCA

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.features.loading import load_encoder
from sam_mil_engine.files import atomic_write
from sam_mil_engine.mil.bag_tensors import BagTensors
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.membership import smallest_group
from sam_mil_engine.segment.regions import OUTSIDE, adjacency, merge_tree
from sam_mil_engine.settings import SegmentSettings
from sam_mil_engine.training.bag_store import Example

sys.path.append(str(Path(__file__).parents[1] / "training" / "lymph_node"))
from groupings import grid_groups, shuffled
from mosaic import LEAST_TUMOUR, TileDeck, tile_zones, tissue_cells, tumour_foci
from tiles import CLASSES, SIDE, TilePool, read_pools, tile_colours

#: Numbers of a patch: the first principal components of the features of the training tiles.
WIDTH = 64
#: The smallest tumour of a slide, as a share of its tissue and never below three patches.
LEAST_SHARE = 0.01
#: A slide's tissue has the wanted number of patches within this factor.
SPREAD = 1.25

Arrangement = Literal["true", "shuffled", "grid"]


@dataclass(frozen=True)
class Tiles:
    """One part and class: (n, WIDTH) features, (n, 6) colours, and what the layout needs of the tiles."""

    features: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float64]
    pool: TilePool


Library = Mapping[tuple[str, str], Tiles]


@dataclass(frozen=True)
class Slide:
    """A composed slide: its bag with segments, its class, and which patches are tumour, (N,)."""

    bag: FeatureBag
    positive: bool
    inside: npt.NDArray[np.bool_]

    def example(self, arrangement: Arrangement, *, seed: int) -> Example:
        """As the engine trains on it, with its own segments, these shuffled, or squares of patches."""
        bag, groups = self.bag, self.bag.groups
        assert groups is not None
        if arrangement != "true":
            bag = bag.with_groups(shuffled(groups, seed) if arrangement == "shuffled" else grid_groups(bag))
        return Example(bag.slide_id, BagTensors.of(bag), torch.tensor(int(self.positive)))


def read_library(archive: Path, work: Path) -> Library:
    """Read and embed all tiles; what the slides need of them is kept in ``work``."""
    kept = work / "library.pkl"
    if kept.exists():
        library: Library = pickle.loads(kept.read_bytes())
        return library
    pools = read_pools(archive)
    raw = {}
    for key, pool in pools.items():
        path = work / f"{'-'.join(key)}.npy"
        if not path.exists():
            encoder = load_encoder("efficientnet-lite0", device="cpu")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(
                path,
                np.concatenate([encoder.encode(pool.images[i : i + 32]) for i in range(0, len(pool.names), 32)]),
            )
        raw[key] = np.load(path)
    pca = PCA(WIDTH, svd_solver="randomized", random_state=0).fit(
        np.concatenate([raw["train", one] for one in CLASSES])
    )
    library = {
        key: Tiles(
            pca.transform(raw[key]).astype(np.float32),
            tile_colours(pool.images),
            TilePool(pool.names, pool.images[:0], pool.kinds),
        )
        for key, pool in pools.items()
    }
    atomic_write(kept, pickle.dumps(library))
    return library


def compose(library: Library, part: str, *, patches: int, tumour: bool, seed: int) -> Slide:
    """Compose one slide of about ``patches`` patches from the tiles of a part."""
    rng = np.random.default_rng(seed)
    columns, rows, piece = tissue_cells(rng, (round(patches / SPREAD), round(patches * SPREAD)))
    cells = np.argwhere(piece >= 0)
    malignant = np.zeros((rows, columns), dtype=bool)
    if tumour:
        least = max(LEAST_TUMOUR, round(LEAST_SHARE * len(cells)))
        malignant[tuple(np.concatenate(tumour_foci(rng, cells, piece, least=least)).T)] = True
    kinds = tile_zones(rng, (columns, rows))
    decks = {label: TileDeck(rng, library[part, label].pool) for label in CLASSES}
    inside = malignant[tuple(cells.T)]
    features = np.empty((len(cells), WIDTH), dtype=np.float32)
    colours = np.empty((len(cells), 6))
    for place, (row, column) in enumerate(cells.tolist()):
        label = CLASSES[int(inside[place])]
        number = decks[label].draw(None if inside[place] else int(kinds[row, column]))
        tiles = library[part, label]
        features[place], colours[place] = tiles.features[number], tiles.colours[number]
    coords = (cells[:, ::-1] * SIDE).astype(np.int32)
    groups = regions(cells, colours, (columns, rows))
    bag = FeatureBag(f"{part}-{seed}", coords, features, attrs={"step_px0": SIDE}).with_groups(groups).check()
    return Slide(bag, tumour, inside)


def regions(cells: npt.NDArray[np.int64], colours: npt.NDArray[np.float64], size: tuple[int, int]) -> Groups:
    """Nested regions of like colour over the cells (N, 2) row, column; areas as in the segmentation image."""
    settings, (columns, rows) = SegmentSettings(superpixels=500, cuts=(4, 8, 16, 32)), size
    square = int(np.ceil(np.sqrt(len(cells) / settings.superpixels)))
    _, own = np.unique(cells // square, axis=0, return_inverse=True)
    own = own.ravel()
    labels = np.full((rows, columns), OUTSIDE, dtype=np.int64)
    labels[tuple(cells.T)] = own
    count = np.bincount(own)[:, None]
    statistics = (
        np.stack([np.bincount(own, weights=colours[:, c]) for c in range(colours.shape[1])], axis=1) / count
    )
    tree = merge_tree(statistics, adjacency(labels))
    members: dict[int, npt.NDArray[np.int64]] = {}
    for cut in settings.cuts:
        node = tree.cut(cut)[own]
        members |= {int(one): np.flatnonzero(node == one) for one in np.unique(node)}
    lists = list(members.values())
    sizes = np.array([len(one) for one in lists])
    indices = np.concatenate(lists).astype(np.int32)
    downsample = 1
    while max(columns, rows) * SIDE > settings.max_side * downsample:
        downsample *= 2
    area = sizes * (SIDE / downsample) ** 2
    return Groups(
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        indices=indices,
        area_raster=area,
        area_um2=np.full(len(lists), np.nan),
        group_of_patch=smallest_group(area, sizes, indices, len(cells)),
        segment_of_group=np.arange(len(lists), dtype=np.int32),
    )
