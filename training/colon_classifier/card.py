"""The card of the colon classifier, from the figures that the script found."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd
from compose import MPP, TUMOUR_SHARE

#: Figure -> its name on the card.
ROWS = {
    "auc": "slide AUC",
    "accuracy": "accuracy",
    "brier": "Brier score",
    "probability_auc": "patch AUC, tumour probability",
    "attention_auc": "patch AUC, attention",
}
MODELS = {"sam-mil": "SAM-MIL (this model)", "abmil": "AB-MIL", "mean": "mean", "colour alone": "colour alone"}


def shown(figure: Mapping[str, float] | None) -> str:
    """Value and interval."""
    return "none" if figure is None else "{value:.3f} ({low:.3f} to {high:.3f})".format(**figure)


def write_card(metrics: Mapping[str, Any], labels: pd.DataFrame, outside: pd.DataFrame) -> str:
    """Return the card as Markdown."""
    count = {
        part: ", ".join(f"{n} {label}" for label, n in sorted(table["label"].value_counts().items()))
        for part, table in labels.groupby("split")
    }
    models = metrics["models"]
    lines = [f"| | {' | '.join(MODELS.values())} |", "|---" * (len(MODELS) + 1) + "|"]
    lines += [f"| {text} | {' | '.join(shown(models[m].get(row)) for m in MODELS)} |" for row, text in ROWS.items()]
    seeds = [", ".join(f"{v:.3f}" for v in models[m].get("auc of every seed", [])) or "none" for m in MODELS]
    lines.append(f"| slide AUC of every seed | {' | '.join(seeds)} |")
    test = metrics["distances"]["test"]
    beyond = [f"| composed colon, held out | {len(test)} | {max(test):.2f} | {sum(d > 1 for d in test)} | |"]
    for kind, table in outside.groupby("kind", sort=False):
        known = table[table["distance"].notna()]
        called = ", ".join(f"{n} {label}" for label, n in sorted(known["predicted"].value_counts().items()))
        spread = f"{known['distance'].min():.2f} to {known['distance'].max():.2f}"
        beyond.append(f"| {kind} | {len(known)} | {spread} | {int((known['distance'] > 1).sum())} | {called} |")
    card = CARD.format(
        mpp=MPP,
        low=int(100 * TUMOUR_SHARE[0]),
        high=int(100 * TUMOUR_SHARE[1]),
        train=count["train"],
        val=count["val"],
        test=count["test"],
        threshold=models["sam-mil"]["threshold"],
        table="\n".join(lines),
        slides=models["sam-mil"]["probability_auc"]["slides"],
        glas_auc=shown(metrics["glas"]["auc"]),
        glas_accuracy=shown(metrics["glas"]["accuracy"]),
        outside="\n".join(beyond),
    )
    return "\n\n".join(_wrapped(part) for part in card.split("\n\n"))


def _wrapped(paragraph: str) -> str:
    """Break the lines of running text again, now that the figures are in it."""
    if paragraph.startswith(("#", "|")):
        return paragraph
    end = "\n" if paragraph.endswith("\n") else ""
    return "\n".join(textwrap.wrap(paragraph, 116, break_on_hyphens=False)) + end


CARD = """# Colon classifier

Adenocarcinoma of the colon against normal mucosa, for demonstration. **Not for diagnosis.**

| | |
|---|---|
| method | SAM-MIL (Fang et al. 2024) with group tokens, SG2M, pseudo-bags and the consistency loss |
| input | patches of 224 px at {mpp} µm per pixel, `efficientnet-lite0` (1280-d), segments of `regions` |
| classes | normal, tumour; threshold {threshold:.3f} from validation slides |
| data | slides composed of colon tiles of LC25000 (Borkowski et al. 2019, arXiv 1912.12142), slide labels alone |
| licence | weights Apache-2.0; LC25000 is, as its authors state, free for AI researchers to use in any way |
| made by | `training/colon_classifier/train.py` |

## Protocol

LC25000 holds augmented copies of photographs, brought together here by groups; a group is in one part only
(60% of the groups train, 15% validate, 25% test). A slide has two to four pieces of tissue on glass, quilted
from tiles of 5 to 13 photographs of mucosa and 3 to 8 of carcinoma, in one stain of its own whatever its
class; tumour takes {low} to {high}% of the tissue. Training: {train}; validation (epoch, threshold, domain
limit): {val}; test: {test}. Of three seeds the one with the lowest validation loss is taken, for every
model.

## Held-out slides

Value (95% interval of a bootstrap over slides). Patch AUC is against the true outlines, mean over the
{slides} slides with patches of both kinds. *Colour alone* is a logistic regression on the colour of patches;
for its patch AUC it was given the true outlines of the training slides, which the others never saw.

{table}

The intervals know slides, not photographs: all test slides share 41 groups a class.

## Real colon of another laboratory: GlaS

Evaluation only, 104 regions, benign or malignant: AUC {glas_auc}, accuracy {glas_accuracy}. Benign there
includes adenomas, and a region is nearly all tumour or none.

## Where it does not know

The distance of a slide's features from those of the training slides, in units of the limit that the
validation slides set; above 1 the result carries a warning.

| what | slides | distance | warned | called |
|---|---|---|---|---|
{outside}

GlaS shows both sides of it: real colon is unlike composed slides, so that it is warned about although most of
the answers are right. A warning says that nobody has tested this model there, not that it is wrong.

## Limits

On mucosa, single patches with glass or with much epithelium often look like tumour to it (see the patch AUC);
the attention is the better map.

Composed slides are no slides: their tissue is all mucosa or all carcinoma, in sharp focus, from one
collection of photographs; there is no muscle, fat, lymph follicle, fold, pen, adenoma or inflammation. The
resolution is estimated from the size of nuclei (LC25000 does not state it). Other organs, stains and scanners
are outside of what it knows.
"""
