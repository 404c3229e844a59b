"""Checkpoints of SAMs: found by name or path; the shape is read from the file, and the weights must fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam

from ..devices import pick_device
from ..errors import SegmentError
from ..models.files import file_sha256
from ..models.registry import find, names
from ..models.segmenters import added_sams
from ..models.weight_files import read_weights

#: Width of the image encoder -> name of the shape in Meta's registry.
_SHAPE_OF_WIDTH = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_PATCH_EMBEDDING = "image_encoder.patch_embed.proj.weight"
#: A weight that only MobileSAM's TinyViT has.
_TINY_VIT = "image_encoder.patch_embed.seq.0.c.weight"
_HINT = "Give one of Meta's checkpoints (sam_vit_b, sam_vit_l, sam_vit_h) or a file of the same shape"


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

    MobileSAM's checkpoint is read into the Sam of its own package, where that is installed. Only tensors are read
    (``weights_only``): a checkpoint cannot run code.

    Raises
    ------
    SegmentError
        If the file cannot be read, is not a SAM checkpoint, or its weights do not fit its shape.
    """
    state = read_weights(path, error=SegmentError, what="checkpoint file", hint=_HINT)
    sam = _mobile_sam(path) if _TINY_VIT in state else sam_model_registry[_shape_of(state, path)]()
    try:
        sam.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise SegmentError(f"the weights do not fit SAM: {_first_lines(error)}", where=path, hint=_HINT) from error
    return sam.to(pick_device(device)).eval()


def _mobile_sam(path: Path) -> Sam:
    try:
        from mobile_sam import sam_model_registry as shapes
    except ImportError as error:
        raise SegmentError(
            "this is MobileSAM, whose package mobile_sam is not installed",
            where=path,
            hint="pip install git+https://github.com/ChaoningZhang/MobileSAM.git, or use another SAM",
            window_hint="Choose another SAM in the Models dock, or install the Python package"
            " mobile_sam in napari's environment",
        ) from error
    return shapes["vit_t"]()


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
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + " …"
