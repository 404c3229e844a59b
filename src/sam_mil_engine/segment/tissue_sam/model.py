"""``tissue-sam``: Meta's ``Sam`` in small, trained for tissue.

Its input has 512 pixels per side and its embedding 64, as Meta's. Everything that takes a ``Sam`` takes it.
"""

from __future__ import annotations

from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from segment_anything.modeling import Sam

from ...devices import pick_device
from ...errors import SegmentError
from .bundle import WEIGHTS, folder
from .decoder import TissueMaskDecoder
from .encoder import PIXEL_MEAN, PIXEL_STD, TissueEncoder
from .prompts import TissuePromptEncoder


def build_tissue_sam(classifier: Any | None = None) -> Sam:
    """Build it with random weights, and with the trunk of timm's ``tf_efficientnet_lite0`` where one is given."""
    return Sam(
        image_encoder=TissueEncoder(classifier),
        prompt_encoder=TissuePromptEncoder(),
        mask_decoder=TissueMaskDecoder(),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    ).eval()


def load_tissue_sam(*, device: str = "auto") -> Sam:
    """Return it with the weights that come with the package (half precision on disk), in evaluation mode.

    Raises
    ------
    SegmentError
        If the weights are missing or damaged.
    """
    path = folder() / WEIGHTS
    sam = build_tissue_sam()
    try:
        sam.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise SegmentError(
            f"the weights of tissue-sam cannot be read: {error}", where=path, hint="Install napari-sam-mil again"
        ) from error
    return sam.to(pick_device(device)).eval()
