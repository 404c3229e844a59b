"""SAMs of Meta's classes throughout, with random weights whose masks differ from prompt to prompt."""

from __future__ import annotations

from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn


def build_whole_sam(
    *,
    side: int = 256,
    width: int = 32,
    channels: int = 128,
    seed: int = 1,
    depth: int = 3,
    heads: int = 2,
    window: int = 7,
    mlp: int = 256,
) -> Sam:
    """Return a Sam with an input of ``side`` pixels and patches of 16, in evaluation mode."""
    torch.manual_seed(seed)
    grid = side // 16
    sam = Sam(
        image_encoder=ImageEncoderViT(
            depth=depth,
            embed_dim=width,
            img_size=side,
            num_heads=heads,
            patch_size=16,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            global_attn_indexes=tuple(range(2, depth, 3)),
            window_size=window,
            out_chans=channels,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=channels,
            image_embedding_size=(grid, grid),
            input_image_size=(side, side),
            mask_in_chans=4,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=channels, mlp_dim=mlp, num_heads=8),
            transformer_dim=channels,
            iou_head_hidden_dim=channels,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
    make_masks_vary(sam)
    return sam.eval()


@torch.no_grad()
def make_masks_vary(sam: Sam, *, level: float = 2.2) -> None:
    """Turn random weights into some whose masks are blots, other ones for other prompts, bent by the image.

    The image embedding is made to change smoothly with the place; the hypernetworks are scaled to logits of about
    ±12 and lowered by ``level`` standard deviations, the same for all prompts.
    """
    for name, weight in sam.named_parameters():
        if "rel_pos" in name:
            weight.normal_(std=0.3)
    position = sam.image_encoder.pos_embed
    coarse = 3 * torch.randn(1, position.shape[3], 5, 5)
    position.copy_(nn.functional.interpolate(coarse, position.shape[1:3], mode="bicubic").permute(0, 2, 3, 1))
    decoder = sam.mask_decoder
    for convolution in (decoder.output_upscaling[0], decoder.output_upscaling[3]):
        # Nearly the same for pixels beside each other: smooth outlines, no grid.
        smooth = 2 * convolution.weight.mean(dim=(2, 3), keepdim=True)
        convolution.weight.mul_(0.05).add_(smooth)
    for linear in decoder.iou_prediction_head.layers:
        linear.weight *= 2
    decoder.iou_prediction_head.layers[-1].bias += 1.4
    for layer in decoder.transformer.layers:
        # What the tokens see of the image around the prompt makes the difference between prompts.
        layer.cross_attn_token_to_image.q_proj.weight *= 4
        layer.cross_attn_token_to_image.k_proj.weight *= 4
        layer.cross_attn_token_to_image.out_proj.weight *= 4
    sam.prompt_encoder.point_embeddings[1].weight *= 0.1
    for tokens in (decoder.iou_token, decoder.mask_tokens):
        tokens.weight *= 0.3
    _, upscaled = _some_logits(sam)
    mean = upscaled.mean(dim=(0, 2, 3))
    for network in decoder.output_hypernetworks_mlps:
        last = network.layers[-1]
        for linear in network.layers:
            linear.weight *= 3
        last.weight -= torch.outer(mean, mean @ last.weight) / mean.square().sum()
        last.bias.zero_()
    logits, _ = _some_logits(sam)
    for spread, network in zip(
        logits.transpose(0, 1).flatten(1).std(dim=1), decoder.output_hypernetworks_mlps[1:], strict=True
    ):
        network.layers[-1].weight *= 12 / spread
        network.layers[-1].bias -= 12 * level * mean / mean.square().sum()


def _some_logits(sam: Sam) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (16, 3, h, w) of 4 x 4 prompts on noise and the features (16, c, h, w) they are made of."""
    encoder, decoder, upscaled = sam.prompt_encoder, sam.mask_decoder, []
    side = encoder.input_image_size[0]
    steps = torch.linspace(0.15, 0.85, 4) * side
    points = torch.cartesian_prod(steps, steps)[:, None]
    sparse, dense = encoder(points=(points, torch.ones(16, 1, dtype=torch.int)), boxes=None, masks=None)
    hook = decoder.output_upscaling.register_forward_hook(lambda module, inputs, output: upscaled.append(output))
    logits, _ = decoder(
        image_embeddings=sam.image_encoder(torch.randn(1, 3, side, side)),
        image_pe=encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )
    hook.remove()
    return logits, upscaled[0]
