"""SAM's image encoder (Meta's ``ImageEncoderViT``): the same embedding, less time, a fraction of the memory.

Windows go through ``scaled_dot_product_attention`` with the relative position as its bias, and padding is left out
of all linear layers. The 4096 x 4096 attention of a global layer is made some rows at a time: the relative position
is what the product of queries and keys is added to, so that no second array of that size exists.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from segment_anything.modeling import ImageEncoderViT, Sam
from segment_anything.modeling.image_encoder import Block, get_rel_pos
from torch import Tensor, nn
from torch.nn import functional as nnf

from ..devices import on_processor
from .cores import Cores

#: Rows of a global layer's attention at a time: with one head, 4 MiB for the 64 x 64 tokens of Meta's models.
_ROWS = 256
#: Rows of tokens that go through the perceptron of a global layer at a time.
_STRIP = 16


def build_encoder(sam: Sam, *, dtype: torch.dtype = torch.float32) -> FastEncoder | PlainEncoder:
    """Run Meta's own class the fast way; a subclass may compute something else, so it is run as it is."""
    is_metas = type(sam.image_encoder) is ImageEncoderViT
    return FastEncoder(sam, dtype=dtype) if is_metas else PlainEncoder(sam, dtype=dtype)


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Let torch compute in ``dtype`` what it can; nothing changes for float32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


class PlainEncoder:
    """An image encoder of another class than Meta's, run as it is, in lower ``dtype`` under torch's autocast."""

    def __init__(self, sam: Sam, *, dtype: torch.dtype = torch.float32):
        self._encoder = sam.image_encoder
        self._dtype = dtype

    def __call__(self, pixels: Tensor, cores: Cores, report: Callable[[], None]) -> Tensor:
        """As :meth:`FastEncoder.__call__`; ``report`` is called once."""
        report()
        with autocast(pixels.device, self._dtype):
            embedding: Tensor = self._encoder(pixels)
        return embedding.float()


class FastEncoder:
    """The image encoder of a :class:`Sam`.

    Parameters
    ----------
    sam
        The model; its weights are used where they are, none is copied but those of other ``dtype``.
    dtype
        Of the matrix products; norms and the sum along the layers stay float32.
    """

    def __init__(self, sam: Sam, *, dtype: torch.dtype = torch.float32):
        self._encoder: ImageEncoderViT = sam.image_encoder
        self._blocks = [_FastBlock(block, dtype) for block in self._encoder.blocks]

    def __call__(self, pixels: Tensor, cores: Cores, report: Callable[[], None]) -> Tensor:
        """Normalised, padded images (B, 3, S, S) -> embeddings (B, C, S / 16, S / 16) float32.

        ``report`` is called before every layer: cancelling need not wait for a whole image.
        """
        x = self._encoder.patch_embed(pixels)
        if self._encoder.pos_embed is not None:
            x = x + self._encoder.pos_embed
        for block in self._blocks:
            report()
            x = block(x, cores)
        embedding: Tensor = self._encoder.neck(x.permute(0, 3, 1, 2))
        return embedding


class _FastBlock:
    """One layer: attention in windows or over everything, then the two-layer perceptron."""

    def __init__(self, block: Block, dtype: torch.dtype):
        self._block = block
        self._dtype = dtype
        self._heads: int = block.attn.num_heads
        linears = (block.attn.qkv, block.attn.proj, block.mlp.lin1, block.mlp.lin2)
        self._qkv, self._project, self._first, self._second = (_Linear(linear, dtype) for linear in linears)

    def __call__(self, x: Tensor, cores: Cores) -> Tensor:
        """(B, h, w, C) -> the same; x itself is changed."""
        if not self._block.window_size:
            x += self._project(self._everywhere(self._qkv_of(x), cores))
        for rows in self._strips(x):
            part = x[:, rows]
            if self._block.window_size:
                part += self._project(self._in_windows(self._qkv_of(part)))
            part += self._second(self._block.mlp.act(self._first(self._block.norm2(part).to(self._dtype))))
        return x

    def _qkv_of(self, x: Tensor) -> Tensor:
        return self._qkv(self._block.norm1(x).to(self._dtype))

    def _strips(self, x: Tensor) -> list[slice]:
        """Rows that need no other rows: a processor's cache holds what is made of a row of windows, not of all."""
        height = x.shape[1]
        step = (self._block.window_size or _STRIP) if on_processor(x.device) else height
        return [slice(start, start + step) for start in range(0, height, step)]

    def _in_windows(self, qkv: Tensor) -> Tensor:
        """(B, h, w, 3 C) -> (B, h, w, C); windows beyond the edge see what a zero gives, as in Meta's padding."""
        side = self._block.window_size
        batch, height, width, _ = qkv.shape
        down, across = -(-height // side), -(-width // side)
        if (down * side, across * side) != (height, width):
            padded = self._qkv.of_zero(batch, down * side, across * side)
            padded[:, :height, :width] = qkv
            qkv = padded
        windows = (
            qkv.view(batch, down, side, across, side, -1).transpose(2, 3).reshape(-1, side * side, qkv.shape[-1])
        )
        q, k, v = torch.unflatten(windows, -1, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)
        relative = self._relative(q, side, side)
        bias = None if relative is None else (relative[0][..., None] + relative[1][..., None, :]).flatten(-2)
        seen = nnf.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=self._block.attn.scale)
        seen = seen.transpose(1, 2).reshape(batch, down, across, side, side, -1).transpose(2, 3)
        # Without gaps: else the linear layer behind copies its weights for every row of the image.
        return seen.reshape(batch, down * side, across * side, -1)[:, :height, :width].contiguous()

    def _everywhere(self, qkv: Tensor, cores: Cores) -> Tensor:
        """(B, h, w, 3 C) -> (B, h, w, C), some rows of a head at a time; on a GPU all heads of an image."""
        batch, height, width, _ = qkv.shape
        q, k, v = torch.unflatten(qkv.flatten(1, 2), -1, (3, self._heads, -1)).permute(2, 0, 3, 1, 4).flatten(1, 2)
        relative = self._relative(q, height, width)
        seen = torch.empty_like(q, memory_format=torch.contiguous_format)

        def attend(heads: slice) -> None:
            keys, values = k[heads].transpose(1, 2).contiguous(), v[heads].contiguous()
            for start in range(0, height * width, _ROWS):
                rows = slice(start, start + _ROWS)
                queries = q[heads, rows] * self._block.attn.scale
                if relative is None:
                    logits = torch.bmm(queries, keys)
                else:
                    of_row, of_column = relative
                    logits = (of_row[heads, rows, :, None] + of_column[heads, rows, None, :]).flatten(-2)
                    logits.baddbmm_(queries, keys)
                seen[heads, rows] = torch.bmm(torch.softmax(logits, dim=-1), values)

        at_once = 1 if on_processor(q.device) else self._heads
        for _ in cores.map(attend, [slice(head, head + at_once) for head in range(0, len(q), at_once)]):
            pass
        return seen.view(batch, self._heads, height * width, -1).transpose(1, 2).reshape(batch, height, width, -1)

    def _relative(self, q: Tensor, height: int, width: int) -> tuple[Tensor, Tensor] | None:
        """Return what a query adds for every row and every column of keys: (..., h w, h) and (..., h w, w)."""
        attention = self._block.attn
        if not attention.use_rel_pos:
            return None
        grid = torch.unflatten(q, -2, (height, width))
        rows = get_rel_pos(height, height, attention.rel_pos_h).to(q.dtype)
        columns = get_rel_pos(width, width, attention.rel_pos_w).to(q.dtype)
        of_row = torch.einsum("...hwc,hkc->...hwk", grid, rows)
        of_column = torch.einsum("...hwc,wkc->...hwk", grid, columns)
        return of_row.flatten(-3, -2), of_column.flatten(-3, -2)


class _Linear:
    """A linear layer whose weights have the wanted dtype.

    On a processor it is computed as the convolution with a 1 x 1 kernel that it is: that library cuts wide layers
    among the cores so that all are busy, which the one behind matrix products does not.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype):
        self._weight = linear.weight.to(dtype)
        self._bias = None if linear.bias is None else linear.bias.to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, h, w, c)."""
        if not on_processor(x.device):
            return nnf.linear(x, self._weight, self._bias)
        return nnf.conv2d(x.permute(0, 3, 1, 2), self._weight[..., None, None], self._bias).permute(0, 2, 3, 1)

    def of_zero(self, *shape: int) -> Tensor:
        """(*shape, C): what the layer makes of zeros."""
        if self._bias is None:
            return self._weight.new_zeros(*shape, len(self._weight))
        return self._bias.expand(*shape, -1).clone()
