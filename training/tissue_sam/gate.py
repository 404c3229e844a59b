"""Whether a segmenter may be the default: better than ``stain-regions`` with as many groups, image by image."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: What must be better, and where.
_FIGURES, _SETS = ("purity", "best set"), ("CAMELYON crops", "GlaS")
_DRAWS = 2000


def gate_text(automatic: pd.DataFrame, candidate: str, rival: str) -> str:
    """Mean differences of a candidate and a rival with as many groups, on all sets; what follows."""
    lines = [
        "| images | figure | difference | 95% interval over images | better in |",
        "| --- | --- | --- | --- | --- |",
    ]
    passed, sure, seen = True, True, set()
    for name, rows in automatic.groupby("set", sort=False):
        by_example = rows.set_index(["candidate", "example"])
        if not {candidate, rival} <= set(rows["candidate"]):
            continue
        for figure in _FIGURES:
            pair = by_example[figure].loc[candidate] - by_example[figure].loc[rival]
            difference = pair.dropna().to_numpy()
            low, high = _interval(difference)
            better = f"{np.count_nonzero(difference > 0)} of {len(difference)}"
            lines.append(f"| {name} | {figure} | {difference.mean():+.4f} | {low:+.4f} to {high:+.4f} | {better} |")
            if name in _SETS:
                seen.add(name)
                passed &= bool(difference.mean() > 0)
                sure &= bool(low > 0)
    if seen != set(_SETS):
        return "Not all of the sets that decide were measured.\n"
    means = "is better" if passed else "is not better"
    doubt = "" if not passed else ", each beyond chance" if sure else ", but not each beyond chance"
    verdict = f"On CAMELYON's crops and on GlaS `{candidate}` {means} than `{rival}` in purity and best set{doubt}."
    return "\n".join([verdict, "", *lines, ""])


def _interval(values: np.ndarray) -> tuple[float, float]:
    """95% interval of the mean, by drawing images with replacement."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (_DRAWS, len(values))).mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
