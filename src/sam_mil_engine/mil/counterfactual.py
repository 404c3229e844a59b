"""What the model would say of the bag without one of its groups (methods §3)."""

from __future__ import annotations

import torch
from torch import Tensor

from .aggregator import Aggregator, AggregatorOutput, BagTensors
from .attention import masked_softmax

#: Entries of one block of the groups x tokens weights: bounds the memory for slides with many groups.
_BLOCK = 4_000_000


def logits_without_groups(model: Aggregator, bag: BagTensors, output: AggregatorOutput) -> Tensor:
    """Logits (L, C) of the bag without each group's patches and token; NaN where no patch is left.

    A group's patches are all its members, also those it shares with other groups. Softmax pooling only
    normalises the known scores again over what stays; any other model is run again for each group.
    """
    everything = torch.bincount(bag.member_group, minlength=bag.n_groups) == len(bag)
    if output.scores is None or output.values is None:
        logits = torch.full((bag.n_groups, len(output.bias)), torch.nan, device=output.bias.device)
        for group in torch.nonzero(~everything).flatten().tolist():
            logits[group] = model(bag.without_group(group)).logits
        return logits
    n_tokens = len(output.scores)
    rows = max(1, _BLOCK // n_tokens)
    blocks = [output.values.new_zeros((0, len(output.bias)))]
    for first in range(0, bag.n_groups, rows):
        keep = _kept(bag, range(first, min(first + rows, bag.n_groups)), n_tokens)
        blocks.append(masked_softmax(output.scores, keep) @ output.values + output.bias)
    return torch.cat(blocks).masked_fill(everything[:, None], torch.nan)


def _kept(bag: BagTensors, groups: range, n_tokens: int) -> Tensor:
    """(B, T) bool: the tokens that stay without each of the groups."""
    keep = torch.ones((len(groups), n_tokens), dtype=torch.bool, device=bag.tokens.device)
    block = (bag.member_group >= groups.start) & (bag.member_group < groups.stop)
    keep[bag.member_group[block] - groups.start, bag.member_patch[block]] = False
    if n_tokens > len(bag):
        row = torch.arange(len(groups), device=keep.device)
        keep[row, len(bag) + groups.start + row] = False
    return keep
