"""What the model would say of a part of the bag: without some groups, or of them alone (methods §3).

The part is a bag of its own: the other patches are gone, the token of every group is the mean of its patches that
stay, and groups left empty lose theirs. (A token that kept the features of removed tissue would still report it.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .aggregator import Aggregator, AggregatorOutput, BagTensors
from .attention import masked_softmax
from .group_means import GroupMeans

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
    n_tokens = len(output.embeddings)
    rows = max(1, _BLOCK // n_tokens)
    blocks = [output.bias.new_zeros((0, len(output.bias)))]
    means = bag.group_means()
    for first in range(0, len(sets), rows):
        stays = torch.stack([_members(bag, groups) == only for groups in sets[first : first + rows]])
        if output.scores is None or output.values is None:
            blocks.append(_run_again(model, bag, output, stays))
        else:
            pooled = _pooled(model, bag, output.scores, output.values, stays=stays, means=means)
            blocks.append(pooled + output.bias)
        blocks[-1][~stays.any(dim=1)] = torch.nan
    return torch.cat(blocks)


def _members(bag: BagTensors, groups: Sequence[int]) -> Tensor:
    """(N,) bool: the patches that are in one of the groups."""
    chosen = torch.zeros(bag.n_groups, dtype=torch.bool, device=bag.tokens.device)
    chosen[list(groups)] = True
    inside = torch.zeros(len(bag), dtype=torch.bool, device=bag.tokens.device)
    inside[bag.member_patch[chosen[bag.member_group]]] = True
    return inside


def _run_again(model: Aggregator, bag: BagTensors, output: AggregatorOutput, stays: Tensor) -> Tensor:
    logits = output.logits.new_full((len(stays), len(output.logits)), torch.nan)
    for number, patches in enumerate(stays):
        if patches.any():
            logits[number] = model(bag.keeping(patches)).logits
    return logits


def _pooled(
    model: Aggregator, bag: BagTensors, scores: Tensor, values: Tensor, *, stays: Tensor, means: GroupMeans
) -> Tensor:
    """(B, C) softmax(scores) @ values over the tokens of every part; ``stays`` is (B, N)."""
    n = len(bag)
    if len(scores) == n:
        return masked_softmax(scores, stays) @ values
    row, member = torch.nonzero(stays[:, bag.member_patch], as_tuple=True)
    places = row * bag.n_groups + bag.member_group[member]
    left = torch.bincount(places, minlength=len(stays) * bag.n_groups).view(len(stays), bag.n_groups)
    sizes = torch.bincount(bag.member_group, minlength=bag.n_groups)
    all_scores, own_values = scores.repeat(len(stays), 1), values[n:].repeat(len(stays), 1, 1)
    changed_row, changed = torch.nonzero((left > 0) & (left < sizes), as_tuple=True)
    largest = max(bag.width, int(sizes.max()))  # numbers of a token, or members that are looked through for it
    step = max(1, _BLOCK // largest)
    for first in range(0, len(changed), step):
        at = changed_row[first : first + step], changed[first : first + step]
        found = model.pooling_parts(means.of(stays, *at))
        if found is None:
            raise TypeError(f"{type(model).__name__} takes group tokens and does not implement pooling_parts")
        all_scores[at[0], n + at[1]], own_values[at] = found
    weights = masked_softmax(all_scores, torch.cat([stays, left > 0], dim=1))
    return weights[:, :n] @ values[:n] + torch.einsum("bl,blc->bc", weights[:, n:], own_values)
