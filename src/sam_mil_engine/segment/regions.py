"""The weight-free segmenter: superpixels, merged into regions at several depths.

SLIC superpixels (Achanta et al. 2012) are merged by Ward's criterion on the mean and deviation of their CIELAB
colour, only ever with neighbours. The tree of merges is cut at several numbers of regions; as all cuts are of one
tree, the regions nest, as SAM's masks do. These are regions of like colour, not objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import numpy.typing as npt

from ..progress import Progress, ProgressCallback, silent
from ..settings import SegmentSettings
from .image import SegmentationImage
from .segments import Segments

Labels = npt.NDArray[np.int64]
#: Label of pixels that belong to no superpixel.
OUTSIDE = -1
_STEPS = 3


@dataclass(frozen=True, slots=True)
class RegionSegmenter:
    """Nested regions of like colour, without weights and without chance: equal images give equal segments."""

    settings: SegmentSettings = field(default_factory=SegmentSettings)
    name: str = "regions"
    version: str = "2"

    def segment(self, image: SegmentationImage, *, progress: ProgressCallback = silent) -> Segments:
        """Cut the tissue of an image into nested regions.

        Returns
        -------
        Segments
            Those of the coarsest cut first; no two are equal, any two are disjoint or one holds the other.
            Empty where the image holds no tissue.
        """
        if not image.tissue.any():
            return Segments.empty(image.frame, image.size_raster)
        progress(Progress("segments", 0, _STEPS, message="superpixels"))
        lab = lab_of(image.rgb)
        labels = tissue_superpixels(lab, image.tissue, self.settings.superpixels)
        progress(Progress("segments", 1, _STEPS, message="merging"))
        pairs = adjacency(labels)
        tree = merge_tree(self._statistics(image, lab, labels, pairs), pairs)
        progress(Progress("segments", 2, _STEPS, message="cutting"))
        segments = _cut_into_segments(tree, labels, image, self.settings.cuts)
        progress(Progress("segments", _STEPS, _STEPS))
        return segments

    def _statistics(
        self,
        image: SegmentationImage,
        lab: npt.NDArray[np.float32],
        labels: Labels,
        pairs: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Return what superpixels are told apart by, (n, F), for the (E, 2) pairs of neighbours."""
        return colour_statistics(lab, labels)


@dataclass(frozen=True, slots=True)
class StainRegionSegmenter(RegionSegmenter):
    """The same of like stain and texture: shading, streaks and single nuclei divide less."""

    name: str = "stain-regions"
    version: str = "1"

    def _statistics(
        self,
        image: SegmentationImage,
        lab: npt.NDArray[np.float32],
        labels: Labels,
        pairs: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        from .stain_statistics import stain_statistics

        side = sqrt(labels.size / self.settings.superpixels)
        return stain_statistics(image.rgb, image.tissue, labels, pairs, side=side)


def build_regions(*, settings: SegmentSettings, device: str) -> RegionSegmenter:
    """Return ``regions``; they are found on the CPU, whatever the device."""
    del device
    return RegionSegmenter(settings)


def build_stain_regions(*, settings: SegmentSettings, device: str) -> StainRegionSegmenter:
    """Return ``stain-regions``; they are found on the CPU, whatever the device."""
    del device
    return StainRegionSegmenter(settings)


def lab_of(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """RGB (h, w, 3) uint8 -> CIELAB float32, L in 0..100."""
    import cv2

    lab: npt.NDArray[np.float32] = cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    return lab


def tissue_superpixels(lab: npt.NDArray[np.float32], tissue: npt.NDArray[np.bool_], count: int) -> Labels:
    """(h, w) numbers 0..n-1 of connected superpixels, :data:`OUTSIDE` elsewhere; about ``count`` before dropping.

    Superpixels of which less than half is tissue are dropped. Where that leaves none (tissue thinner than a
    superpixel), those that hold any tissue stay. Of each, the largest connected piece inside the tissue is kept:
    background that a superpixel at the edge reaches into belongs to no region.
    """
    from skimage.segmentation import slic

    # slic stretches what it is given to 0..1, but compactness is meant on the scale of CIELAB: unscaled, space
    # outweighs colour a hundredfold and every superpixel is a square
    spread = float(np.ptp(lab)) or 1.0
    labels = slic(
        lab,
        n_segments=count,
        compactness=10.0 / spread,
        start_label=0,
        convert2lab=False,
        channel_axis=-1,
        max_num_iter=10,
    ).astype(np.int64)
    number = int(labels.max()) + 1
    covered = np.bincount(labels.ravel(), weights=tissue.ravel(), minlength=number)
    size = np.bincount(labels.ravel(), minlength=number)
    kept = (2 * covered >= size) & (size > 0)
    if not kept.any():
        kept = covered > 0
    return _largest_pieces(np.where(tissue & kept[labels], labels, OUTSIDE))


def _largest_pieces(labels: Labels) -> Labels:
    """Keep the largest 4-connected piece of every label, and number what is there 0..n-1."""
    from skimage.measure import label

    pieces = label(labels, background=OUTSIDE, connectivity=1)  # 0 is outside
    size = np.bincount(pieces.ravel())
    owner = np.full(len(size), OUTSIDE, dtype=np.int64)
    owner[pieces.ravel()] = labels.ravel()
    order = np.lexsort((-size, owner))  # by label, the largest piece first
    order = order[owner[order] != OUTSIDE]
    first = np.concatenate([[True], np.diff(owner[order]) != 0]) if len(order) else np.zeros(0, bool)
    number = np.full(len(size), OUTSIDE, dtype=np.int64)
    number[order[first]] = np.arange(first.sum())
    numbered: Labels = number[pieces]
    return numbered


def colour_statistics(lab: npt.NDArray[np.float32], labels: Labels) -> npt.NDArray[np.float64]:
    """(n, 6) float64: mean and standard deviation of L, a, b in every superpixel."""
    inside = labels != OUTSIDE
    flat, pixels = labels[inside], lab[inside].astype(np.float64)
    size = np.bincount(flat)[:, None]
    mean = np.stack([np.bincount(flat, weights=pixels[:, c]) for c in range(3)], axis=1) / size
    square = np.stack([np.bincount(flat, weights=(pixels[:, c] - mean[flat, c]) ** 2) for c in range(3)], axis=1)
    return np.concatenate([mean, np.sqrt(square / size)], axis=1)


def adjacency(labels: Labels) -> npt.NDArray[np.int64]:
    """(E, 2) pairs a < b of superpixels that share an edge of a pixel, each once."""
    pairs = np.concatenate(
        [
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1),
            np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1),
        ]
    )
    pairs = np.sort(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs.min(axis=1) != OUTSIDE)], axis=1)
    # One number per pair sorts faster than rows do.
    number = int(labels.max()) + 1
    codes = np.unique(pairs[:, 0] * number + pairs[:, 1])
    return np.stack([codes // number, codes % number], axis=1)


@dataclass(frozen=True, slots=True)
class MergeTree:
    """A forest of merges over n superpixels, one tree per connected piece of tissue.

    Attributes
    ----------
    n_leaves
        n.
    n_roots
        Connected pieces: no cut has fewer regions.
    children
        (n - n_roots, 2) int64: the nodes that merge i joins into node n + i, in the order of the merges.
    """

    n_leaves: int
    n_roots: int
    children: npt.NDArray[np.int64]

    def cut(self, count: int) -> Labels:
        """(n,) node that holds each superpixel when about ``count`` regions are left.

        There are never fewer regions than connected pieces and never more than superpixels.
        """
        regions = min(max(count, self.n_roots), self.n_leaves)
        merges = self.n_leaves - regions
        parent = np.arange(self.n_leaves + len(self.children))
        # Last merge first: a node's parent already knows its own region when the node is asked.
        for merge in range(merges - 1, -1, -1):
            parent[self.children[merge]] = parent[self.n_leaves + merge]
        return parent[: self.n_leaves]


def merge_tree(statistics: npt.NDArray[np.float64], pairs: npt.NDArray[np.int64]) -> MergeTree:
    """Ward's connectivity-constrained merges of n superpixels with (n, F) statistics and (E, 2) neighbours.

    Every connected piece gets its own tree. Their merges are then put into the order in which one queue over all
    pieces would have made them: cheapest first, where a merge waits for those inside its own piece. So one number
    of regions is shared by all pieces, and the piece with the largest contrasts is divided first.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.cluster import ward_tree

    n = len(statistics)
    weights = np.ones(2 * len(pairs))
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    graph = coo_array((weights, (ends[:, 0], ends[:, 1])), shape=(n, n)).tocsr()
    n_roots, piece_of = connected_components(graph, directed=False)
    merges: list[tuple[float, int, int, int, int]] = []
    for piece in range(n_roots):
        leaves = np.flatnonzero(piece_of == piece)
        if len(leaves) == 1:
            continue
        children, _, _, _, heights = ward_tree(
            statistics[leaves], connectivity=graph[leaves][:, leaves], return_distance=True
        )
        waiting = np.maximum.accumulate(heights)
        merges += [(float(waiting[i]), piece, i, int(left), int(right)) for i, (left, right) in enumerate(children)]
    merges.sort()
    return MergeTree(n, n_roots, _global_children(merges, piece_of, n))


def _global_children(
    merges: list[tuple[float, int, int, int, int]], piece_of: npt.NDArray[np.int32], n: int
) -> npt.NDArray[np.int64]:
    """Give the nodes of all trees one numbering, in the order of ``merges``."""
    leaves_of = {piece: np.flatnonzero(piece_of == piece) for piece in {merge[1] for merge in merges}}
    node_of: dict[tuple[int, int], int] = {}

    def node(piece: int, local: int) -> int:
        leaves = leaves_of[piece]
        return int(leaves[local]) if local < len(leaves) else node_of[piece, local]

    children = np.empty((len(merges), 2), dtype=np.int64)
    for number, (_, piece, index, left, right) in enumerate(merges):
        children[number] = node(piece, left), node(piece, right)
        node_of[piece, len(leaves_of[piece]) + index] = n + number
    return children


def _cut_into_segments(
    tree: MergeTree, labels: Labels, image: SegmentationImage, cuts: tuple[int, ...]
) -> Segments:
    seen: set[int] = set()
    found: list[tuple[tuple[int, int, int, int], npt.NDArray[np.bool_]]] = []
    for count in sorted(set(cuts)):
        node_of = tree.cut(count)
        # A node of the tree is one set of superpixels: the same node in two cuts is the same mask.
        new = [node for node in np.unique(node_of).tolist() if node not in seen]
        seen.update(new)
        found += _masks(node_of, labels, new)
    return Segments.from_crops(
        [crop for _, crop in found],
        [box for box, _ in found],
        frame=image.frame,
        size_raster=image.size_raster,
    )


def _masks(
    node_of: Labels, labels: Labels, nodes: list[int]
) -> Iterator[tuple[tuple[int, int, int, int], npt.NDArray[np.bool_]]]:
    """Box (x, y, width, height) and crop of every node in ``nodes``, in that order."""
    from scipy.ndimage import find_objects

    number_of_node = {node: number + 1 for number, node in enumerate(nodes)}
    # The extra last entry is what OUTSIDE (-1) looks up.
    lookup = np.array([number_of_node.get(node, 0) for node in node_of.tolist()] + [0], dtype=np.int32)
    image = lookup[labels]
    for number, found in enumerate(find_objects(image, max_label=len(nodes)), start=1):
        rows, columns = found
        crop = np.ascontiguousarray(image[rows, columns] == number)
        yield (columns.start, rows.start, crop.shape[1], crop.shape[0]), crop
