"""Checkpoints of SAMs: found by name or path; the shape is read from the file, and the weights must fit it.

SAM 2.1 and MobileSAM are built by packages of others; each belongs to an extra of this package.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam

from ..devices import pick_device
from ..errors import SegmentError, one_line
from ..models.card import ModelCard
from ..models.files import file_sha256
from ..models.published_sams import MOBILE_SAM, SAM2_TINY
from ..models.registry import find, names
from ..models.segmenters import added_sams
from ..models.weight_files import read_weights
from .mobile import build_mobile_sam
from .sam2.shapes import SHAPES, is_sam2, shape_of

#: Width of the image encoder -> name of the shape in Meta's registry.
_SHAPE_OF_WIDTH = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_PATCH_EMBEDDING = "image_encoder.patch_embed.proj.weight"
#: A weight that only MobileSAM's TinyViT has.
_TINY_VIT = "image_encoder.patch_embed.seq.0.c.weight"
_HINT = (
    "Give one of Meta's checkpoints (sam_vit_b, sam_vit_l, sam_vit_h, sam2.1_hiera_*) or a file of the same shape"
)
#: Where files of training hold the weights: Meta's of SAM 2, and those of micro-sam and PathoSAM.
_WITHIN = ("model", "model_state", "model_state_dict", "state_dict")
#: What stands before the names of the weights in files of micro-sam's training.
_PREFIX = "sam."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint file, what it is called, and its SHA-256."""

    path: Path
    name: str
    sha256: str


def find_checkpoint(name: str) -> Checkpoint:
    """Find the SAM checkpoint called ``name``: a published or an added name, or a path.

    Raises
    ------
    SegmentError
        If there is none, or it is not the published one.
    """
    card = find("segmenter", name, error=SegmentError)
    if card is not None and card.file:
        if card.missing_package:
            raise missing_package(card)
        path, sha256 = card.find(error=SegmentError)
        return Checkpoint(path, name, sha256)
    path = Path(name).expanduser()
    if path.is_file():
        return Checkpoint(path, path.stem, file_sha256(path))
    if path.suffix in {".pth", ".pt"} or len(path.parts) > 1:
        raise SegmentError("there is no such checkpoint file", where=path, hint="Check the path")
    known = ", ".join(["auto", *names("segmenter"), *added_sams()])
    raise SegmentError(
        f"there is no segmenter {name!r}", hint=f"Choose one of {known}, or the path of a SAM checkpoint (.pth)"
    )


def load_sam(path: Path, *, device: str = "auto") -> Sam:
    """Read a checkpoint of ViT-B, ViT-L or ViT-H shape into Meta's Sam class, in evaluation mode.

    MobileSAM's checkpoint is read into the Sam of its own package, that of SAM 2.1 into a
    :class:`~.sam2.model.Sam2`, where these packages are installed. Only tensors are read (``weights_only``): a
    checkpoint cannot run code.

    Raises
    ------
    SegmentError
        If the file cannot be read, is not a SAM checkpoint, its weights do not fit its shape, or it needs a package
        that is missing.
    """
    state = read_weights(path, error=SegmentError, what="checkpoint file", hint=_HINT, within=_WITHIN)
    if all(name.startswith(_PREFIX) for name in state):
        state = {name.removeprefix(_PREFIX): value for name, value in state.items()}
    sam: Sam
    try:
        if is_sam2(state):
            sam = _sam2(state, path)
        else:
            sam = build_mobile_sam() if _TINY_VIT in state else sam_model_registry[_shape_of(state, path)]()
            sam.load_state_dict(state, strict=True)
    except ImportError as error:
        card = MOBILE_SAM if _TINY_VIT in state else SAM2_TINY
        raise missing_package(card, where=path) from error
    except (RuntimeError, KeyError) as error:
        raise SegmentError(f"the weights do not fit SAM: {_first_lines(error)}", where=path, hint=_HINT) from error
    return sam.to(_place_for(sam, pick_device(device))).eval()


def _place_for(sam: Sam, device: torch.device) -> torch.device:
    """Return the device, or the CPU for a SAM 2.1 on Apple's devices.

    It pools arrays that do not lie in order in memory, which torch has computed wrongly there without an error
    (pytorch issues 92531 and 175190).
    """
    if device.type != "mps" or not getattr(sam, "stretches", False):
        return device
    warnings.warn("SAM 2.1 runs on the CPU: on this device, torch may pool its images wrongly", stacklevel=3)
    return torch.device("cpu")


def missing_package(card: ModelCard, where: Path | None = None) -> SegmentError:
    """Return the error that says which package a model needs, and how it is installed."""
    return SegmentError(
        f"{card.title or card.name} needs the package {card.needs}, which is not installed",
        where=where,
        hint=f"{card.install_command}, or use another SAM",
        window_hint=f"Choose another SAM in the Models dock, or install the Python package {card.package}"
        " in napari's environment and restart napari",
    )


def _sam2(state: Mapping[str, torch.Tensor], path: Path) -> Sam:
    from .sam2.model import build_sam2

    shape = shape_of(state)
    if shape is None:
        sizes = ", ".join(f"{known.width} x {sum(known.blocks)}" for known in SHAPES)
        raise SegmentError(
            f"the image encoder matches no SAM 2.1 (width x blocks: {sizes})", where=path, hint=_HINT
        )
    return build_sam2(shape, state)


def _shape_of(state: Mapping[str, torch.Tensor], path: Path) -> str:
    embedding = state.get(_PATCH_EMBEDDING)
    if embedding is None:
        raise SegmentError(f"there is no {_PATCH_EMBEDDING!r} in the file", where=path, hint=_HINT)
    width = int(embedding.shape[0])
    if width not in _SHAPE_OF_WIDTH:
        raise SegmentError(f"the image encoder is {width} wide, which matches no SAM", where=path, hint=_HINT)
    return _SHAPE_OF_WIDTH[width]


def _first_lines(error: Exception) -> str:
    """Return the first lines of a long message of torch."""
    text = one_line(error)
    return text if len(text) <= 300 else text[:300] + " …"
