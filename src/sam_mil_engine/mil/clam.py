"""CLAM: attention pooling that also learns from its own most and least attended patches (Lu et al. 2021)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from ..settings import ModelSettings
from .aggregator import Aggregator, AggregatorOutput, BagTensors, Loss
from .attention import AttentionScores, output_by_class, pooled_output


class _Clam(Aggregator):
    """Linear(D, 512) + ReLU + dropout -> gated attention -> linear classifier, with instance-level clustering.

    L = 0.7 CE(bag) + 0.3 L_inst. Each class has a classifier of two outputs for single patches. That of the slide's
    class learns that the k patches with the most attention are positive and the k with the least negative
    ("in class"). Where the classes exclude each other (``settings.clam.subtyping``), those of the other classes
    learn that their k most attended patches are negative ("out of class"), and L_inst is the mean over all classes.
    k = min(8, N): in a bag of fewer than 2 k patches some patches get both labels, as in the released code.
    """

    one_branch: ClassVar[bool]

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        options, hidden = settings.clam, settings.hidden
        self.subtyping = n_classes > 2 if options.subtyping is None else options.subtyping
        self.project = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(inplace=True), nn.Dropout(settings.dropout))
        self.attend = AttentionScores(
            hidden,
            options.attention,
            gated=options.gated,
            branches=1 if self.one_branch else n_classes,
            dropout=settings.dropout,
        )
        self.head = nn.Linear(hidden, n_classes)
        self.clusters = nn.ModuleList(nn.Linear(hidden, 2) for _ in range(n_classes))

    def score_tokens(self, bag: BagTensors) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (T, H), scores (T,) or (T, C), and head values (T, C) of all tokens, before any softmax."""
        embeddings = self.project(self.tokens(bag))
        values = nn.functional.linear(embeddings, self.head.weight).float()
        return embeddings, self.attend(embeddings), values

    def loss(self, bag: BagTensors, label: Tensor) -> Loss:
        """Loss of one bag; ``terms`` holds ``bag`` and ``instances`` with their weights."""
        embeddings, scores, values = self.score_tokens(bag)
        logits = (torch.softmax(scores, dim=0).reshape(len(values), -1) * values).sum(dim=0) + self.head.bias
        weight = self.settings.clam.bag_weight
        terms = {
            "bag": weight * cross_entropy(logits[None], label[None]),
            "instances": (1 - weight) * self._instance_loss(embeddings, scores, int(label)),
        }
        return Loss(total=terms["bag"] + terms["instances"], terms=terms, logits=logits)

    def _instance_loss(self, embeddings: Tensor, scores: Tensor, label: int) -> Tensor:
        ranks = scores.detach()[:, None].expand(-1, self.n_classes) if self.one_branch else scores.detach()
        k = min(self.settings.clam.instances, len(ranks))
        losses = []
        for c, classifier in enumerate(self.clusters):
            if c != label and not self.subtyping:
                continue
            chosen = ranks[:, c].topk(k).indices
            target = torch.full_like(chosen, int(c == label))
            if c == label:
                least = ranks[:, c].topk(k, largest=False).indices
                chosen, target = torch.cat([chosen, least]), torch.cat([target, torch.zeros_like(least)])
            losses.append(smooth_top1_svm(classifier(embeddings[chosen]).float(), target))
        return torch.stack(losses).mean()


class ClamSb(_Clam):
    """CLAM with a single attention branch: in prediction a softmax pooling with a linear head."""

    one_branch = True

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag."""
        return pooled_output(*self.score_tokens(bag), self.head.bias)


class ClamMb(_Clam):
    """CLAM with an attention branch for every class, each with its own row of the head.

    Evidence is exact, each class with its own attention: e_ic = a_ic (w_c . h_i). ``attention`` is that of the
    class with the largest logit, ``attention_class`` says which. There is no one softmax, so ``scores`` is None.
    """

    one_branch = False

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag."""
        embeddings, scores, values = self.score_tokens(bag)
        attention = torch.softmax(scores, dim=0)  # (T, C)
        return output_by_class(embeddings, attention, evidence=attention * values, bias=self.head.bias)

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C): the head on each embedding, that is, the logits of the patch as a bag of its own."""
        logits: Tensor = self.head(output.embeddings[:n_patches])
        return logits


def smooth_top1_svm(scores: Tensor, target: Tensor) -> Tensor:
    """Smooth top-1 SVM loss for two classes, margin 1, temperature 1 (Berrada et al. 2018, Eq. 7 with k = 1).

    L = log sum_j exp(s_j + [j != y]) - s_y, which for two classes is log(1 + exp(1 + s_other - s_y)): a softplus,
    finite for any scores.

    Parameters
    ----------
    scores, target
        (n, 2), and (n,) int64 of 0 and 1.

    Returns
    -------
    Tensor
        () mean over the n instances.
    """
    own, other = (scores.gather(1, index[:, None]).squeeze(1) for index in (target, 1 - target))
    return softplus(1 + other - own).mean()
