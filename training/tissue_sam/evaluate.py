"""The one table: prompts and automatic masks on pictures that the model never saw, beside everything simpler."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from automatic_masks import POINTS, calibrate, compare
from cache import picture
from measures import objects, read_glas
from prompted import KINDS, ask
from prompts import Things
from rivals import NESTED, Mask, Masks, Model, Rgb, Rival, Trivial, felzenszwalb_masks
from segment_anything.modeling import Sam

from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.segment.predictor import SamPrompter
from sam_mil_engine.settings import SegmentSettings

MODEL, REGIONS = "tissue-sam", "regions"
#: Radii of discs in pixels: the table shows the best of them on the very data, which flatters it.
RADII = (15, 25, 40, 60, 90)
WHOLE, FULL_BOX = "all of the image", "disc; full box"
#: Things asked for on one drawn picture.
_ASKED = 8


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Tables of prompts (on glands, on drawn things), of automatic masks, of the calibration; settings."""

    glands: pd.DataFrame
    drawn: pd.DataFrame
    automatic: pd.DataFrame
    calibration: pd.DataFrame
    settings: SegmentSettings
    n_images: int

    @property
    def answers_prompts(self) -> bool:
        """Boxes and three clicks beat the trivial answers on GlaS."""
        table = mean_ious(self.glands)
        trivial = table.loc[[WHOLE, FULL_BOX]].max()
        return all(float(table.loc[MODEL, kind]) > float(trivial[kind]) for kind in ("three clicks", "box"))

    @property
    def is_default(self) -> bool:
        """Purity at as many groups, and the best IoU, are above those of ``regions``."""
        table = self.automatic.groupby("segmenter")[["purity", "best IoU"]].mean()
        return bool(
            table.loc[MODEL, "purity"] > table.loc[f"{REGIONS}, as many groups", "purity"]
            and table.loc[MODEL, "best IoU"] > table.loc[REGIONS, "best IoU"]
        )


def evaluate(sam: Sam, pictures: Path, glas: Path, *, asked: range, calibrating: range, step: int) -> Evaluation:
    """Choose thresholds on the held-out pictures ``calibrating``, ask on those ``asked`` and on GlaS, compare."""
    things = [drawn_things(pictures, number) for number in asked]
    chosen, calibration = calibrate(sam, [all_things(pictures, number) for number in calibrating])
    images = read_glas(glas, step=step)
    rivals = _rivals(sam)
    return Evaluation(
        ask(rivals, [(rgb, objects(mask)) for _, rgb, mask in images]),
        ask(rivals, things),
        compare(
            AutomaticSegmenter(sam, name=MODEL, version="", settings=chosen),
            [(rgb, mask) for _, rgb, mask in images],
        ),
        calibration,
        chosen,
        len(images),
    )


def _rivals(sam: Sam) -> dict[str, Rival]:
    trivial = {_disc(radius): Trivial(radius) for radius in RADII}
    return {
        MODEL: Model(SamPrompter(sam)),
        REGIONS: Masks(NESTED),
        "Felzenszwalb, three scales": Masks(felzenszwalb_masks),
        WHOLE: Trivial(None),
        **trivial,
        "ellipse in the box": Trivial(RADII[0], ellipse=True),
    }


def _disc(radius: float) -> str:
    return f"disc of {radius} px"


def drawn_things(folder: Path, number: int, *, part: str = "val") -> tuple[Rgb, list[Mask]]:
    """A held-out picture and some of its things, of every level, at its full size."""
    drawn = picture(folder, part, number)
    things, rng = Things(drawn.truth), np.random.default_rng([4, number])
    wanted = dict.fromkeys(things.draw(rng) for _ in range(_ASKED))
    return drawn.rgb, [_full_size(things.mask(*one)) for one in wanted]


def all_things(folder: Path, number: int) -> tuple[Rgb, list[Mask]]:
    """A held-out picture and everything in it: what masks without prompts may be of."""
    drawn = picture(folder, "val", number)
    things = Things(drawn.truth)
    every = [(level, int(one)) for level, numbers in enumerate(things.numbers) for one in numbers]
    return drawn.rgb, [_full_size(things.mask(*one)) for one in every]


def _full_size(mask: Mask) -> Mask:
    """Enlarge a mask of the truth to the size of its picture."""
    return np.kron(mask, np.ones((2, 2), dtype=bool))


def mean_ious(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean IoU by rival and kind; of the discs the best at each kind, with the full box."""
    table = rows.groupby(["rival", "kind"], sort=False)["iou"].mean().unstack()[list(KINDS)]
    discs = [_disc(radius) for radius in RADII]
    best = table.loc[discs].max().rename(FULL_BOX)
    table = pd.concat([table.drop(index=discs), best.to_frame().T])
    ellipse = "ellipse in the box"
    table.loc[ellipse, list(KINDS[:-1])] = np.nan
    return table


def automatic_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean figures by segmenter, and for Felzenszwalb of each of its scales."""
    return rows.drop(columns="picture").groupby("segmenter", sort=False).mean()


def grid_text(settings: SegmentSettings) -> str:
    """The automatic settings in words."""
    return (
        f"{POINTS} x {POINTS} points, no crops, predicted IoU above {settings.pred_iou_thresh:g},"
        f" stability at least {settings.stability_score_thresh:g}"
    )
