"""The training loop: some images a step, their clicks, boxes and corrections; stopped and taken up at any time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from losses import alikeness, loss_of
from prompts import Prompts, Things, boxes, clicks, corrected, several
from safetensors.torch import save_file
from samples import Samples
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as nnf

from sam_mil_engine.segment.tissue_sam.decoder import GROUPS
from sam_mil_engine.segment.tissue_sam.encoder import SIDE, WIDTH, normalised
from sam_mil_engine.segment.tissue_sam.model import build_tissue_sam

#: Learning rates of neck and decoder and of the trunk's last stages, steps of warming up, weight of older weights.
_RATE, _RATE_TRUNK, _WARM, _AVERAGE = 8e-4, 1e-4, 100, 0.995
#: Prompts of each kind an image.
_CLICKS, _BOXES, _SEVERAL = 8, 4, 3
#: Weights of clicks, boxes, several clicks, and these with a correction.
_WEIGHTS = (1.0, 0.5, 0.5, 0.4)
#: Weight of the embedding's own loss.
_ALIKE = 0.5
#: Images a step; share of them of which a quarter is seen, at a quarter of the cost; pixels of its side.
IMAGES, _QUARTERS, _QUARTER = 2, 0.85, 256
#: The first of the trunk's stages that is trained.
_TRAINED = 3


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
        Where it starts: ``load_tissue_sam`` or ``build_tissue_sam``.
    samples
        What it is trained on.
    folder
        Where checkpoints go.
    seconds
        Processor time to train in all; the learning rate falls with a cosine over it. A machine that does other
        things too, or stands still for a while, gives the same training, only later.
    warm
        Steps over which the learning rate rises.
    """

    def __init__(self, sam: Sam, samples: Samples, folder: Path, *, seconds: float, warm: int = _WARM):
        self.sam, self.samples, self.folder, self.seconds, self.warm = sam, samples, folder, seconds, warm
        trunk = sam.image_encoder.trunk.to(memory_format=torch.channels_last)
        deep = list(trunk.blocks[_TRAINED:].parameters())
        known = {id(parameter) for parameter in trunk.parameters()}
        new = [parameter for parameter in sam.parameters() if id(parameter) not in known]
        self.optimizer = torch.optim.AdamW(
            [{"params": new, "peak": _RATE}, {"params": deep, "peak": _RATE_TRUNK}], weight_decay=0.02
        )
        self.average = {name: value.detach().clone() for name, value in sam.state_dict().items()}
        self.progress = Progress()
        checkpoint = folder / "checkpoint.pt"
        if checkpoint.exists():
            self._take_up(torch.load(checkpoint, weights_only=True))

    def run(self, *, steps: int | None = None, save_every: float = 120.0, keep_every: int = 500) -> None:
        """Train until the time or the number of steps is over.

        A checkpoint is written every so many seconds; every so many steps the averaged weights are kept, for the
        curve.
        """
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
            if self.progress.steps % keep_every == 0:
                self._keep()
        self.save()

    def averaged(self) -> Sam:
        """Return the model with the running mean of its weights, in evaluation mode: what is kept."""
        sam = build_tissue_sam()
        sam.load_state_dict(self.average)
        return sam

    def loss(self, images: int) -> float:
        """Mean loss over so many images, always the same ones."""
        found = [self._backward(np.random.default_rng([4, number]))[0] for number in range(images)]
        self.optimizer.zero_grad(set_to_none=True)
        return float(np.mean(found))

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

    def _keep(self) -> None:
        weights = {name: value.half().contiguous() for name, value in self.average.items()}
        save_file(weights, self.folder / f"average-{self.progress.steps:06d}.safetensors")

    def _take_up(self, state: dict) -> None:
        self.sam.load_state_dict(state["sam"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])

    def _step(self) -> None:
        self._set_rates(self.progress.processor / self.seconds)
        self.optimizer.zero_grad(set_to_none=True)
        rng = np.random.default_rng([3, self.progress.steps])
        figures = np.mean([self._backward(rng) for _ in range(IMAGES)], axis=0)
        trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
            self._add_to_average()
        self.progress.steps += 1
        self.progress.history.append((self.progress.steps, *figures.tolist()))

    def _backward(self, rng: np.random.Generator) -> list[float]:
        """Add the gradients by one image; loss, IoU of clicks, boxes, several, corrected; alikeness."""
        drawn = self.samples.draw(rng)
        rgb, truth, window = _window(rng, drawn.rgb, drawn.truth)
        while not truth.any():
            rgb, truth, window = _window(rng, drawn.rgb, drawn.truth)
        things = Things(truth)
        if not things.any():
            return self._backward(rng)
        embedding = self._embed(rgb)
        kinds = [clicks(rng, things, _CLICKS), boxes(rng, things, _BOXES), several(rng, things, _SEVERAL)]
        found = [self._answer(embedding, prompts, window) for prompts in kinds]
        wrong = corrected(rng, kinds[2], _finer(found[2][2]))
        # one time in two the earlier answer is shown too, as SAM's predictor can
        earlier = found[2][2] if rng.random() < 0.5 else None
        found.append(self._answer(embedding, wrong, window, earlier=earlier))
        loss = sum(weight * one[0] for weight, one in zip(_WEIGHTS, found, strict=True))
        alike = alikeness(embedding[:, :WIDTH], truth, rng, groups=GROUPS)
        ((loss + _ALIKE * alike) / IMAGES).backward()
        return [float(loss.detach()), *(one[1] for one in found), float(alike.detach())]

    def _embed(self, rgb: np.ndarray) -> Tensor:
        encoder = self.sam.image_encoder
        with torch.no_grad():
            first, second = encoder.trunk.shallow(normalised(rgb).contiguous(memory_format=torch.channels_last))
        embedding: Tensor = encoder.neck([first, second, *encoder.trunk.deep(second)])
        return embedding

    def _answer(
        self, embedding: Tensor, prompts: Prompts, window: tuple[int, int], *, earlier: Tensor | None = None
    ) -> tuple:
        """Loss, mean IoU, and the single answers' logits (B, 1, 2 h, 2 w).

        ``window`` is the row and column of the embedding's first pixel in that of the whole image: prompts are put
        where they lie in the whole.
        """
        encoder = self.sam.prompt_encoder
        height, width = embedding.shape[-2:]
        row, column = window
        coords = prompts.coords + 8 * torch.tensor([column, row])
        sparse, maps = encoder(points=(coords, prompts.labels), boxes=None, masks=None)
        maps, position = (
            field[..., row : row + height, column : column + width] for field in (maps, encoder.get_dense_pe())
        )
        if earlier is not None:
            drawn = nnf.adaptive_avg_pool2d(torch.tanh(earlier.float() / 2), (height, width))
            maps = torch.cat([maps[:, :-1], drawn], dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, scores = self.sam.mask_decoder.coarse_masks(embedding, position, sparse, maps)
        logits, scores = logits.float(), scores.float()
        return (*loss_of(logits, scores, prompts), logits[:, :1].detach())

    def _set_rates(self, share: float) -> None:
        fall = 0.5 * (1 + math.cos(math.pi * min(share, 1.0))) + 0.01
        warm = min(1.0, (self.progress.steps + 1) / self.warm)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * fall * warm

    @torch.no_grad()
    def _add_to_average(self) -> None:
        keep = min(_AVERAGE, 1 - 1 / (self.progress.steps + 1) ** 0.9)
        for name, value in self.sam.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)


def _window(
    rng: np.random.Generator, rgb: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """The whole, or a quarter of it with its row and column in the embedding."""
    if rng.random() > _QUARTERS:
        return rgb, truth, (0, 0)
    row, column = (rng.integers(0, (SIDE - _QUARTER) // 32 + 1, size=2) * 32).tolist()
    seen = rgb[row : row + _QUARTER, column : column + _QUARTER]
    known = truth[:, row // 2 : (row + _QUARTER) // 2, column // 2 : (column + _QUARTER) // 2]
    return seen, np.ascontiguousarray(known), (row // 8, column // 8)


def _finer(logits: Tensor) -> Tensor:
    """(B, 1, h, w) -> (B, 2 h, 2 w) bool."""
    return nnf.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)[:, 0] > 0
