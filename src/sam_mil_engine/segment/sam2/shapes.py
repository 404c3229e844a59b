"""The four published sizes of SAM 2.1, as Meta's configuration files state them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

_PATCHES = "image_encoder.trunk.patch_embed.proj.weight"
_BLOCK = "image_encoder.trunk.blocks."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The image encoder of one size; the rest is the same for all.

    Attributes
    ----------
    width, heads
        Channels and attention heads of the first stage; each later stage has twice as many.
    blocks
        Blocks of the four stages.
    windows
        Side of the attention windows of the four stages, in tokens.
    everywhere
        Blocks that attend to the whole image.
    background
        Rows and columns of the coarse positional embedding.
    side, hidden
        Pixels of the square input, and channels of the embedding.
    """

    width: int
    heads: int
    blocks: tuple[int, int, int, int]
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    everywhere: tuple[int, ...]
    background: int = 7
    side: int = 1024
    hidden: int = 256


SHAPES = (
    Shape(width=96, heads=1, blocks=(1, 2, 7, 2), everywhere=(5, 7, 9)),
    Shape(width=96, heads=1, blocks=(1, 2, 11, 2), everywhere=(7, 10, 13)),
    Shape(width=112, heads=2, blocks=(2, 3, 16, 3), everywhere=(12, 16, 20), background=14),
    Shape(width=144, heads=2, blocks=(2, 6, 36, 4), windows=(8, 4, 16, 8), everywhere=(23, 33, 43)),
)


def is_sam2(state: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of a SAM 2, in Meta's names."""
    return _PATCHES in state


def shape_of(state: Mapping[str, Tensor]) -> Shape | None:
    """Return the size of a checkpoint, by its width and its number of blocks; None where it is none of the four.

    Heads, windows and global blocks leave no trace in the weights; width and number of blocks tell the sizes apart.
    """
    width = int(state[_PATCHES].shape[0])
    count = len({name.removeprefix(_BLOCK).split(".")[0] for name in state if name.startswith(_BLOCK)})
    return next((shape for shape in SHAPES if (shape.width, sum(shape.blocks)) == (width, count)), None)


def configuration(shape: Shape) -> Any:
    """Return the ``Sam2Config`` of a size."""
    from transformers import Sam2Config

    widths = [shape.width * 2**stage for stage in range(4)]
    grid = shape.side // 16
    prompts = {"image_size": shape.side, "hidden_size": shape.hidden}
    decoder = {"hidden_size": shape.hidden, "iou_head_hidden_dim": shape.hidden}
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "image_size": [shape.side, shape.side],
        "hidden_size": shape.width,
        "num_attention_heads": shape.heads,
        "blocks_per_stage": list(shape.blocks),
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [shape.heads * 2**stage for stage in range(4)],
        "window_size_per_stage": list(shape.windows),
        "window_positional_embedding_background_size": [shape.background] * 2,
        "global_attention_blocks": list(shape.everywhere),
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
        "fpn_hidden_size": shape.hidden,
    }
    return Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
