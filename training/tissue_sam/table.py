"""``evaluation.md`` from the figures."""

from __future__ import annotations

import pandas as pd
from automatic_masks import COLUMNS
from gate import gate_text
from prompted import KINDS

_DISC, _DISCS = "disc of ", "disc; full box"
#: Candidates that may become the default, and what they must beat: made of as many superpixels and groups.
_GATED, _RIVAL = "tissue-regions of", "stain-regions, 64 of 800"
_DIGITS = {"masks": 1, "groups": 1, "images": 0}


def evaluation_text(automatic: pd.DataFrame, prompted: pd.DataFrame, *, decided: str, told: str) -> str:
    """All tables: what was decided and done, automatic masks by set, prompts by set."""
    parts = ["# tissue-sam and its rivals on real tissue\n", decided, told.strip() + "\n", _HOW]
    for candidate in automatic["candidate"].unique():
        if str(candidate).startswith(_GATED):
            parts += [f"## Gate: {candidate}\n", gate_text(automatic, str(candidate), _RIVAL)]
    parts.append("## Masks without prompts\n")
    for name, rows in automatic.groupby("set", sort=False):
        parts += [
            f"### {_heading(str(name))}: {rows['example'].nunique()} images\n",
            markdown(automatic_means(rows)),
        ]
    parts.append("## Prompts\n")
    for name, rows in prompted.groupby("set", sort=False):
        things = int(rows.groupby(["rival", "kind"]).size().iloc[0])
        parts += [f"### {_heading(str(name))}: {things} things\n", markdown(prompt_means(rows))]
    parts.append("Made by `training/tissue_sam/evaluate.py`.\n")
    return "\n".join(parts)


_HOW = """\
Groups are the parts into which all masks, small over large, divide the tissue. Purity: share of pixels that are
of their group's majority, annotated or not; beside it what `stain-regions` reaches on the same images, merged
from 800 or 1,500 superpixels into as many groups. Best set: IoU of the annotation with the best set of groups,
and beside it that of `stain-regions` with as many groups. Best mask: for each annotated thing the IoU of the
best single mask, mean. Boundary recall: share of the annotation's outline within 4 px of an outline of the
groups. What asks a decoder hundreds of times was run on four images of a set at most (column images).

Prompts: IoU, mean over things; the first click is where a thing is widest, clicks two and three are in the
middle of the largest error of that very answer; segmenters without prompts answer with the mask of theirs that
fits the prompt best; the disc has the radius, of three, that is best on these very things.
"""


def automatic_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean figures by candidate."""
    by_candidate = rows.groupby("candidate", sort=False)
    return by_candidate[list(COLUMNS)].mean().assign(images=by_candidate.size().astype(float))


def prompt_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean IoU by rival and kind; of the discs the best at each kind."""
    table = rows.groupby(["rival", "kind"], sort=False)["iou"].mean().unstack()[list(KINDS)]
    discs = [name for name in table.index if str(name).startswith(_DISC)]
    if discs:
        best = table.loc[discs].max().rename(_DISCS)
        table = pd.concat([table.drop(index=discs), best.to_frame().T])
    ellipse = [name for name in table.index if "ellipse" in str(name)]
    table.loc[ellipse, list(KINDS[:-1])] = float("nan")
    return table.rename_axis("rival")


def _heading(name: str) -> str:
    return name[0].upper() + name[1:]


def markdown(table: pd.DataFrame) -> str:
    """A table with its index as first column."""
    lines = [f"| {table.index.name} | {' | '.join(map(str, table.columns))} |"]
    lines.append("| --- " * (len(table.columns) + 1) + "|")
    for name, row in table.iterrows():
        cells = [
            "" if pd.isna(value) else f"{value:.{_DIGITS.get(str(column), 3)}f}" for column, value in row.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
