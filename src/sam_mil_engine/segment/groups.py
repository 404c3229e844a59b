"""Groups: which patch lies in which segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

UNSEGMENTED = -1


@dataclass(frozen=True, slots=True)
class Groups:
    """The membership matrix M (L segments x N patches) in compressed rows, and the partition g.

    A patch may lie in many segments; g(j) is the smallest of them. Segments without a patch are not here:
    ``segment_of_group`` says which segments the L groups came from.

    Attributes
    ----------
    indptr
        (L + 1,) int64: the patches of group k are ``indices[indptr[k]:indptr[k + 1]]``.
    indices
        (nnz,) int32: patch numbers, ascending inside a group.
    area_raster
        (L,) float64: pixels of the segment on its segmentation image.
    area_um2
        (L,) float64: the same in µm², NaN where the slide has no mpp.
    group_of_patch
        (N,) int32: number of the smallest group that holds the patch, ``UNSEGMENTED`` where none does.
    segment_of_group
        (L,) int32: number of the segment that became this group.
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    area_raster: npt.NDArray[np.float64]
    area_um2: npt.NDArray[np.float64]
    group_of_patch: npt.NDArray[np.int32]
    segment_of_group: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.area_raster)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(L,) patches in every group, overlaps counted in each."""
        return np.diff(self.indptr)

    def patches(self, group: int) -> npt.NDArray[np.int32]:
        """Numbers of the patches in ``group``."""
        return self.indices[self.indptr[group] : self.indptr[group + 1]]

    def matrix(self) -> csr_array:
        """M as a sparse (L, N) array of ones, float32."""
        from scipy.sparse import csr_array

        ones = np.ones(len(self.indices), dtype=np.float32)
        return csr_array((ones, self.indices, self.indptr), shape=(len(self), len(self.group_of_patch)))

    def mean_features(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """(N, D) patch features -> (L, D) group features, the mean over a group's patches (Eq. 3)."""
        sums = self.matrix() @ features.astype(np.float32, copy=False)
        means: npt.NDArray[np.floating] = (sums / np.maximum(self.sizes, 1)[:, None]).astype(features.dtype)
        return means
