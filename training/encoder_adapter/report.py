"""README.md of the adapters: their table, and whether one ships."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from sam_mil_engine.training.bootstrap import interval, resample
from sam_mil_engine.training.metrics import weighted_auc

#: An adapter ships if it lifts the probe by more than this on both.
NEEDED = 0.01

#: What the table says.
_READING = (
    "Maps that are learnt without labels lift GlaS by up to 0.017: it is colon, as the tiles of EBHI-Seg and"
    " LC25000 are (no image of GlaS was learnt from). Lymph node they lower or leave. The numbers of all depths,"
    " where nothing is learnt, come nearest: 0.0093 on both, with twice as many numbers per patch. That is short of"
    " the rule, and the rule is not bent for it."
)
_TEXT = """# An adapter for the embedded encoder

Can `efficientnet-lite0` (ImageNet) be made better for tissue without labels, on a CPU? {tiles} tiles that may
train what ships, PatchCamelyon's training tiles (CC0), half of EBHI-Seg (CC-BY-4.0) and each photograph of
LC25000 (free to use in any way), are embedded once, each with {views} augmented views (crop, turn, strength of
the stains, noise, blur). Adapters are fitted to these features. *All depths* are the means and deviations of
five stages beside the present features. *Whitened* are principal components of unit variance. *Invariant* are
the directions in which tiles differ most compared with how much the views of one tile differ, found in closed
form. *VICReg* (Bardes et al. 2022) trains a map so that views agree, each number varies and no two say the
same.

The rule was set before: an adapter ships if it lifts the linear probe by more than {needed} AUC both on
PatchCamelyon's valid tiles (probe trained on its training tiles; the parts share no slide) and on GlaS (tiles
of 256 px, one of nine patients left out at a time; evaluation only). The difference is to the present features,
with the 95% interval of a paired bootstrap over tiles (lymph node) and images (GlaS).

{table}

{verdict} {reading}

What this does not show: adapters that change the convolutions, which need more than a CPU and more tissue;
other strengths of augmentation than the one that was chosen beforehand; tissue other than lymph node and colon.
{tried} were tried on the data that judge them, so that the best of them looks a little better than it is.
Intervals know tiles and images, not slides and patients, and are too narrow.

| command | what it does |
|---|---|
| `python training/encoder_adapter/embed.py WORK --data DATA` | embeds every tile and its views at all depths |
| `python training/encoder_adapter/evaluate.py WORK --data DATA` | fits and probes every adapter, writes this |
"""


def readme(rows: Sequence[Mapping[str, Any]], *, images: Sequence[str], tiles: int, views: int) -> str:
    """Return README.md from the truth and scores of every adapter, the present features first."""
    units = {"lymph": [str(k) for k in range(len(rows[0]["lymph"][0]))], "glas": images}
    lines, passed = [], []
    for row in rows:
        cells = [row["adapter"], str(row["numbers"])]
        lifts = []
        for name, unit in units.items():
            truth, scores = (np.asarray(part) for part in row[name])
            cells.append(f"{roc_auc_score(truth, scores):.3f}")
            lift, low, high = _difference(truth, scores, np.asarray(rows[0][name][1]), unit)
            lifts.append(lift)
            cells.append("" if row is rows[0] else f"{lift:+.3f} ({low:+.3f} to {high:+.3f})")
        if min(lifts) > NEEDED:
            passed.append(row["adapter"])
        lines.append(f"| {' | '.join(cells)} |")
    columns = ("features", "numbers", "lymph node, valid", "difference", "GlaS tiles", "difference")
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    verdict = (
        f"**No adapter ships**: none lifts both by more than {NEEDED}."
        if not passed
        else f"Lifting both by more than {NEEDED}: {', '.join(passed)}."
    )
    text = _TEXT.format(
        tiles=f"{tiles:,}", views=views, needed=NEEDED, table=head + "\n" + "\n".join(lines), verdict=verdict,
        reading=_READING, tried=f"{len(rows) - 1} adapters",
    )  # fmt: skip
    parts = [
        part if part.startswith(("#", "|")) else textwrap.fill(part, 116) for part in text.strip().split("\n\n")
    ]
    return "\n\n".join(parts) + "\n"


def _difference(
    truth: np.ndarray, scores: np.ndarray, present: np.ndarray, unit: Sequence[str]
) -> tuple[float, float, float]:
    """AUC minus that of the present features, and the 95% interval."""
    weights = resample(list(unit))
    both = [weighted_auc(truth.astype(bool), one, weights) for one in (scores, present)]
    low, high = interval(both[0] - both[1])
    return float(roc_auc_score(truth, scores) - roc_auc_score(truth, present)), low, high
