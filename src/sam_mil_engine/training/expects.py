"""What a model expects of a bag, and what the bags of a cohort have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bag.feature_bag import FeatureBag
from ..errors import BagError
from ..segment.parts import BEFORE_PARTS
from ..settings import FORMER_PARTS, SegmentSettings

#: By how much two resolutions may differ that count as one, relative.
MPP_TOLERANCE = 0.10


_OF_SEGMENTS = ("segmenter", "superpixels", "cuts", "segments_mpp", "both_scales")


@dataclass(frozen=True, slots=True)
class Expects:
    """What a model needs a bag to be: that of the bags it was trained on. None: not known.

    Attributes
    ----------
    dim
        D.
    encoder, encoder_version, segmenter
        As the bags name them.
    patch_size
        Side of a patch in pixels of the resolution it was read at.
    mpp
        Micrometres per pixel of a patch; the median over the bags.
    superpixels, cuts
        From how many superpixels, and into how many regions, segments were merged; None where the segmenter merges
        none.
    segments_mpp, both_scales
        Resolution at which segments were found in tiles, and whether those of the one image are there too; None
        where segments are those of the one image.
    """

    dim: int
    encoder: str | None = None
    encoder_version: str | None = None
    segmenter: str | None = None
    patch_size: int | None = None
    mpp: float | None = None
    superpixels: int | None = None
    cuts: tuple[int, ...] | None = None
    segments_mpp: float | None = None
    both_scales: bool | None = None

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Expects:
        """Read what a model folder says; one from before parts of segments were recorded had the former default.

        Raises
        ------
        TypeError, ValueError
            If a value has another type, or a number is not positive.
        """
        known = dict(values)
        if "cuts" not in known and known.get("segmenter") in BEFORE_PARTS:
            known["superpixels"], known["cuts"] = FORMER_PARTS
        found = cls(**{**known, "cuts": None if known.get("cuts") is None else tuple(known["cuts"])})
        for name, value in asdict(found).items():
            for one in value if name == "cuts" and value else (value,):
                if one is not None and not _is_sound(name, one):
                    raise ValueError(f"the expected {name} is {one!r}"[:200])
        return found

    @classmethod
    def of(cls, bag: FeatureBag) -> Expects:
        """Read the attributes of one bag."""
        attrs = bag.attrs
        size, segmenter = attrs.get("patch_size"), _text(attrs.get("segmenter"))
        superpixels, cuts = FORMER_PARTS if segmenter in BEFORE_PARTS else (None, None)
        return cls(
            dim=bag.width,
            encoder=_text(attrs.get("encoder")),
            encoder_version=_text(attrs.get("encoder_version")),
            segmenter=segmenter,
            patch_size=None if size is None else int(size),
            mpp=patch_mpp(attrs),
            superpixels=attrs.get("superpixels", superpixels),
            cuts=attrs.get("cuts", cuts),
            segments_mpp=attrs.get("segments_mpp"),
            both_scales=attrs.get("both_scales"),
        )

    def segments(self, chosen: SegmentSettings) -> SegmentSettings:
        """Return ``chosen`` with what is expected of segments, as far as known."""
        known = {
            "segmenter": self.segmenter,
            "superpixels": self.superpixels,
            "cuts": self.cuts,
            "mpp": self.segments_mpp,
            "both_scales": self.both_scales,
        }
        return chosen.model_copy(update={name: value for name, value in known.items() if value is not None})

    def same_patches(self, other: Expects) -> bool:
        """Whether a bag can be made that fits both: encoder, width and patch size agree, or are not known."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("encoder", "dim", "patch_size"))
        if any(one is not None and two is not None and one != two for one, two in pairs):
            return False
        return self.mpp is None or other.mpp is None or abs(other.mpp / self.mpp - 1) <= MPP_TOLERANCE


def patch_mpp(attrs: Mapping[str, Any]) -> float | None:
    """Micrometres per pixel of a patch: ``tile_mpp``, else the slide's ``mpp`` scaled to the patch, else None."""
    if attrs.get("tile_mpp") is not None:
        return float(attrs["tile_mpp"])
    if attrs.get("mpp") is None:
        return None
    mpp = float(np.mean(attrs["mpp"]))
    if attrs.get("size_px0") is None or not attrs.get("patch_size"):
        return mpp
    return mpp * float(np.mean(attrs["size_px0"])) / float(attrs["patch_size"])


def common_kind(kinds: Mapping[Path, Expects]) -> Expects:
    """Return what all bags have in common; raises :class:`BagError` naming two that must not be mixed."""
    (first_file, first), *others = kinds.items()
    for file, kind in others:
        for name, meaning in (("encoder", "encoder"), ("dim", "feature width"), ("patch_size", "patch size")):
            ours, theirs = getattr(first, name), getattr(kind, name)
            if ours != theirs:
                raise BagError(
                    f"the {meaning} is {theirs}, but {ours} in {first_file}",
                    where=file,
                    hint="Train on bags that were processed with the same settings",
                )
    known = [kind.mpp for kind in kinds.values() if kind.mpp is not None]
    segments = {name: {getattr(kind, name) for kind in kinds.values()} for name in _OF_SEGMENTS}
    common = {name: next(iter(found)) if len(found) == 1 else None for name, found in segments.items()}
    return Expects(
        dim=first.dim,
        encoder=first.encoder,
        encoder_version=first.encoder_version,
        patch_size=first.patch_size,
        mpp=float(np.median(known)) if known else None,
        **common,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _is_sound(name: str, value: object) -> bool:
    """Whether a value of a model folder has the type of its field; numbers are positive."""
    if name in ("encoder", "encoder_version", "segmenter"):
        return isinstance(value, str)
    if name == "both_scales" or isinstance(value, bool):
        return name == "both_scales" and isinstance(value, bool)
    if name in ("mpp", "segments_mpp"):
        return isinstance(value, int | float) and 0 < value < float("inf")
    return isinstance(value, int) and value > 0
