"""MHIM-MIL, version 1: a teacher hides from the student what is easy (Tang et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..settings import MhimSettings, ModelSettings
from .aggregator import Aggregator, AggregatorOutput, BagTensors, Loss
from .building import build_aggregator


class Mhim(Aggregator):
    """A student that learns from bags without the patches that its teacher's attention picks out.

    Stage 1 trains a baseline. The teacher starts as that baseline and follows the student as a moving average; the
    student starts afresh but for the baseline's projection (``student_init``), as in the released recipes. In every
    step the teacher sees the whole bag (with dropout, as released), patches are masked by its attention
    (:func:`masked_patches`), and the student sees the rest and minimises

        L = CE(student) + consistency * CE(softmax(bag feature of the teacher / temperature), that of the student)

    The student predicts, and says of its tokens what the baseline's class says. With ``settings.groups`` the group
    features join the patches as tokens and are never masked.
    """

    accepts_groups = True
    stages = ("baseline", "mhim")

    step: Tensor
    steps_per_epoch: Tensor

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        self.student = self._fresh_base()
        self.teacher = self._fresh_base().requires_grad_(False)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("steps_per_epoch", torch.ones((), dtype=torch.int64))

    def prepare_stage(self, bags: Sequence[BagTensors]) -> None:
        """Make the trained baseline the teacher, and start a student."""
        if self.stage != "mhim":
            return
        trained = self.student.state_dict()
        self.teacher.load_state_dict(trained)
        taken = {"none": (), "projection": ("project.",), "all": ("",)}[self.settings.mhim.student_init]
        fresh = self._fresh_base().state_dict()
        self.student.load_state_dict(fresh | {name: trained[name] for name in trained if name.startswith(taken)})
        self.step.zero_()
        self.steps_per_epoch.fill_(len(bags))

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag with the student."""
        output: AggregatorOutput = self.student(bag)
        return output

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C): those of the student."""
        return self.student.patch_logits(output, n_patches)

    def pooling_parts(self, tokens: Tensor) -> tuple[Tensor, Tensor] | None:
        """Those of the student."""
        return self.student.pooling_parts(tokens)

    def loss(self, bag: BagTensors, label: Tensor) -> Loss:
        """Loss of the baseline in stage 1; in stage 2 ``terms`` holds ``bag`` and the weighted ``consistency``."""
        if self.stage == "baseline":
            return self.student.loss(bag, label)
        options = self.settings.mhim
        with torch.no_grad():
            taught = self.teacher.pooled(bag)
            masked = masked_patches(taught.attention[:, : len(bag)], options, high=self.high_ratio())
            target = torch.softmax(taught.feature / options.temperature, dim=-1)
        learnt = self.student.pooled(_without(bag, masked))
        terms = {"bag": cross_entropy(learnt.logits[None], label[None])}
        if options.consistency:
            terms["consistency"] = options.consistency * cross_entropy(learnt.feature[None], target[None])
        return Loss(total=torch.stack(list(terms.values())).sum(), terms=terms, logits=learnt.logits)

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the teacher towards the student."""
        if self.stage == "mhim":
            self.step += 1
            for theirs, ours in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
                theirs.lerp_(ours, 1 - self.settings.mhim.momentum)

    def high_ratio(self) -> float:
        """Share of the patches that is masked for its high attention, at this step."""
        options = self.settings.mhim
        if not options.high_decay_epochs:
            return options.high
        done = float(self.step / (options.high_decay_epochs * self.steps_per_epoch))
        return options.high * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    def _fresh_base(self) -> Aggregator:
        settings = self.settings.model_copy(update={"name": self.settings.mhim.base})
        return build_aggregator(settings, dim=self.dim, n_classes=self.n_classes)


def masked_patches(attention: Tensor, settings: MhimSettings, *, high: float) -> Tensor:
    """Choose the patches that the student does not see (version 1; every number is rounded up).

    ``random`` of all at random, the ``low`` share with the lowest attention, and ``high`` of all drawn at random
    from the ``high / high_share`` with the highest (all of them, if that is more than all); these may overlap.
    Several heads vote: the patches with the most heads that count them among their highest or lowest. If nothing
    were left, the patch with the lowest attention stays.

    Parameters
    ----------
    attention
        (heads, N), the teacher's.

    Returns
    -------
    Tensor
        (N,) bool, True = masked.
    """
    n = attention.shape[1]
    masked = torch.zeros(n, dtype=torch.bool, device=attention.device)
    masked[torch.randperm(n, device=attention.device)[: math.ceil(n * settings.random)]] = True
    masked[_voted(-attention, math.ceil(n * settings.low))] = True
    candidates = _voted(attention, math.ceil(n * min(high / settings.high_share, 1.0)))
    share = settings.high_share if high <= settings.high_share else high
    drawn = torch.randperm(len(candidates), device=attention.device)[: math.ceil(len(candidates) * share)]
    masked[candidates[drawn]] = True
    if masked.all():
        masked[attention.mean(dim=0).argmin()] = False
    return masked


def _voted(scores: Tensor, count: int) -> Tensor:
    """(count,) patches that most heads have among their ``count`` highest scores (heads, N)."""
    votes = torch.zeros_like(scores).scatter_(1, scores.topk(count, dim=1).indices, 1.0).sum(dim=0)
    return votes.topk(count).indices


def _without(bag: BagTensors, masked: Tensor) -> BagTensors:
    """Return the bag without the masked patches and without memberships, which no base uses."""
    stays = ~masked
    tokens = torch.cat([stays, stays.new_ones(len(bag.tokens) - len(bag))])
    return replace(
        bag,
        tokens=bag.tokens[tokens],
        coords_px0=bag.coords_px0[stays],
        group_of_patch=bag.group_of_patch[stays],
        member_group=bag.member_group[:0],
        member_patch=bag.member_patch[:0],
    )
