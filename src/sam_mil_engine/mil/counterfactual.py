"""What the model would say of a part of the bag: without some groups, or of them alone (methods §3).

The part is a bag of its own: the other patches are gone, the token of every group is the mean of its patches that
stay, and groups left empty lose theirs. (A token that kept the features of removed tissue would still report it.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .aggregator import Aggregator, AggregatorOutput, BagTensors
from .memberships import Pairs
from .pooling_of_parts import PoolingOfParts

#: Numbers in the largest array at once: bounds the memory for slides with many groups.
_BLOCK = 2_000_000


def logits_without_groups(model: Aggregator, bag: BagTensors, output: AggregatorOutput) -> Tensor:
    """Logits (L, C) of the bag without each group's patches; NaN where no patch is left.

    A group's patches are all its members, also those it shares with other groups.
    """
    return logits_of_parts(model, bag, output, [[group] for group in range(bag.n_groups)])


def logits_of_groups(model: Aggregator, bag: BagTensors, output: AggregatorOutput) -> Tensor:
    """Logits (L, C) of each group's patches as a bag of their own."""
    return logits_of_parts(model, bag, output, [[group] for group in range(bag.n_groups)], only=True)


def logits_of_parts(
    model: Aggregator,
    bag: BagTensors,
    output: AggregatorOutput,
    sets: Sequence[Sequence[int]],
    *,
    only: bool = False,
) -> Tensor:
    """Logits (S, C) of the bag without the patches of each set of groups, or of these alone.

    The results are those of the model on each part as a bag of its own. A softmax pooling scores every token
    by itself, so the patches are not projected again for each part, only group tokens that changed; any other
    model is run again for each.

    Parameters
    ----------
    output
        Of the model on the whole bag.
    sets
        Numbers of groups.
    only
        Keep the patches of the groups instead of removing them.

    Returns
    -------
    Tensor
        NaN where a part has no patch.
    """
    by_group = Pairs(bag.member_group, bag.member_patch, bag.n_groups)
    rows = max(1, _BLOCK // len(output.embeddings))
    blocks = [output.bias.new_zeros((0, len(output.bias)))]
    pooling = None
    if output.scores is not None and output.values is not None:
        pooling = PoolingOfParts(model, bag, output.scores, output.values)
    for first in range(0, len(sets), rows):
        stays = _members(bag, by_group, sets[first : first + rows]) == only
        if pooling is None:
            blocks.append(_run_again(model, bag, output, stays))
        else:
            blocks.append(pooling.pooled(stays, only=only) + output.bias)
        blocks[-1][~stays.any(dim=1)] = torch.nan
    return torch.cat(blocks)


def _members(bag: BagTensors, by_group: Pairs, sets: Sequence[Sequence[int]]) -> Tensor:
    """(B, N) bool: the patches that are in one of the groups of each set."""
    inside = torch.zeros((len(sets), len(bag)), dtype=torch.bool, device=bag.tokens.device)
    row = torch.tensor([row for row, groups in enumerate(sets) for _ in groups], dtype=torch.long)
    group = torch.tensor([group for groups in sets for group in groups], dtype=torch.long)
    place, patch = by_group.of(group.to(inside.device))
    inside[row.to(inside.device)[place], patch] = True
    return inside


def _run_again(model: Aggregator, bag: BagTensors, output: AggregatorOutput, stays: Tensor) -> Tensor:
    logits = output.logits.new_full((len(stays), len(output.logits)), torch.nan)
    for number, patches in enumerate(stays):
        if patches.any():
            logits[number] = model(bag.keeping(patches)).logits
    return logits
