"""The table of `segments.py`: every finished run, the groups, paired differences, and the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from maps import TestBag, drawn_slides, map_of, metrics_of_run, read_test_bag
from segments import GRID, NONE, SEGMENTS, SHUFFLED, bags_of, finished, run_of
from templates import SEGMENTS_TABLE
from text import markdown, wrapped

from sam_mil_engine.training.bootstrap import interval
from sam_mil_engine.training.checkpoint import load_model

#: What passed the gate of the segments, and what is the default before it.
CANDIDATE, RIVAL = "tissue-regions-64", "stain-regions-64"
METRICS = ("slide AUC", "patch AUC", "average precision")
#: Those of the validation slides that decide.
DECIDED_BY = METRICS[:2]
#: An interval of fewer seeds marks nothing.
LEAST_SEEDS = 3
#: Seed with which the runs of a resample are drawn.
_DRAW = 17
Vector = npt.NDArray[np.float64]
#: Seed -> metric -> (B,).
Runs = Mapping[int, Mapping[str, Vector]]


@dataclass(frozen=True, slots=True)
class Arm:
    """What was measured of one arm: its groups, and of each seed the metrics of the slides of a part.

    ``validation`` and ``metrics``, the latter of the test slides, map a seed to metric -> (B,), the first of all
    slides, the others as the bootstrap draws them.
    """

    groups: Mapping[str, float]
    validation: Mapping[int, Mapping[str, Vector]]
    metrics: Mapping[int, Mapping[str, Vector]]


def measure(work: Path, arm: str, slides: Mapping[str, Sequence[str]]) -> Arm | None:
    """Measure the finished runs of an arm on the slides of both parts; None where there is none."""
    seeds = finished(work, arm)
    if not seeds:
        return None
    bags = {part: [read_test_bag(work, one, bags=bags_of(work, arm)) for one in slides[part]] for part in slides}
    found = {part: {seed: measure_run(work, arm, seed, bags[part], part) for seed in seeds} for part in bags}
    print("measured", arm, *seeds, flush=True)
    return Arm(group_facts(bags["test"]), found["val"], found["test"])


def measure_run(work: Path, arm: str, seed: int, bags: Sequence[TestBag], part: str) -> dict[str, Vector]:
    """Metric -> (B,) of one run on the slides of a part; it is measured once, and read the next time."""
    path = work / "segments" / "measured" / part / f"{arm.replace(' ', '-')}-{seed}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        model = load_model(run_of(work, arm, seed), device="cpu")
        found = metrics_of_run([map_of(model, bag) for bag in bags], drawn_slides(len(bags)))
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


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean difference of a metric over seeds, its 95% interval, and in how many of the seeds it is a gain."""

    mean: float
    low: float
    high: float
    gains: int
    seeds: int

    def __str__(self) -> str:
        sure = "**" if (self.low > 0 or self.high < 0) and self.seeds >= LEAST_SEEDS else ""
        return f"{sure}{self.mean:+.3f}{sure} ({self.low:+.3f} to {self.high:+.3f}), {self.gains} of {self.seeds}"


def difference(one: Runs, other: Runs, metric: str) -> Difference:
    """Of two arms on the same slides; the interval is of a bootstrap over slides and seeds."""
    seeds = sorted(set(one) & set(other))
    gain = np.stack([one[seed][metric] - other[seed][metric] for seed in seeds])
    rng = np.random.default_rng(_DRAW)
    drawn = rng.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=gain.shape[1]) / len(seeds)
    low, high = interval((drawn.T * gain).sum(axis=0)[1:])
    return Difference(float(gain[:, 0].mean()), low, high, int((gain[:, 0] > 0).sum()), len(seeds))


def decision(arms: Mapping[str, Arm]) -> str:
    """Whether SAM-MIL allows the candidate for the default, by the validation slides, in words."""
    one, other = arms[CANDIDATE].validation, arms[RIVAL].validation
    found = {metric: difference(one, other, metric) for metric in DECIDED_BY}
    figures = ", ".join(f"{metric} {value}" for metric, value in found.items())
    worse = [metric for metric, value in found.items() if value.high < 0]
    verdict = (
        f"is worse in {' and '.join(worse)}: it does not become the default" if worse else "may be the default"
    )
    return f"Validation slides, {title(CANDIDATE)} − {title(RIVAL)}: {figures}. {title(CANDIDATE)} {verdict}."


def pairs(arms: Mapping[str, Arm]) -> list[tuple[str, str]]:
    """Every two true arms, every true arm with its shuffled one, and the rival with squares and with no groups."""
    two = [(newer, older) for newer, older in combinations(reversed(SEGMENTS), 2)]
    own = [(name, name + SHUFFLED) for name in SEGMENTS]
    rest = [(name, control) for name in (CANDIDATE, RIVAL) for control in (GRID, NONE)]
    return [pair for pair in (*two, *own, *rest) if set(pair) <= set(arms)]


def spread(values: Sequence[float]) -> str:
    """Mean ± SD; no SD of one value."""
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def title(arm: str) -> str:
    """An arm as the table names it."""
    settings = SEGMENTS.get(name := arm.removesuffix(SHUFFLED))
    if settings is None:
        return arm
    parts = f" {settings.cuts[0]} to {settings.cuts[-1]} of {settings.superpixels}" if "regions" in name else ""
    return f"`{settings.segmenter}`{parts}" + (", shuffled" if name != arm else "")


def table_text(work: Path) -> str:
    """Return segments.md, of the runs that are finished."""
    labels = pd.read_csv(work / "labels.csv")
    slides = {part: list(labels.loc[labels["split"] == part, "slide_id"]) for part in ("val", "test")}
    names = [*(name + kind for name in SEGMENTS for kind in ("", SHUFFLED)), GRID, NONE]
    measured = {arm: measure(work, arm, slides) for arm in names}
    arms = {name: arm for name, arm in measured.items() if arm is not None}
    text: dict[str, Any] = {
        "least": labels["patches"].min(),
        "most": labels["patches"].max(),
        "least_seeds": LEAST_SEEDS,
        "n": len(pairs(arms)) * len(METRICS),
        "candidate": title(CANDIDATE),
        "rival": title(RIVAL),
        "decision": decision(arms),
        "table": metrics_table(arms),
        "differences": difference_table(arms, pairs(arms)),
        "by_seed": by_seed(arms),
        "share": f"{labels.loc[labels['split'] == 'test'].query('tumour_share > 0')['tumour_share'].mean():.2f}",
    }
    return wrapped(SEGMENTS_TABLE.format(**text))


def metrics_table(arms: Mapping[str, Arm]) -> str:
    """Groups, and mean ± SD over seeds of every metric."""
    header = ["segments", "seeds", "groups", "patches", "purity", "validation AUC", *METRICS]
    return markdown(header, [_row(name, arm) for name, arm in arms.items()])


def difference_table(arms: Mapping[str, Arm], chosen: Sequence[tuple[str, str]]) -> str:
    """Paired differences of every metric on the test slides."""
    rows = [
        [
            f"{title(one)} − {title(other)}",
            *(str(difference(arms[one].metrics, arms[other].metrics, metric)) for metric in METRICS),
        ]
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
    return f"{arm.metrics[seed]['slide AUC'][0]:.2f} ({arm.validation[seed]['slide AUC'][0]:.2f})"


def _row(name: str, arm: Arm) -> list[str]:
    groups = arm.groups
    facts = [f"{groups['groups']:.0f}", f"{groups['patches']:.0f}", f"{groups['purity']:.2f}"]
    if name == NONE:
        facts = ["none"] * 3
    of_validation = spread([own["slide AUC"][0] for own in arm.validation.values()])
    metrics = [spread([own[metric][0] for own in arm.metrics.values()]) for metric in METRICS]
    return [title(name), str(len(arm.metrics)), *facts, of_validation, *metrics]
