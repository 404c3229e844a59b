"""``tissue-sam``: Meta's ``Sam`` in small, trained for tissue.

Its input has 512 pixels a side and its embedding 64, as Meta's. Everything that takes a ``Sam`` takes it.
"""

from __future__ import annotations

from typing import Any

from segment_anything.modeling import Sam
from tissue_decoder import TissueMaskDecoder
from tissue_encoder import PIXEL_MEAN, PIXEL_STD, TissueEncoder
from tissue_prompts import TissuePromptEncoder

NAME = "tissue-sam"


def build_tissue_sam(classifier: Any | None = None) -> Sam:
    """Build it with random weights, and with the trunk of timm's ``tf_efficientnet_lite0`` where one is given."""
    return Sam(
        image_encoder=TissueEncoder(classifier),
        prompt_encoder=TissuePromptEncoder(),
        mask_decoder=TissueMaskDecoder(),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    ).eval()
