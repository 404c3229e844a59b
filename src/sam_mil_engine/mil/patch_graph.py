"""The graph of neighbouring patches, and attention over its edges: gathers and sums, no graph library."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from ..devices import widest_float


@dataclass(frozen=True, slots=True)
class Graph:
    """Directed edges, sorted by the node that they lead to.

    Attributes
    ----------
    source, target
        (E,) int64.
    first
        (V,) int64: where the edges to each of the V nodes begin.
    """

    source: Tensor
    target: Tensor
    first: Tensor

    @classmethod
    def of(cls, source: Tensor, target: Tensor, *, n_nodes: int) -> Graph:
        """Sort the edges; those to one node keep their order."""
        target, order = target.sort(stable=True)
        degree = torch.bincount(target, minlength=n_nodes)
        return cls(source=source[order], target=target, first=degree.cumsum(0) - degree)

    def with_hub(self) -> Graph:
        """Return the graph with one node more, V, joined to all others in both directions, not to itself."""
        n = len(self.first)
        nodes, hub = torch.arange(n, device=self.first.device), self.first.new_full((n,), n)
        return Graph.of(torch.cat([self.source, hub, nodes]), torch.cat([self.target, nodes, hub]), n_nodes=n + 1)


def window_graph(coords_px0: Tensor, step_px0: tuple[float, float], *, window: int) -> Graph:
    """Join every patch with itself and with all others in the window x window cells around it.

    Positions are counted in steps from the top left patch and rounded. O(N), whatever the extent of the slide.

    Parameters
    ----------
    coords_px0
        (N, 2) positions (x, y).
    step_px0
        Distance of two neighbouring patches.
    window
        Odd number of cells; 5 joins patches up to two steps apart, diagonals among them.
    """
    reach = window // 2
    steps = coords_px0.new_tensor(step_px0, dtype=widest_float(coords_px0.device))
    x, y = ((coords_px0 - coords_px0.amin(dim=0)) / steps).round().long().unbind(dim=1)
    width = x.amax() + 1 + reach  # as many empty cells behind each row as the window reaches: rows do not touch
    near = torch.arange(-reach, reach + 1, device=coords_px0.device)
    wanted = (y * width + x)[:, None] + (near[:, None] * width + near).flatten()  # (N, window^2)
    cells, patch = (y * width + x).sort()
    begin = torch.searchsorted(cells, wanted)
    count = torch.searchsorted(cells, wanted, right=True) - begin  # more than one where patches share a cell
    per_patch = count.sum(dim=1)
    count = count.flatten()
    offset = torch.arange(int(count.sum()), device=count.device) - (count.cumsum(0) - count).repeat_interleave(
        count
    )
    source = patch[begin.flatten().repeat_interleave(count) + offset]
    target = torch.arange(len(coords_px0), device=count.device).repeat_interleave(per_patch)
    return Graph.of(source, target, n_nodes=len(coords_px0))


def edge_softmax(scores: Tensor, graph: Graph) -> Tensor:
    """Softmax of the edge scores (E, heads) over the edges that lead to the same node."""
    heads = scores.shape[1]
    target = graph.target[:, None].expand(-1, heads)
    start = scores.new_full((len(graph.first), heads), -torch.inf)
    largest = start.scatter_reduce(0, target, scores.detach(), "amax")
    weights = torch.exp(scores - largest[graph.target])
    total = weights.new_zeros(start.shape).index_add(0, graph.target, weights)
    return weights / total[graph.target]


def sum_over_edges(weights: Tensor, features: Tensor, graph: Graph) -> Tensor:
    """Sum the features (V, heads, F) of the sources, weighted (E, heads), at every target -> (V, heads, F).

    Neither direction of the derivative makes a tensor of edges x F.
    """
    pooled = [
        embedding_bag(graph.source, head.to(weight), graph.first, mode="sum", per_sample_weights=weight)
        for head, weight in zip(features.unbind(dim=1), weights.unbind(dim=1), strict=True)
    ]
    return torch.stack(pooled, dim=1)


class GraphAttention(nn.Module):
    """One layer of a graph attention network (Velickovic et al. 2018) with what stands around it in SRMIL.

    e_ij = LeakyReLU(a_l . W h_j + a_r . W h_i), softmax over the j that lead to i, sum of W h_j, bias; then, except
    in a ``plain`` layer, residual, LayerNorm and PReLU. Heads lie side by side. With ``as_released`` there is no
    residual where both widths agree: the code released with SRMIL forgets it there.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        *,
        heads: int,
        feature_dropout: float,
        attention_dropout: float,
        plain: bool = False,
        as_released: bool = False,
    ):
        super().__init__()
        self.heads, self.width = heads, width
        self.project = nn.Linear(dim, heads * width, bias=False)
        self.source = nn.Parameter(torch.empty(heads, width))
        self.target = nn.Parameter(torch.empty(heads, width))
        self.bias = nn.Parameter(torch.zeros(heads * width))
        for vector in (self.source, self.target):
            nn.init.xavier_normal_(vector, gain=2**0.5)
        self.feature_dropout, self.attention_dropout = nn.Dropout(feature_dropout), nn.Dropout(attention_dropout)
        self.residual: nn.Module | None = None
        self.after: nn.Module = nn.Identity()
        if not plain:
            if dim != heads * width:
                self.residual = nn.Linear(dim, heads * width, bias=False)
            elif not as_released:
                self.residual = nn.Identity()
            self.after = nn.Sequential(nn.LayerNorm(heads * width), nn.PReLU())

    def forward(self, features: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """(V, dim) -> (V, heads x width) and the attention (E, heads) of the edges, before its dropout."""
        features = self.feature_dropout(features)
        projected = self.project(features).view(-1, self.heads, self.width)
        scores = (projected * self.source).sum(-1)[graph.source] + (projected * self.target).sum(-1)[graph.target]
        attention = edge_softmax(nn.functional.leaky_relu(scores, 0.2), graph)
        summed = sum_over_edges(self.attention_dropout(attention), projected, graph).flatten(1) + self.bias
        if self.residual is not None:
            summed = summed + self.residual(features)
        return self.after(summed), attention
