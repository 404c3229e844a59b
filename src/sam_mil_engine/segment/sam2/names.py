"""Meta's names of the weights of SAM 2.1 -> those of ``transformers``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

#: Parts that follow an object through a video; a still image needs none of them.
_VIDEO = (
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "mask_downsample.",
    "memory_attention.",
    "memory_encoder.",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
)
_POINT_KINDS = 4
_POINTS = "sam_prompt_encoder.point_embeddings."
_POSITIONS = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
#: Perceptrons of three layers; those in the attention layers have two.
_THREE_LAYERS = r"(output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head)\.layers\."
#: Pattern and replacement, applied one after another.
_RENAMED = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (_THREE_LAYERS + "0", r"\1.proj_in"),
        (_THREE_LAYERS + "1", r"\1.layers.0"),
        (_THREE_LAYERS + "2", r"\1.proj_out"),
        (r"mlp\.layers\.0", "mlp.proj_in"),
        (r"mlp\.layers\.1", "mlp.proj_out"),
        (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
        (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
        (r"patch_embed\.proj\.", "patch_embed.projection."),
        (r"^sam_prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
        (r"^sam_prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
        (r"^sam_prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
        (r"^sam_prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
        (r"^sam_prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
        (r"^sam_prompt_encoder\.", "prompt_encoder."),
        (r"^sam_mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
        (r"^sam_mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
        (r"^sam_mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
        (r"^sam_mask_decoder\.", "mask_decoder."),
        (r"\.norm(\d|_final_attn)\.", r".layer_norm\1."),
        (r"\.out_proj\.", ".o_proj."),
        (r"^no_mem_embed$", "no_memory_embedding"),
    )
)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a still image's SAM 2.1 under the names of ``transformers``.

    Raises
    ------
    KeyError
        If the embeddings of the prompts are missing.
    """
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith((*_VIDEO, _POINTS)) or name == _POSITIONS:
            continue
        new = name
        for pattern, replacement in _RENAMED:
            new = pattern.sub(replacement, new)
        out[new] = value
    out["prompt_encoder.point_embed.weight"] = torch.cat(
        [state[f"{_POINTS}{kind}.weight"] for kind in range(_POINT_KINDS)]
    )
    for owner in ("shared_image_embedding", "prompt_encoder.shared_embedding"):
        out[f"{owner}.positional_embedding"] = state[_POSITIONS]
    return out
