"""Which tokens a masked bag keeps: SAM-guided group masking (SG2M) and the strategies it is compared with.

A strategy takes a bag, the number of its tokens T (patches, then group tokens) and the settings, and returns a
boolean mask (T,): True stays. At least one patch always stays. All draw from torch's global generator.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..settings import ModelSettings
from .aggregator import BagTensors

Strategy = Callable[[BagTensors, int, ModelSettings], Tensor]

#: Pixels of the segmentation image that a patch counts as where areas are counted in patches: the half-way point of
#: the paper, 5,000 pixels, is then 300 patches, as with patches of 512 px on a slide of CAMELYON-16.
PIXELS_OF_PATCH = 5000 / 300


def removed_per_group(sizes: Tensor, areas: Tensor, settings: ModelSettings) -> Tensor:
    """How many patches SG2M takes out of each group (SAM-MIL Eq. 5, 7).

    R_k = sigmoid(a A_k + b), MR_k = ratio R_k; round(MR_k n_k) patches go, half to even, and one stays.

    Parameters
    ----------
    sizes
        (K,) int64 patches in each group, n_k.
    areas
        (K,) segment areas A_k in pixels of the segmentation image (:func:`mask_areas`).

    Returns
    -------
    Tensor
        (K,) int64.
    """
    ratio = settings.mask_ratio * torch.sigmoid(settings.mask_a * areas + settings.mask_b)
    wanted = torch.round(ratio * sizes).to(torch.int64)
    return torch.minimum(wanted, (sizes - 1).clamp(min=0))


def mask_areas(bag: BagTensors, settings: ModelSettings) -> Tensor:
    """(L,) A_k of Eq. 5: the paper's area in pixels, or the patches of the segment times ``PIXELS_OF_PATCH``."""
    if settings.mask_area == "raster":
        return bag.group_area
    patches = torch.bincount(bag.member_group, minlength=bag.n_groups)
    return patches.to(bag.group_area.dtype) * PIXELS_OF_PATCH


def keep_by_group(bag: BagTensors, n_tokens: int, settings: ModelSettings) -> Tensor:
    """SG2M (Eq. 5-10): large segments lose many of their patches, small ones few; group tokens stay.

    Groups are the partition g; patches of no segment form one more group of area 1 (methods §1).
    All groups are drawn at once: shuffle, sort by group without disturbing the shuffle, and remove the first
    few of every group.
    """
    n, unsegmented = len(bag), bag.n_groups
    group = torch.where(bag.group_of_patch < 0, unsegmented, bag.group_of_patch)
    areas = mask_areas(bag, settings)
    areas = torch.cat([areas, areas.new_ones(1)])
    sizes = torch.bincount(group, minlength=unsegmented + 1)
    removed = removed_per_group(sizes, areas, settings)
    order = torch.randperm(n, device=group.device)
    order = order[torch.argsort(group[order], stable=True)]
    sorted_group = group[order]
    rank = torch.arange(n, device=group.device) - (sizes.cumsum(0) - sizes)[sorted_group]
    keep = torch.ones(n_tokens, dtype=torch.bool, device=group.device)
    keep[order] = rank >= removed[sorted_group]
    return keep


def keep_all(bag: BagTensors, n_tokens: int, settings: ModelSettings) -> Tensor:
    """No masking."""
    return torch.ones(n_tokens, dtype=torch.bool, device=bag.tokens.device)


def keep_random(bag: BagTensors, n_tokens: int, settings: ModelSettings) -> Tensor:
    """Remove the share ``mask_ratio`` of all tokens, group tokens among them, at random; one patch stays."""
    keep = _keep_share(n_tokens, settings.mask_ratio, bag.tokens.device)
    if not keep[: len(bag)].any():
        keep[torch.randint(len(bag), (1,), device=keep.device)] = True
    return keep


def keep_random_patches(bag: BagTensors, n_tokens: int, settings: ModelSettings) -> Tensor:
    """Remove the share ``mask_ratio`` of the patches at random; group tokens stay."""
    patches = _keep_share(len(bag), settings.mask_ratio, bag.tokens.device)
    return torch.cat([patches, patches.new_ones(n_tokens - len(bag))])


def _keep_share(count: int, ratio: float, device: torch.device) -> Tensor:
    removed = min(round(ratio * count), count - 1)
    return torch.randperm(count, device=device) >= removed


#: The values of ``ModelSettings.mask``.
STRATEGIES: dict[str, Strategy] = {
    "sg2m": keep_by_group,
    "none": keep_all,
    "random": keep_random,
    "random-patches": keep_random_patches,
}
