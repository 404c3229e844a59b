"""Whether newly trained weights ship: the rule, and the decision in words."""

from __future__ import annotations

import pandas as pd
from prompted import KINDS
from table import prompt_means

from sam_mil_engine.segment.tissue_sam.bundle import NAME

#: Number of the newly trained weights, and what they are called in the figures.
VERSION = 4
NEW = f"{NAME} {VERSION}"
#: Held-out real masks that decide, and the figures that must all be better on the mean of these sets: what a user
#: gets. The best of three answers is what somebody gets who knows the truth.
DECIDING, DECIDED_BY = ("GlaS", "EBHI-Seg, held-out patients"), KINDS[1:]


def deciding_means(prompted: pd.DataFrame) -> pd.DataFrame:
    """Mean IoU of the weights that ship and of the new ones, by kind of prompt, over the sets that decide."""
    tables = [prompt_means(prompted[prompted["set"] == name]).loc[[NAME, NEW]] for name in DECIDING]
    mean: pd.DataFrame = sum(tables[1:], tables[0]) / len(tables)
    return mean[list(DECIDED_BY)]


def answers_better(prompted: pd.DataFrame) -> bool:
    """Whether the new weights answer each kind of prompt better."""
    mean = deciding_means(prompted)
    return bool((mean.loc[NEW] > mean.loc[NAME]).all())


def decision_text(prompted: pd.DataFrame) -> str:
    """The rule, the figures that decide, and what follows; empty where the new weights were not measured."""
    if prompted.empty or NEW not in set(prompted["rival"]):
        return ""
    mean = deciding_means(prompted)
    figures = ", ".join(f"{kind} {mean.loc[NEW, kind]:.3f} against {mean.loc[NAME, kind]:.3f}" for kind in mean)
    verdict = "does not ship"
    if answers_better(prompted):
        verdict = f"ships: in the package it is `{NAME}`, which in these tables are the weights before it"
    return (
        f"**Weights.** `{NEW}` ships if it answers every kind of prompt better than `{NAME}` on the mean of\n"
        f"{' and '.join(DECIDING)}: {figures}.\nIt {verdict}.\n"
    )
