"""A SAM 2.1 of the true architecture in small: random weights, under Meta's names as its checkpoints have them."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from sam_mil_engine.segment.sam2.shapes import Shape

#: All that a real one has: four stages, windows, global blocks, three levels; 128 px and 3 % of the weights.
SMALL = Shape(width=16, heads=1, blocks=(1, 1, 2, 1), windows=(4, 2, 4, 2), everywhere=(3,), side=128, hidden=64)
_PERCEPTRONS = r"(output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head)"
#: From the names of transformers to Meta's, written out apart from the engine's, in the other direction.
_METAS = (
    (_PERCEPTRONS + r"\.layers\.0", r"\1.layers.1"),
    (_PERCEPTRONS + r"\.proj_in", r"\1.layers.0"),
    (_PERCEPTRONS + r"\.proj_out", r"\1.layers.2"),
    (r"mlp\.proj_in", "mlp.layers.0"),
    (r"mlp\.proj_out", "mlp.layers.1"),
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^vision_encoder\.neck\.convs\.(\d)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"patch_embed\.projection", "patch_embed.proj"),
    (r"mask_embed\.conv1", "mask_downscaling.0"),
    (r"mask_embed\.layer_norm1", "mask_downscaling.1"),
    (r"mask_embed\.conv2", "mask_downscaling.3"),
    (r"mask_embed\.layer_norm2", "mask_downscaling.4"),
    (r"mask_embed\.conv3", "mask_downscaling.6"),
    (r"upscale_conv1", "output_upscaling.0"),
    (r"upscale_layer_norm", "output_upscaling.1"),
    (r"upscale_conv2", "output_upscaling.3"),
    (r"^(prompt_encoder|mask_decoder)\.", r"sam_\1."),
    (r"layer_norm", "norm"),
    (r"o_proj", "out_proj"),
    (r"^no_memory_embedding$", "no_mem_embed"),
)


def build_model():
    """Return a small ``Sam2Model`` whose masks depend on the prompt; skips where transformers is not installed."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra [sam2])")
    from sam_mil_engine.segment.sam2.shapes import configuration

    torch.manual_seed(0)
    model = transformers.Sam2Model(configuration(SMALL)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "pos_embed" in name or "no_memory" in name:
                weight.normal_(std=0.2)
            elif "hypernetworks" in name or "upscale_conv" in name or "conv_s" in name:
                weight.mul_(12).add_(0.05 * torch.randn_like(weight))
        # one array in Meta's models
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(
            model.shared_image_embedding.positional_embedding
        )
    return model


def metas_state(model) -> dict[str, Tensor]:
    """Weights of a ``Sam2Model`` as Meta's checkpoint names them, with some of a video's parts."""
    state = {}
    for name, value in model.state_dict().items():
        if name == "prompt_encoder.point_embed.weight":
            for kind, row in enumerate(value):
                state[f"sam_prompt_encoder.point_embeddings.{kind}.weight"] = row[None].clone()
        elif name == "shared_image_embedding.positional_embedding":
            state["sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"] = value.clone()
        elif not name.endswith("shared_embedding.positional_embedding"):
            new = name
            for pattern, replacement in _METAS:
                new = re.sub(pattern, replacement, new)
            state[new] = value.clone()
    for name in ("maskmem_tpos_enc", "memory_attention.norm.weight", "obj_ptr_proj.layers.0.weight"):
        state[name] = torch.zeros(2)
    return state
