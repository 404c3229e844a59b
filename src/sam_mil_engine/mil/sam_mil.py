"""SAM-MIL: segments guide the mask, join the bag as tokens, and should agree in attention (Fang et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .abmil import AbMil
from .aggregator import BagTensors, Loss
from .attention import masked_softmax
from .consistency import FORMS
from .masking import STRATEGIES


class SamMil(AbMil):
    """AB-MIL over patches and group features, trained with three losses (methods §2).

    L = CE(masked bag) + alpha mean CE(pseudo-bags) + beta L_con (Eq. 13). All three share one projection and one
    scoring of the tokens. Without groups, mask, pseudo-bags and consistency it is AB-MIL exactly. L_con (Eq. 7) has
    three forms (``consistency.py``). In the form ``variance`` beta is meant for bags of ``consistency_patches``
    patches and means the same in bags of any other size; with 0 it is the paper's number whatever the size.

    With ``settings.as_released`` it behaves in training as the code released with the paper does when it is run as
    its README says: the masked bag loses its group tokens; its logits are overwritten by those of the last
    pseudo-bag (so that masking changes nothing); and the attention of the consistency is that of a detached copy
    (so that the term is counted and trains nothing).
    """

    uses_groups = True

    def loss(self, bag: BagTensors, label: Tensor) -> Loss:
        """Loss of one bag; ``terms`` holds ``bag``, ``pseudo_bags`` and ``consistency`` with their weights."""
        settings = self.settings
        _, scores, values = self.score_tokens(bag)
        masked = self.masked_bag(bag, len(scores))
        parts = pseudo_bags(len(scores), settings.pseudo_bags, device=scores.device)
        weights = masked_softmax(scores, torch.cat([masked[None], parts]))  # (1 + m, T)
        logits = weights @ values + self.head.bias  # (1 + m, C)
        patch_scores = scores[: len(bag)]
        if settings.as_released:
            patch_scores = patch_scores.detach()
            logits = torch.cat([logits[-1:], logits[1:]])
        losses = cross_entropy(logits, label.expand(len(logits)), reduction="none")
        terms = {"bag": losses[0]}
        if len(parts) and settings.pseudo_bag_weight:
            terms["pseudo_bags"] = settings.pseudo_bag_weight * losses[1:].mean()
        if settings.consistency_weight:
            disagreement = FORMS[settings.consistency](patch_scores, bag)
            terms["consistency"] = self.consistency_weight(len(bag)) * disagreement
        return Loss(total=torch.stack(list(terms.values())).sum(), terms=terms, logits=logits[0])

    def consistency_weight(self, n_patches: int) -> float:
        """Beta of Eq. 13, for a bag of this size (``consistency_patches``)."""
        settings = self.settings
        if settings.consistency != "variance" or not settings.consistency_patches or settings.as_released:
            return settings.consistency_weight
        return settings.consistency_weight * (n_patches / settings.consistency_patches) ** 2

    def masked_bag(self, bag: BagTensors, n_tokens: int) -> Tensor:
        """(T,) bool: the tokens that stay in the masked bag, drawn again in every call."""
        keep = STRATEGIES[self.settings.mask](bag, n_tokens, self.settings)
        if self.settings.as_released:
            keep[len(bag) :] = False
        return keep


def pseudo_bags(n_tokens: int, parts: int, *, device: torch.device) -> Tensor:
    """Shuffle the tokens and divide them into parts that differ by at most one (Eq. 6, 11).

    Returns
    -------
    Tensor
        (m, T) bool, every token in exactly one row; m = ``parts``, or T where there are fewer tokens.
    """
    parts = min(parts, n_tokens)
    if parts == 0:
        return torch.zeros((0, n_tokens), dtype=torch.bool, device=device)
    part = (torch.arange(n_tokens, device=device) % parts)[torch.randperm(n_tokens, device=device)]
    return part == torch.arange(parts, device=device)[:, None]
