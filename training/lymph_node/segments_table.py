"""The table of `segments.py`: every finished run on the test slides, the groups, and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from maps import TestBag, drawn_slides, map_of, metrics_of_run, read_test_bag
from segments import AGAIN, ARMS, COMPOSED, PUBLISHED, SEGMENTS, SHUFFLED, bags_of, finished, run_of
from templates import SEGMENTS_TABLE
from text import markdown, wrapped
from train import MODEL, SEEDS

from sam_mil_engine.training.bootstrap import interval
from sam_mil_engine.training.checkpoint import load_model

#: True segments trained by one and the same code; seeds beyond the planned ones are compared among them.
_ONE_CODE = ("regions-32", AGAIN, "stain-regions-64")
METRICS = ("slide AUC", "patch AUC", "average precision")
#: The seed with which today's default failed.
FAILED = 2
#: An interval of fewer seeds marks nothing.
LEAST_SEEDS = 3
#: Seed with which the runs of a resample are drawn.
_DRAW = 17
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Arm:
    """What was measured of one arm: its groups, and of each seed the validation AUC and the resampled metrics.

    ``metrics`` maps a seed to metric -> (B,), the first of all test slides, the others as the bootstrap draws them.
    """

    groups: Mapping[str, float]
    validation: Mapping[int, float]
    metrics: Mapping[int, Mapping[str, Vector]]

    def of(self, seeds: Iterable[int]) -> Arm:
        """The same of some seeds alone, as far as they are finished."""
        own = [seed for seed in seeds if seed in self.validation]
        validation, metrics = ({seed: known[seed] for seed in own} for known in (self.validation, self.metrics))
        return Arm(self.groups, validation, metrics)


def measure(work: Path, arm: str, slides: Sequence[str]) -> Arm | None:
    """Test the finished runs of an arm; None where there is none."""
    validation = finished(work, arm)
    if not validation:
        return None
    tests = [read_test_bag(work, slide, bags=bags_of(work, arm)) for slide in slides]
    metrics = {seed: test_run(work, arm, seed, tests) for seed in validation}
    print("tested", arm, *validation, flush=True)
    return Arm(group_facts(tests), validation, metrics)


def test_run(work: Path, arm: str, seed: int, tests: Sequence[TestBag]) -> dict[str, Vector]:
    """Metric -> (B,) of one run; it is tested once, and read the next time."""
    path = work / "segments" / "tested" / f"{arm}-{seed}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        model = load_model(run_of(work, arm, seed), device="cpu")
        found = metrics_of_run([map_of(model, test) for test in tests], drawn_slides(len(tests)))
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.savez(file, **{name: found[name] for name in METRICS})
        temporary.rename(path)
    with np.load(path) as file:
        return {name: file[name] for name in METRICS}


def group_facts(tests: Sequence[TestBag]) -> dict[str, float]:
    """Means over test slides: groups, patches of the smallest group of a patch, and its share of tumour.

    ``purity`` is how much of the smallest group around a tumour patch is tumour, mean over the tumour patches of a
    slide and then over tumour slides; a patch in no group counts as a group of its own.
    """
    purity, size = [], []
    for test in tests:
        own = test.bag.groups.group_of_patch
        alone = np.where(own >= 0, own, len(test.bag.groups) + np.arange(len(own)))
        _, number, count = np.unique(alone, return_inverse=True, return_counts=True)
        size.append(float(np.median(count[number])))
        if test.inside.any():
            share = np.bincount(number, weights=test.inside) / count
            purity.append(float(share[number][test.inside].mean()))
    groups = float(np.mean([len(test.bag.groups) for test in tests]))
    return {"groups": groups, "patches": float(np.mean(size)), "purity": float(np.mean(purity))}


def difference(one: Arm, other: Arm, metric: str) -> str:
    """Mean difference over the seeds of both, its 95% interval over slides and runs, and how many seeds gain."""
    seeds = sorted(set(one.metrics) & set(other.metrics))
    gain = np.stack([one.metrics[seed][metric] - other.metrics[seed][metric] for seed in seeds])
    rng = np.random.default_rng(_DRAW)
    drawn = rng.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=gain.shape[1]) / len(seeds)
    low, high = interval((drawn.T * gain).sum(axis=0)[1:])
    sure = "**" if (low > 0 or high < 0) and len(seeds) >= LEAST_SEEDS else ""
    ups = int((gain[:, 0] > 0).sum())
    return f"{sure}{gain[:, 0].mean():+.3f}{sure} ({low:+.3f} to {high:+.3f}), {ups} of {len(seeds)}"


def pairs(arms: Mapping[str, Arm]) -> list[tuple[str, str]]:
    """Every two true arms, every true arm with its shuffled one, and the same training by older and newer code."""
    two = [(newer, older) for newer, older in combinations(reversed(SEGMENTS), 2)]
    own = [(name, name + SHUFFLED) for name in SEGMENTS]
    return [pair for pair in (*two, *own, (AGAIN, COMPOSED)) if set(pair) <= set(arms)]


def spread(values: Sequence[float]) -> str:
    """Mean ± SD; no SD of one value."""
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def title(arm: str) -> str:
    """An arm as the table names it."""
    if arm == AGAIN:
        return f"{title(COMPOSED)}, again"
    settings = SEGMENTS.get(name := arm.removesuffix(SHUFFLED))
    if settings is None:
        return arm
    parts = f" {settings.cuts[0]} to {settings.cuts[-1]} of {settings.superpixels}" if "regions" in name else ""
    return f"`{settings.segmenter}`{parts}" + (", shuffled" if name != arm else "")


def table_text(work: Path) -> str:
    """Return segments.md, of the runs that are finished."""
    labels = pd.read_csv(work / "labels.csv")
    slides = list(labels.loc[labels["split"] == "test", "slide_id"])
    names = dict.fromkeys([*(name + kind for name in SEGMENTS for kind in ("", SHUFFLED)), *ARMS, *PUBLISHED])
    measured = {arm: measure(work, arm, slides) for arm in names}
    arms = {name: arm for name, arm in measured.items() if arm is not None}
    planned = {name: arm.of(SEEDS) for name, arm in arms.items()}
    text: dict[str, Any] = {
        "consistency": MODEL.consistency_weight,
        "least": labels["patches"].min(),
        "most": labels["patches"].max(),
        "least_seeds": LEAST_SEEDS,
        "n": len(pairs(planned)) * len(METRICS),
        "table": metrics_table(planned),
        "differences": difference_table(planned, pairs(planned)),
        "by_seed": by_seed(arms),
        "more": more_seeds(arms),
        "failed": FAILED,
        "without": without_failed(arms),
        "share": f"{labels.loc[labels['split'] == 'test'].query('tumour_share > 0')['tumour_share'].mean():.2f}",
    }
    return wrapped(SEGMENTS_TABLE.format(**text))


def more_seeds(arms: Mapping[str, Arm]) -> str:
    """Tables of all seeds that the true segments of one code share, with the shuffled ones that have them too."""
    known = [set(arms[name].validation) if name in arms else set() for name in _ONE_CODE]
    shared = sorted(set.intersection(*known))
    if set(shared) <= set(SEEDS):
        return "None yet."
    own = [(name, name + SHUFFLED) for name in _ONE_CODE]
    whole = [name for pair in own for name in pair if name in arms and set(shared) <= set(arms[name].validation)]
    chosen = {name: arms[name].of(shared) for name in whole}
    two = [*combinations(reversed(_ONE_CODE), 2), *(pair for pair in own if pair[1] in chosen)]
    return f"{metrics_table(chosen)}\n\n{difference_table(chosen, two)}"


def without_failed(arms: Mapping[str, Arm]) -> str:
    """Slide AUC of today's default against the published segments, without the seed that failed."""
    if not {AGAIN, "stain-regions-64"} <= set(arms):
        return "unknown"
    one, other = (arms[name].of(set(arms[name].validation) - {FAILED}) for name in ("stain-regions-64", AGAIN))
    return difference(one, other, METRICS[0])


def metrics_table(arms: Mapping[str, Arm]) -> str:
    """Groups, and mean ± SD over seeds of every metric."""
    header = ["segments", "seeds", "groups", "patches", "purity", "validation AUC", *METRICS]
    return markdown(header, [_row(name, arm) for name, arm in arms.items()])


def difference_table(arms: Mapping[str, Arm], chosen: Sequence[tuple[str, str]]) -> str:
    """Paired differences of every metric."""
    rows = [
        [f"{title(one)} − {title(other)}", *(difference(arms[one], arms[other], metric) for metric in METRICS)]
        for one, other in chosen
    ]
    return markdown(["segments", *METRICS], rows)


def by_seed(arms: Mapping[str, Arm]) -> str:
    """Slide AUC of every run, and in brackets its validation AUC."""
    seeds = sorted({seed for arm in arms.values() for seed in arm.validation})
    rows = [
        [title(name), *(_both(arm, seed) if seed in arm.validation else "" for seed in seeds)]
        for name, arm in arms.items()
    ]
    return markdown(["segments", *map(str, seeds)], rows)


def _both(arm: Arm, seed: int) -> str:
    return f"{arm.metrics[seed]['slide AUC'][0]:.2f} ({arm.validation[seed]:.2f})"


def _row(name: str, arm: Arm) -> list[str]:
    groups = arm.groups
    facts = [f"{groups['groups']:.0f}", f"{groups['patches']:.0f}", f"{groups['purity']:.2f}"]
    if name == "no groups":
        facts = ["none"] * 3
    metrics = [spread([own[metric][0] for own in arm.metrics.values()]) for metric in METRICS]
    return [title(name), str(len(arm.metrics)), *facts, spread(list(arm.validation.values())), *metrics]
