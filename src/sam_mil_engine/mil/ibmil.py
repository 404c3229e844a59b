"""IBMIL: a backdoor adjustment for what bags share besides their label (Lin et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ..settings import ModelSettings
from .aggregator import Aggregator, AggregatorOutput, BagTensors, Loss
from .building import build_aggregator


class IbMil(Aggregator):
    """A softmax pooling, trained as it is in stage 1 and again, from fresh weights, in stage 2 with confounders.

    Between the stages k-means of the bag features M = sum_i a_i h_i of the training bags gives the dictionary of
    confounders c_k. Stage 2 joins to the bag feature what it shares with them (paper Eq. 6; released code):

        z(M) = sum_k softmax_k(W_q M . W_k c_k / sqrt(joint)) c_k,    logits = W [M, z(M)] + b

    The head stays linear in M = sum_i a_i h_i, so the evidence a_i (W_M h_i) adds up to the logits with
    ``bias = W_z z(M) + b``, exactly. But z depends on the whole bag, so ``bias`` is another one for every bag, and
    without a token it changes with M: ``scores`` and ``values``, which would hide this, are None.
    """

    stages = ("base", "intervention")

    confounders: Tensor
    in_use: Tensor

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        options = settings.ibmil
        self.base = self._fresh_base()
        slots = options.confounders * (n_classes if options.per_class else 1)
        self.register_buffer("confounders", torch.zeros(slots, settings.hidden))
        self.register_buffer("in_use", torch.ones(slots, dtype=torch.bool))
        self.query = nn.Linear(settings.hidden, options.joint)
        self.key = nn.Linear(settings.hidden, options.joint)
        self.head = nn.Linear(2 * settings.hidden, n_classes)
        self.enter_stage(self.stage)

    def enter_stage(self, stage: str) -> None:
        """Stage 1 trains the base alone; stage 2 all but the base's head, which the one over [M, z] replaces."""
        super().enter_stage(stage)
        adjusted = stage == "intervention"
        self.requires_grad_(adjusted)
        self.base.requires_grad_(True)
        self.base.head.requires_grad_(not adjusted)

    @torch.no_grad()
    def prepare_stage(self, bags: Sequence[BagTensors]) -> None:
        """Between the stages: the dictionary from the trained base, and a fresh base in its place."""
        if self.stage != "intervention":
            return
        outputs = [self.base(bag) for bag in bags]
        features = torch.stack([_bag_feature(output) for output in outputs]).float()
        groups = torch.stack([output.logits for output in outputs]).argmax(dim=1)
        if not self.settings.ibmil.per_class:
            groups = torch.zeros_like(groups)
        centres, in_use = confounder_dictionary(
            features.cpu().numpy(),
            groups.cpu().numpy(),
            count=self.settings.ibmil.confounders,
            slots=len(self.in_use),
        )
        self.confounders.copy_(torch.from_numpy(centres))
        self.in_use.copy_(torch.from_numpy(in_use))
        self.base.load_state_dict(self._fresh_base().state_dict())

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag as the stage does."""
        output: AggregatorOutput = self.base(bag)
        if self.stage == "base":
            return output
        weights = torch.softmax(_scores(output), dim=0)
        adjustment = self._adjustment((weights @ output.embeddings)[None])[0]
        evidence = weights[:, None] * self._values(output.embeddings)
        return AggregatorOutput(
            logits=evidence.sum(dim=0) + adjustment,
            attention=output.attention,
            embeddings=output.embeddings,
            evidence=evidence,
            bias=adjustment,
        )

    def loss(self, bag: BagTensors, label: Tensor) -> Loss:
        """Loss of the base in stage 1, cross-entropy of the adjusted logits in stage 2."""
        return self.base.loss(bag, label) if self.stage == "base" else super().loss(bag, label)

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C): each patch as a bag of its own, adjusted by what it shares with the confounders itself."""
        if self.stage == "base":
            return self.base.patch_logits(output, n_patches)
        patches = output.embeddings[:n_patches]
        return self._values(patches) + self._adjustment(patches)

    def _values(self, embeddings: Tensor) -> Tensor:
        """(T, H) -> (T, C): W_M h_i."""
        return linear(embeddings, self.head.weight[:, : self.settings.hidden]).float()

    def _adjustment(self, features: Tensor) -> Tensor:
        """(B, H) bag features -> (B, C): W_z z(M) + b."""
        likeness = self.query(features) @ self.key(self.confounders).T / self.settings.ibmil.joint**0.5
        shared = torch.softmax(likeness.float().masked_fill(~self.in_use, -torch.inf), dim=1) @ self.confounders
        return linear(shared, self.head.weight[:, self.settings.hidden :], self.head.bias).float()

    def _fresh_base(self) -> Aggregator:
        settings = self.settings.model_copy(update={"name": self.settings.ibmil.base})
        return build_aggregator(settings, dim=self.dim, n_classes=self.n_classes)


def _scores(output: AggregatorOutput) -> Tensor:
    if output.scores is None:
        raise TypeError("the base of IBMIL must be a softmax pooling")
    return output.scores


def _bag_feature(output: AggregatorOutput) -> Tensor:
    """M (H,): the embeddings as the softmax pools them."""
    return torch.softmax(_scores(output), dim=0) @ output.embeddings


def confounder_dictionary(
    features: npt.NDArray[np.float32], groups: npt.NDArray[np.int64], *, count: int, slots: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Find ``count`` centres of the bag features (n, H) in each group.

    As released, the clusters are found on features of length one, and a centre is the mean of its features as they
    are.

    Returns
    -------
    centres, in_use
        (slots, H) and (slots,): group g has the rows from ``g * count``; where it has fewer different features
        than centres are asked for, the rest is zero and not in use.
    """
    from sklearn.cluster import KMeans

    centres, in_use = np.zeros((slots, features.shape[1]), np.float32), np.zeros(slots, dtype=bool)
    directions = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-10)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        different = len(np.unique(directions[members].round(6), axis=0))
        kmeans = KMeans(n_clusters=min(count, different), n_init=10, random_state=0)
        cluster = kmeans.fit_predict(directions[members])
        for slot, number in enumerate(np.unique(cluster), start=int(group) * count):
            centres[slot] = features[members[cluster == number]].mean(axis=0)
            in_use[slot] = True
    return centres, in_use
