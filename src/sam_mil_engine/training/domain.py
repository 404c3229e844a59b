"""The domain of a model: the distribution of its training features, and distances from it. Needs no torch.

The features of patches are taken as normal around a few directions of large variance, with equal variance in all
others: probabilistic principal components (Tipping and Bishop 1999). A patch's distance is Mahalanobis' under that
model, divided by the square root of D, so that training patches lie about 1 away; a slide's is the median of its
patches', which a fold or a pen mark cannot move. In units of the ``limit``, which validation slides set, a distance
above 1 is outside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..bag.feature_bag import FloatFeatures
from ..errors import BagError, ModelError
from ..files import atomic_write

#: Name of the file in a model folder.
FILE = "domain.safetensors"
#: Number of directions of large variance.
COMPONENTS = 32
#: Patches of one slide that the estimate takes at most, evenly spread.
MOST_PATCHES = 1000
#: The limit lies this many times as far above the median of the validation slides as the farthest of them.
MARGIN = 1.5

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureDomain:
    """The distribution of training patches.

    Attributes
    ----------
    mean, basis, variances
        (D,), (D, k) orthonormal columns, (k,) variances along them.
    noise
        Variance along every other direction.
    limit
        Distance of a slide from which it is outside.
    """

    mean: FloatArray
    basis: FloatArray
    variances: FloatArray
    noise: float
    limit: float = 1.0

    @classmethod
    def fit(cls, training: Iterable[FloatFeatures], *, components: int = COMPONENTS) -> FeatureDomain:
        """Estimate it from the (N, D) features of the training slides, each of which counts alike.

        Raises
        ------
        BagError
            If there is no slide.
        """
        slides, first, second = 0, np.zeros(0), np.zeros((0, 0))
        for features in training:
            values = np.asarray(features[:: -(-len(features) // MOST_PATCHES)], dtype=np.float64)
            if not slides:
                first, second = np.zeros(values.shape[1]), np.zeros((values.shape[1],) * 2)
            first += values.mean(axis=0)
            second += values.T @ values / len(values)
            slides += 1
        if not slides:
            raise BagError(
                "there is no slide to learn the domain from", hint="Give the bags of the training slides"
            )
        mean = first / slides
        values, vectors = np.linalg.eigh(second / slides - np.outer(mean, mean))
        rest = max(len(mean) - components, 1)
        # where there are fewer patches than directions, what was never seen must not be infinitely far
        least = max(1e-3 * float(values.mean()), 1e-12)
        return cls(
            mean.astype(np.float32),
            np.ascontiguousarray(vectors[:, rest:]).astype(np.float32),
            np.maximum(values[rest:], least).astype(np.float32),
            max(float(values[:rest].mean()), least),
        )

    def with_limit(self, validation: Iterable[FloatFeatures]) -> FeatureDomain:
        """Set the limit from the (N, D) features of slides that the model was not fitted to."""
        distances = [float(np.median(self.patch_distances(features))) for features in validation]
        middle = float(np.median(distances))
        limit = middle + MARGIN * (max(distances) - middle)
        return replace(self, limit=limit) if limit > 0 else self  # slides of one single feature vector

    def patch_distances(self, features: FloatFeatures) -> FloatArray:
        """Distances (N,) of patches (N, D), about 1 for training patches."""
        centred = np.asarray(features, dtype=np.float32) - self.mean
        along = centred @ self.basis
        across = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squared = (along**2 / self.variances).sum(axis=1) + across / self.noise
        distances: FloatArray = np.sqrt(squared / len(self.mean)).astype(np.float32)
        return distances

    def distance(self, features: FloatFeatures) -> float:
        """Distance of a slide with patches (N, D) in units of the limit: above 1 it is outside."""
        return float(np.median(self.patch_distances(features))) / self.limit


def save_domain(folder: Path, domain: FeatureDomain) -> str:
    """Write the domain into a model folder; return its sha256."""
    from safetensors.numpy import save

    content = save(
        {
            "mean": domain.mean,
            # half precision moves a distance by a few thousandths at most
            "basis": domain.basis.astype(np.float16),
            "variances": domain.variances,
            "noise": np.array([domain.noise], dtype=np.float32),
            "limit": np.array([domain.limit], dtype=np.float32),
        }
    )
    atomic_write(folder / FILE, content)
    return hashlib.sha256(content).hexdigest()


def load_domain(folder: Path, *, sha256: str, dim: int) -> FeatureDomain:
    """Read what :func:`save_domain` wrote, for features of ``dim`` numbers.

    Raises
    ------
    ModelError
        If the file is missing, damaged or another than the model names.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    file = folder / FILE
    try:
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("sha256 differs")
        found = load(content)
        domain = FeatureDomain(
            mean=found["mean"].astype(np.float32),
            basis=found["basis"].astype(np.float32),
            variances=found["variances"].astype(np.float32),
            noise=float(found["noise"][0]),
            limit=float(found["limit"][0]),
        )
        _require_sound(domain, dim)
        return domain
    except (OSError, SafetensorError, ValueError, KeyError, IndexError) as error:
        raise ModelError(
            f"the domain of the model cannot be read ({error})", where=file, hint="Copy the model folder again"
        ) from error


def _require_sound(domain: FeatureDomain, dim: int) -> None:
    directions = domain.variances.size
    if domain.mean.shape != (dim,) or domain.basis.shape != (dim, directions):
        raise ValueError(f"its arrays are not those of {dim} features")
    divisors = [*domain.variances.ravel(), domain.noise, domain.limit]
    if not np.isfinite([*divisors, *domain.mean, *domain.basis.ravel()]).all():
        raise ValueError("it holds numbers that are not finite")
    if min(divisors) <= 0:
        raise ValueError("a variance or the limit is not positive")
