"""Make lymph_maps.md of what `lymph_maps.py` found, and say what validation chooses.

.venv/bin/python studies/lymph_maps_text.py WORK_FOLDER
"""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from lymph_maps import ARMS, LARGE, PLAIN, SIZES, SLIDES, TRAIN, Row, arms_at, read_rows
from lymph_slides import LEAST_SHARE, WIDTH
from scipy.stats import t as student
from study import markdown

BASE = next(iter(ARMS))
CANDIDATES = tuple(name for name in ARMS if name.startswith(("variance", "released", "relative")))
#: Sizes that decide, and the one that may object.
DECIDING, LARGEST = tuple(SIZES)[:2], max(SIZES)
METRICS = {
    "slide_auc": "slide AUC", "patch_auc": "patch AUC", "patch_ap": "average precision",
    "attention_auc": "patch AUC by attention",
}  # fmt: skip
#: Differences that are asked for besides those from the base: name -> first arm minus second.
CONTRASTS = {"area in patches minus random, as many": ("area in patches", "random, as many as by patches")}
#: (size, arm) -> seed -> row.
Found = Mapping[tuple[int, str], Mapping[int, Row]]

_HEAD = """# SAM-MIL on lymph node: consistency, mask and segments

Slides composed of PatchCamelyon tiles (CC0; Veeling et al. 2018): pieces of tissue in which one tile lies in
each cell, normal tiles in zones of like kind, tumour in one to three foci of {least:.0%} to half of the tissue.
Training, validation and test slides are composed of the official parts, which share no slide. Tiles are
embedded once by frozen `efficientnet-lite0`; a patch is its first {width} principal components. Segments are
nested regions of like colour, made as the engine's are, with squares of cells in place of superpixels.

{train} training, {val} validation and {test} test slides a seed, half of them with tumour; every seed has new
slides and new weights, which all arms of a seed share. {epochs} epochs at most (first stop at {first}, patience
{patience}), Adam {rate:g}, hidden width {hidden}, all else the settings' defaults. Rate, epochs and the
smallest tumour were set in a trial on two other cohorts and a few runs of two seeds, which were thrown away.
The epoch and the calibration of the map are from the validation slides. *Off* is SAM-MIL without consistency
(group tokens, SG2M by pixels, pseudo-bags); every other arm differs from it in one thing, AB-MIL in all.
Consistency: form and weight; *variance* is scaled by the size of the bag, unless *as printed*. *Random, as
many* removes as many patches as SG2M would, from anywhere. Shuffled: the same segments, with the patches of the
slide shuffled among them. Squares: of about as many patches as the segments.

Mean ± SD over seeds; differences from *off* are means over the same seeds, with the 95% interval (Student's t)
over seeds. Patch AUC and average precision are means over tumour slides, by the calibrated map (instance logit
and attention together), and by attention alone.

## Choice

Written before any of these trainings: the score of a run is the mean of slide AUC and patch AUC on validation
slides, averaged over slides of {small} and {middle} patches. A form and weight of consistency is the default if
the interval of its difference from *off* lies above 0, and if the difference at {large} patches, where it was
tried, is not below 0; of several, the largest. If there is none, consistency is off. The mask's area stays the
paper's, in pixels, unless the interval of patches minus pixels lies above 0.

{choice}

{verdict}
"""

#: What the committed tables say.
READING = """## Reading

- Consistency: no form and weight is better than none by the rule, and the test slides do not say otherwise.
  *Variance* scaled by the size of the bag with weight 1,000, the default until now, does nothing: no metric
  moves by more than 0.03, and at 1,000 and 8,000 patches by no more than 0.004. *Released* harms from weight
  100 on at 1,000 patches (slide AUC 0.09 to 0.18 lower), *relative* with weight 1 too (0.05 to 0.10). *As
  printed* and smaller weights of the other forms pull the patch AUC up by at most 0.05, with intervals that
  hold 0.
- Mask: SG2M by pixels or by patches, as many patches at random, and no mask at all cannot be told apart.
- Segments: shuffled segments are below true ones in every metric at 100 and 1,000 patches, on validation and on
  test, by 0.015 to 0.052; all intervals hold 0 but that of attention at 1,000 on test, barely. Squares of
  patches, and no group tokens, cannot be told apart from segments.
- SAM-MIL and AB-MIL cannot be told apart at 1,000 patches; at 100, SAM-MIL is 0.02 to 0.09 above it, and
  all intervals hold 0.
- There are about {cells} differences, so some intervals leave out 0 by chance, as that of *variance 100,000* at
  100 patches on test does (+0.015).
- At 8,000 patches one training of three did not get anywhere without consistency (SD of the slide AUC 0.24),
  with SG2M by pixels or by patches and with true or shuffled segments; all three did with *relative 0.1* and
  with a random mask. Three seeds do not say whether that is chance: the intervals are more than 0.9 wide.
"""

_TAIL = """## What this does not show

Composed slides are no slides: neighbouring tiles come from different slides, a slide mixes stains, segments
follow the zones and colours of the layout, and nothing can be learnt from what lies around a patch. Cohorts are
small and trainings short, with a small model on {width} numbers: they say which way a term pulls, not what
SAM-MIL reaches on CAMELYON-16. The same few thousand tiles serve all seeds, so that the intervals know slides
and weights, not tissue; {candidates} candidates were compared, so that one interval in twenty may miss 0 by
chance alone. Ten seeds were planned at {small} and {middle} patches; those are shown that all arms finished. At
{large} patches there are {seeds} seeds, and squares and the arm without group tokens were not trained: what
segments do there is open. Four of its runs were trained after the choice, and do not change it. The segments
are regions of like colour, not those of SAM.

Made by `studies/lymph_maps.py` and `studies/lymph_maps_text.py` with torch {torch}.
"""


def read(path: Path) -> Found:
    """Rows by size and arm; at the deciding sizes, only seeds that all arms have finished."""
    rows = read_rows(path)
    finished = Counter((row["size"], row["seed"]) for row in rows)
    found: dict[tuple[int, str], dict[int, Row]] = {}
    for row in rows:
        if row["size"] == LARGEST or finished[row["size"], row["seed"]] == len(ARMS):
            found.setdefault((row["size"], row["arm"]), {})[row["seed"]] = row
    return found


def with_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95% interval."""
    if len(values) < 2:
        return (mean(values) if values else nan), nan, nan
    reach = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return mean(values), mean(values) - reach, mean(values) + reach


def paired(found: Found, size: int, first: str, second: str, metric: str) -> list[float]:
    """Differences over the seeds that both arms have."""
    one, other = found.get((size, first), {}), found.get((size, second), {})
    return [one[seed][metric] - other[seed][metric] for seed in sorted(one.keys() & other.keys())]


def score_differences(found: Found, name: str, sizes: Sequence[int]) -> list[float]:
    """Difference of the deciding score from the base, over the seeds that all these sizes have."""
    keys = [(size, arm) for size in sizes for arm in (name, BASE)]
    seeds = sorted(set.intersection(*(set(found.get(key, {})) for key in keys)))

    def score(seed: int, arm: str) -> float:
        return mean(
            (found[size, arm][seed]["slide_auc"] + found[size, arm][seed]["patch_auc"]) / 2 for size in sizes
        )

    return [score(seed, name) - score(seed, BASE) for seed in seeds]


def choice(found: Found) -> tuple[str, str]:
    """Table of the deciding scores, and a sentence that says what they choose."""
    rows, taken = [], []
    for name in (*CANDIDATES, "area in patches"):
        value, low, high = with_interval(score_differences(found, name, DECIDING))
        large = score_differences(found, name, (LARGEST,))
        objection = mean(large) if large else None
        rows.append([name, f"{value:+.3f} ({low:+.3f} to {high:+.3f})", "not tried" if objection is None else
                     f"{objection:+.3f}"])  # fmt: skip
        if low > 0 and (objection is None or objection >= 0):
            taken.append((value, name))
    forms = [one for one in taken if one[1] in CANDIDATES]
    consistency = f"`{max(forms)[1]}`" if forms else "off"
    area = "patches" if any(name == "area in patches" for _, name in taken) else "pixels"
    n = len(score_differences(found, CANDIDATES[0], DECIDING))
    sizes = " and ".join(f"{size:,}" for size in DECIDING)
    columns = ("minus off, validation", f"score at {sizes} ({n} seeds)", f"at {LARGEST:,}")
    return markdown(columns, rows).strip(), f"**Chosen: consistency {consistency}; the mask's area in {area}.**"


def table(found: Found, size: int) -> str:
    """Means and differences of every arm of one size."""
    rows = []
    for name in arms_at(size):
        own = found.get((size, name), {})
        if not own:
            continue
        cells = [name, str(len(own))]
        for metric in METRICS:
            values = [row[metric] for row in own.values()]
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.3f}{spread}")
            cells.append("" if name == BASE else _difference(paired(found, size, name, BASE, metric)))
        rows.append(cells)
    for name, (first, second) in CONTRASTS.items():
        if second in arms_at(size):
            given = [_difference(paired(found, size, first, second, metric)) for metric in METRICS]
            rows.append([name, "", *(cell for one in given for cell in ("", one))])
    columns = ["arm", "seeds", *(cell for title in METRICS.values() for cell in (title, "minus off"))]
    return markdown(columns, rows).strip()


def _difference(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "none"
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*with_interval(values))


def document(work: Path) -> str:
    """Return lymph_maps.md."""
    validation, tests = read(work / "runs.jsonl"), read(work / "tests.jsonl")
    scores, verdict = choice(validation)
    facts = {
        "least": LEAST_SHARE, "width": WIDTH, **SLIDES, "epochs": TRAIN.epochs, "first": TRAIN.min_epochs,
        "patience": TRAIN.patience, "rate": TRAIN.learning_rate, "hidden": PLAIN.hidden, "choice": scores,
        "verdict": verdict, "small": DECIDING[0], "middle": f"{DECIDING[1]:,}", "large": f"{LARGEST:,}",
        "candidates": len(CANDIDATES) + 1, "seeds": len(validation.get((LARGEST, BASE), {})),
        "torch": torch.__version__.split("+")[0],
    }  # fmt: skip
    parts = [_HEAD.format(**facts).strip()]
    for title, found in (("Validation", validation), ("Test, looked at once, after the choice", tests)):
        for size in SIZES if found else ():
            parts += [f"## {title}: about {size:,} patches per slide", table(found, size)]
    cells = len(METRICS) * 2 * sum(len(arms_at(size)) for size in SIZES)
    parts += [READING.format(cells=cells).strip()]
    text = "\n\n".join([*parts, _TAIL.format(**facts).strip()])
    return "\n\n".join(wrapped(one) for one in text.split("\n\n")) + "\n"


def wrapped(part: str) -> str:
    """Break the lines of running text again, now that the figures are in it."""
    return part if part[0] in "#|-" else textwrap.fill(part, 116, break_on_hyphens=False)


if __name__ == "__main__":
    assert set(LARGE) <= set(ARMS)
    made = document(Path(sys.argv[1]))
    Path(__file__).with_name("lymph_maps.md").write_text(made, encoding="utf-8")
    print(made)
