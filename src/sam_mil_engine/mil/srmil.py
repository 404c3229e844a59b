"""SRMIL: neighbours must be able to reconstruct what is masked (Wu et al. 2026, arXiv 2602.19487)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from ..settings import ModelSettings
from .aggregator import Aggregator, AggregatorOutput, BagTensors, Loss
from .patch_graph import Graph, GraphAttention, window_graph


class SrMil(Aggregator):
    """A graph attention network over patches and one supernode, which is read out; regularised by reconstruction.

    Linear(D, 1024) -> two graph attention layers (4 heads of 64). The graph joins the patches of a 5 x 5 window.
    For a prediction the supernode, a learnt token, is joined to all patches; the mean of its heads goes through an
    MLP. For the reconstruction, 70% of the patches are a learnt token; behind the encoder they become another one,
    and two further graph layers must give back their features from their neighbours, without the supernode:

        L = 0.2 [CE(masked bag) + CE(full bag)] + 1.8 mean over masked patches of (1 - cos(reconstructed, feature))

    ``attention`` is how much of each patch flows into the supernode in the last layer, mean over the heads. The MLP
    is not linear, so there is no evidence. ``patch_logits`` is the MLP on the patch's own embedding: patches and
    supernode go through the same layers, and the released variant without a supernode pools patches in front of the
    same MLP. Nothing in the loss asks for it: it is a reading, not a trained output.
    With ``settings.as_released`` the second layer of the encoder and the first of the decoder have no residual.
    """

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        options = settings.srmil
        hidden = options.heads * options.head_width
        self.project = nn.Linear(dim, options.width)
        self.encoder = nn.ModuleList([_layer(options.width, settings), _layer(hidden, settings)])
        self.bridge = nn.Linear(hidden, hidden, bias=False)
        self.decoder = nn.ModuleList([_layer(hidden, settings), _layer(hidden, settings, reconstructs=dim)])
        self.head = nn.Sequential(
            nn.Linear(options.head_width, options.classifier),
            nn.ReLU(inplace=True),
            nn.Dropout(options.classifier_dropout),
            nn.Linear(options.classifier, n_classes),
        )
        self.supernode = nn.Parameter(torch.randn(1, dim) * 0.01)
        self.mask_token = nn.Parameter(torch.randn(1, dim) * 0.01)
        self.remask_token = nn.Parameter(torch.randn(1, hidden) * 0.01)

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag, unmasked."""
        features = self.tokens(bag)
        return self._read_out(features, self._window(bag).with_hub())

    def loss(self, bag: BagTensors, label: Tensor) -> Loss:
        """Loss of one bag; ``terms`` holds ``bag``, ``masked_bag`` and ``reconstruction`` with their weights."""
        options, features, window = self.settings.srmil, self.tokens(bag), self._window(bag)
        hub = window.with_hub()
        masked = torch.randperm(len(features), device=features.device)[: max(1, int(options.mask_ratio * len(bag)))]
        corrupt = features.index_copy(0, masked, self.mask_token.expand(len(masked), -1))
        rebuilt = self._reconstruct(corrupt, masked, window)[masked]
        logits = self._read_out(features, hub).logits
        losses = {
            "bag": cross_entropy(logits[None], label[None]),
            "masked_bag": cross_entropy(self._read_out(corrupt, hub).logits[None], label[None]),
        }
        terms = {name: options.classification_weight * value for name, value in losses.items()}
        distance = 1 - cosine_similarity(rebuilt, features[masked], dim=-1)
        terms["reconstruction"] = options.reconstruction_weight * distance.mean()
        return Loss(total=torch.stack(list(terms.values())).sum(), terms=terms, logits=logits)

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C): the supernode's classifier on the patch embeddings."""
        logits: Tensor = self.head(output.embeddings[:n_patches])
        return logits.float()

    def _window(self, bag: BagTensors) -> Graph:
        return window_graph(bag.coords_px0, bag.step_px0, window=self.settings.srmil.window)

    def _encode(self, features: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """(V, D) -> (V, heads x width), and the edges' attention (E, heads) in the last layer."""
        first, last = self.encoder
        hidden, attention = last(first(self.project(features), graph)[0], graph)
        return hidden, attention

    def _read_out(self, features: Tensor, hub: Graph) -> AggregatorOutput:
        """Predict from patch features (N, D) on the graph with the supernode, which is its last node."""
        hidden, attention = self._encode(torch.cat([features, self.supernode]), hub)
        embeddings = hidden.view(len(hidden), self.settings.srmil.heads, -1).mean(dim=1)
        logits = self.head(embeddings[-1]).float()
        return AggregatorOutput(
            logits=logits,
            attention=attention[-len(features) :].mean(dim=1),  # the edges to the last node, in the patches' order
            embeddings=embeddings[:-1],
            evidence=None,
            bias=torch.zeros_like(logits),
        )

    def _reconstruct(self, corrupt: Tensor, masked: Tensor, window: Graph) -> Tensor:
        """(N, D) features from the corrupted ones; the masked patches (n,) are masked again behind the encoder."""
        hidden = self.bridge(self._encode(corrupt, window)[0])
        hidden = hidden.index_copy(0, masked, self.remask_token.expand(len(masked), -1).to(hidden))
        first, last = self.decoder
        rebuilt: Tensor = last(first(hidden, window)[0], window)[0]
        return rebuilt


def _layer(dim: int, settings: ModelSettings, *, reconstructs: int | None = None) -> GraphAttention:
    """Build a layer of the encoder or decoder; the one that ``reconstructs`` D numbers has one head and no more."""
    options = settings.srmil
    return GraphAttention(
        dim,
        options.head_width if reconstructs is None else reconstructs,
        heads=options.heads if reconstructs is None else 1,
        feature_dropout=options.feature_dropout,
        attention_dropout=options.attention_dropout,
        plain=reconstructs is not None,
        as_released=settings.as_released,
    )
