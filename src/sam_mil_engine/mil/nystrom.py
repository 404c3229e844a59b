"""Self-attention in linear time by the Nyström method (Xiong et al. 2021), as TransMIL uses it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention


class NystromAttention(nn.Module):
    """Approximate softmax(Q K^T / sqrt(d)) V through m landmarks, the means of m runs of neighbouring tokens.

    softmax(Q K'^T) pinv(softmax(Q' K'^T)) softmax(Q' K^T) V, with Q', K' (m, d) the landmarks of queries and keys
    (Xiong et al. 2021, Eq. 13), plus a depthwise convolution of the values along the sequence. Read from the right,
    both outer factors are ordinary attention with m queries or m keys: no matrix of tokens x landmarks is kept.

    The sequence is lengthened in front with zero tokens to a multiple of m. As in the code released with TransMIL
    they are not masked: each counts as a key of score 0 and value 0.

    Parameters
    ----------
    dim, heads
        H, and how many parts of H / heads numbers attend separately.
    landmarks, iterations
        m, and the steps towards the pseudo-inverse.
    kernel
        Tokens under the convolution of the values, odd.
    dropout
        Of the result.
    """

    def __init__(self, dim: int, *, heads: int, landmarks: int, iterations: int, kernel: int, dropout: float):
        super().__init__()
        self.heads, self.landmarks, self.iterations = heads, landmarks, iterations
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(dropout))
        self.residual = nn.Conv2d(heads, heads, (kernel, 1), padding=(kernel // 2, 0), groups=heads, bias=False)

    def forward(self, tokens: Tensor, *, row: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Mix the tokens.

        Parameters
        ----------
        tokens
            (n, H).
        row
            A token whose weights are to be returned too.

        Returns
        -------
        mixed : Tensor
            (n, H).
        weights : Tensor or None
            (heads, n) what the attention takes of every token's value for token ``row``: that row of the product of
            the three factors, exactly, without the convolution. It adds up to about 1 over tokens and padding and
            may be negative, since the factors only approximate a softmax.
        """
        n, dim = tokens.shape
        front = -n % self.landmarks
        padded = self.to_qkv(pad(tokens, (0, 0, front, 0)))
        queries, keys, values = padded.reshape(front + n, 3, self.heads, -1).permute(1, 2, 0, 3)  # (heads, n', d)
        queries = queries * queries.shape[-1] ** -0.5
        query_marks, key_marks = (self._landmarks(part) for part in (queries, keys))  # (heads, m, d)
        inverse = pseudo_inverse(torch.softmax((query_marks @ key_marks.mT).float(), dim=-1), self.iterations)
        gathered = inverse.to(values.dtype) @ _attend(query_marks, keys, values)  # (heads, m, d)
        mixed = _attend(queries, key_marks, gathered) + self.residual(values[None])[0]
        mixed = self.to_out(mixed[:, front:].permute(1, 0, 2).reshape(n, dim))
        if row is None:
            return mixed, None
        with torch.no_grad():
            first = torch.softmax((queries[:, front + row, None] @ key_marks.mT).float(), dim=-1) @ inverse
            weights = torch.empty((self.heads, front + n), device=tokens.device)
            for head in range(self.heads):  # one after the other: m x n numbers at a time
                third = torch.softmax((query_marks[head] @ keys[head].mT).float(), dim=-1)
                weights[head] = (first[head] @ third)[0]
        return mixed, weights[:, front:]

    def pairs(self, tokens: Tensor) -> Tensor:
        """Mix many sequences of two tokens, (B, 2, H) -> (B, 2, H): what ``forward`` gives for each of them.

        A sequence of two is padded with m - 2 zero tokens, which are alike, and each token is its own landmark. So
        they count as one token of weight m - 2: the three factors become one 3 x 3 matrix A, the softmax of the
        scores plus the logarithms of the weights, and its adjoint under the weights stands for the transpose.
        """
        count, dim = len(tokens), tokens.shape[-1]
        parts = self.to_qkv(tokens).reshape(count, 2, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        queries, keys, values = (pad(part, (0, 0, 1, 0)) for part in parts)  # (B, heads, 3, d)
        copies = torch.tensor([self.landmarks - 2.0, 1.0, 1.0], device=tokens.device)
        scores = (queries @ keys.mT).float() * queries.shape[-1] ** -0.5
        attention = torch.softmax(scores + copies.log(), dim=-1)
        adjoint = attention.mT * copies / copies[:, None]
        largest = adjoint.sum(dim=-1).amax(dim=(1, 2))[:, None, None, None]  # column sums of the whole matrix
        inverse = _iterate(attention, adjoint / largest, self.iterations)
        taps = pad(self.residual.weight[:, 0, :, 0], (1, 1))  # those on a token itself and on its neighbours count
        middle = taps.shape[1] // 2
        near = torch.stack([taps[:, middle : middle + 2], taps[:, middle - 1 : middle + 1]], dim=1)  # (heads, 2, 2)
        weights = (attention @ inverse @ attention)[:, :, 1:, 1:] + near  # the zero tokens have no value
        mixed = weights.to(values.dtype) @ values[:, :, 1:]
        result: Tensor = self.to_out(mixed.transpose(1, 2).reshape(count, 2, dim))
        return result

    def _landmarks(self, part: Tensor) -> Tensor:
        """(heads, n', d) -> (heads, m, d): means of runs of n' / m tokens."""
        return part.reshape(self.heads, self.landmarks, -1, part.shape[-1]).mean(dim=2)


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(Q K^T) V for each head; queries are scaled already."""
    return scaled_dot_product_attention(queries[None], keys[None], values[None], scale=1.0)[0]


def pseudo_inverse(matrix: Tensor, iterations: int) -> Tensor:
    """Moore-Penrose inverse of softmax matrices (heads, m, m), by Razavi's iteration (Xiong et al. 2021, Eq. 11).

    Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4, from Z = A^T / (|A|_1 |A|_inf) with the largest norms of all
    heads, as released. In float32 also under autocast: a lower precision does not converge.
    """
    start = matrix.mT / (matrix.sum(dim=-1).max() * matrix.sum(dim=-2).max())
    return _iterate(matrix, start, iterations)


def _iterate(matrix: Tensor, inverse: Tensor, iterations: int) -> Tensor:
    with torch.autocast(matrix.device.type, enabled=False):
        one = torch.eye(matrix.shape[-1], device=matrix.device)
        for _ in range(iterations):
            product = matrix @ inverse
            inverse = inverse @ (13 * one - product @ (15 * one - product @ (7 * one - product))) / 4
    return inverse
