"""The training loop: two images a step, their clicks, boxes and corrections; stopped and taken up at any time."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from cache import read
from losses import alikeness, loss_of
from prompts import Prompts, Things, boxes, clicks, corrected, several
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as nnf

from sam_mil_engine.segment.tissue_sam.decoder import GROUPS
from sam_mil_engine.segment.tissue_sam.encoder import WIDTH
from sam_mil_engine.segment.tissue_sam.model import build_tissue_sam

#: Learning rates of what is new and of the trunk's last stages, steps of warming up, weight of older weights.
_RATE, _RATE_TRUNK, _WARM, _AVERAGE = 2e-3, 1e-4, 50, 0.995
#: Share of the time after which the trunk's last stages are trained too.
_UNFREEZE = 0.6
#: Prompts of each kind a step.
_CLICKS, _BOXES, _SEVERAL = 6, 3, 2
#: Weights of clicks, boxes, several clicks, and these with a correction.
_WEIGHTS = (1.0, 0.5, 0.5, 0.4)
#: Weight of the embedding's own loss.
_ALIKE = 0.5
#: Images a step.
_IMAGES = 2


@dataclass
class Progress:
    """How far the training is.

    Attributes
    ----------
    steps, seconds, processor
        Steps, seconds that passed, and seconds that a processor worked.
    history
        Of every step: its number, loss, IoU of clicks, boxes, several, corrected ones; the embedding's own loss.
    """

    steps: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    history: list[tuple[float, ...]] = field(default_factory=list)


class Fitting:
    """A model in training.

    Parameters
    ----------
    sam
        From ``build_tissue_sam``.
    folder
        Where images lie (``cache.make``) and checkpoints go.
    seconds
        Processor time to train in all; the learning rate falls with a cosine over it. A machine that does other
        things too, or stands still for a while, gives the same training, only later.
    """

    def __init__(self, sam: Sam, folder: Path, *, seconds: float):
        self.sam, self.folder, self.seconds = sam, folder, seconds
        deep = list(sam.image_encoder.trunk.blocks[3:].parameters())
        known = {id(parameter) for parameter in sam.image_encoder.trunk.parameters()}
        new = [parameter for parameter in sam.parameters() if id(parameter) not in known]
        self.optimizer = torch.optim.AdamW(
            [{"params": new, "peak": _RATE}, {"params": deep, "peak": _RATE_TRUNK}], weight_decay=0.02
        )
        self.average = {name: value.detach().clone() for name, value in sam.state_dict().items()}
        self.progress = Progress()
        self._workers = ThreadPoolExecutor(_IMAGES)
        checkpoint = folder / "checkpoint.pt"
        if checkpoint.exists():
            self._take_up(torch.load(checkpoint, weights_only=True))

    def run(self, *, steps: int | None = None, save_every: float = 120.0) -> None:
        """Train until the time or the number of steps is over; a checkpoint is written every so many seconds."""
        saved = last = time.monotonic()
        worked = time.process_time()
        end = math.inf if steps is None else self.progress.steps + steps
        while self.progress.processor < self.seconds and self.progress.steps < end:
            self._step()
            now, works = time.monotonic(), time.process_time()
            self.progress.seconds += now - last
            self.progress.processor += works - worked
            last, worked = now, works
            if now - saved > save_every:
                self.save()
                saved = now
        self.save()

    def averaged(self) -> Sam:
        """Return the model with the running mean of its weights, in evaluation mode: what is kept."""
        sam = build_tissue_sam()
        sam.load_state_dict(self.average)
        return sam

    def save(self) -> None:
        """Write the checkpoint: weights, their running mean, the optimiser and how far it is."""
        state = {
            "sam": self.sam.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }
        temporary = self.folder / "checkpoint.tmp"
        torch.save(state, temporary)
        temporary.rename(self.folder / "checkpoint.pt")

    def _take_up(self, state: dict) -> None:
        self.sam.load_state_dict(state["sam"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])

    def _step(self) -> None:
        share = self.progress.processor / self.seconds
        self._set_rates(share, deep=share >= _UNFREEZE)
        trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        names = sorted(self.folder.glob("train-*.npz"))  # those that are there: more may be in the making
        rng = np.random.default_rng([3, self.progress.steps])
        chosen = [int(names[number].stem.split("-")[1]) for number in rng.integers(len(names), size=_IMAGES)]
        # One image a thread: on a processor that is faster than two threads for one image.
        results = list(
            self._workers.map(self._gradients, chosen, rng.spawn(_IMAGES), [share >= _UNFREEZE] * _IMAGES)
        )
        for parameter, *several_grads in zip(trained, *(grads for grads, _ in results), strict=True):
            found = [grad for grad in several_grads if grad is not None]
            parameter.grad = sum(found) / _IMAGES if found else None
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
            self._add_to_average()
        self.progress.steps += 1
        figures = np.mean([figures for _, figures in results], axis=0)
        self.progress.history.append((self.progress.steps, *figures.tolist()))

    def _gradients(
        self, number: int, rng: np.random.Generator, deep: bool
    ) -> tuple[list[Tensor | None], list[float]]:
        """Gradients by one image; loss, IoU of clicks, boxes, several, corrected; alikeness."""
        levels, truth, _ = read(self.folder, "train", number)
        things = Things(truth)
        embedding = self._embed(levels, deep=deep)
        kinds = [clicks(rng, things, _CLICKS), boxes(rng, things, _BOXES), several(rng, things, _SEVERAL)]
        found = [self._answer(embedding, prompts) for prompts in kinds]
        wrong = corrected(rng, kinds[2], _finer(found[2][2]))
        # one time in two the earlier answer is shown too, as SAM's predictor can
        found.append(self._answer(embedding, wrong, earlier=found[2][2] if rng.random() < 0.5 else None))
        loss = sum(weight * one[0] for weight, one in zip(_WEIGHTS, found, strict=True))
        trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        alike = alikeness(embedding[:, :WIDTH], truth, rng, groups=GROUPS)
        grads = torch.autograd.grad(loss + _ALIKE * alike, trained, allow_unused=True)
        return list(grads), [float(loss.detach()), *(one[1] for one in found), float(alike.detach())]

    def _embed(self, levels: list[Tensor], *, deep: bool) -> Tensor:
        levels = [level[None] for level in levels]
        encoder = self.sam.image_encoder
        if deep:
            levels = [*levels[:2], *encoder.trunk.deep(levels[1])]
        embedding: Tensor = encoder.neck(levels)
        return embedding

    def _answer(self, embedding: Tensor, prompts: Prompts, *, earlier: Tensor | None = None) -> tuple:
        """Loss, mean IoU, and the single answers' logits (B, 1, 128, 128)."""
        encoder = self.sam.prompt_encoder
        sparse, maps = encoder(points=(prompts.coords, prompts.labels), boxes=None, masks=earlier)
        # The trunk stays in float32: the gradient of its depthwise convolutions in bfloat16 is not a number.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, scores = self.sam.mask_decoder.coarse_masks(embedding, encoder.get_dense_pe(), sparse, maps)
        logits, scores = logits.float(), scores.float()
        return (*loss_of(logits, scores, prompts), logits[:, :1].detach())

    def _set_rates(self, share: float, *, deep: bool) -> None:
        fall = 0.5 * (1 + math.cos(math.pi * min(share, 1.0))) + 0.01
        warm = min(1.0, (self.progress.steps + 1) / _WARM)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * fall * warm
        if not deep:
            self.optimizer.param_groups[1]["lr"] = 0.0

    @torch.no_grad()
    def _add_to_average(self) -> None:
        keep = min(_AVERAGE, 1 - 1 / (self.progress.steps + 1) ** 0.9)
        for name, value in self.sam.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)


def _finer(logits: Tensor) -> Tensor:
    """(B, 1, 128, 128) -> (B, 256, 256) bool."""
    return nnf.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)[:, 0] > 0
