"""Put newly trained weights into the package where they answer prompts better than those that ship.

    .venv/bin/python training/tissue_sam/ship.py WORK FIGURES --data DATA

WORK is that of ``train.py``; FIGURES that of ``evaluate.py``, which was run with ``--weights "tissue-sam N=..."``.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pandas as pd
from decision import NEW, VERSION, answers_better
from evaluate import compare
from examples import TESTS
from table import automatic_means, markdown, prompt_means

from sam_mil_engine.models.files import file_sha256
from sam_mil_engine.segment.tissue_sam.bundle import CARD, GRID, NAME, WEIGHTS, folder

_SHOWN = ("GlaS", "EBHI-Seg, held-out patients", "CAMELYON crops")


def card_text(told: str, automatic: pd.DataFrame, prompted: pd.DataFrame, sha256: str) -> str:
    """What a person should know before trusting the model; the new weights go by their final name."""
    rows = [*_ROWS, f"weights | sha256 `{sha256}`", f"trained on | {'; '.join(_DATA)}"]
    head = "".join(f"| {row} |\n" for row in ("| ", "---|---", *rows))
    parts = [_HEAD, head, "## Training\n", told.replace("\n## ", "\n### ").strip() + "\n"]
    parts.append("## Prompts on tissue that it never saw\n\nMean IoU over things.\n")
    for name in _SHOWN:
        parts += [f"### {name}\n", markdown(prompt_means(prompted[prompted["set"] == name]).rename(index=_final))]
    parts.append("## Masks without prompts\n")
    for name in _SHOWN:
        rows_of = automatic[(automatic["set"] == name) & automatic["candidate"].isin(_COMPARED)]
        parts += [f"### {name}\n", markdown(automatic_means(rows_of).rename(index=_final))]
    return "\n".join([*parts, _LIMITS])


def _final(name: str) -> str:
    """Name of a candidate once the new weights ship."""
    return name.replace(NEW, NAME) if NEW in name else name.replace(NAME, f"{NAME} {VERSION - 1}")


_COMPARED = (
    "stain-regions",
    "stain-regions, 64 of 800",
    NAME,
    f"{NAME}, filled",
    NEW,
    f"{NEW}, filled",
    f"tissue-regions of {NAME}, 64 of 800",
    f"tissue-regions of {NEW}, 64 of 800",
)
_HEAD = """\
# tissue-sam

A small SAM for tissue: points and boxes become outlines, without a network or a GPU. **Not for diagnosis.**
"""
_ROWS = (
    f"version | {VERSION}",
    "model | Meta's `Sam` (Kirillov et al. 2023) around the first stages of EfficientNet-Lite0; prompts also enter"
    " as maps",
    "input | 512 px a side; made for structures of 20 to 300 of these pixels",
    "licence | Apache-2.0",
    "made by | `training/tissue_sam/train.py`",
)
_DATA = (
    "EBHI-Seg (Shi et al. 2023, figshare 21540159, CC-BY-4.0)",
    "glomeruli (Mendeley Data k7nvtgn2x6, CC-BY-4.0)",
    "oral carcinoma (Mendeley Data 9bsc36jyrt, CC-BY-4.0)",
    "BCSS (Amgad et al. 2019, CC0)",
    "2018 Data Science Bowl (BBBC038, CC0)",
    "PatchCamelyon (Veeling et al. 2018, CC0)",
    "LC25000 (Borkowski et al. 2019, free to use in any way as its authors state)",
    "CMU-1-Small-Region (OpenSlide, CC0). All images were cut, scaled, mirrored and given other stains",
)
_LIMITS = """\
## Limits

Check every outline. A box helps most, then several clicks; with one click the three answers mean a part, an
object and a region, and on crops of lymph node the choice among them is often wrong. It was trained mostly on
glands of the colon: tissue of other organs, and images of other scales, are outlined worse. On crops of lymph
node, a box is outlined no better than by the whole box, three clicks are answered worse than by version 3, and
masks without prompts fit worse than `stain-regions`. All of its tables: `training/tissue_sam/evaluation.md`.
Meta's SAMs, where they are on the machine, are taken before it.
"""


def main(work: Path, figures: Path, data: Path) -> None:
    """Decide, and write weights, thresholds and card."""
    automatic, prompted = compare(figures, data, {NAME: "kept", NEW: str(work / WEIGHTS)}, list(TESTS))
    if not answers_better(prompted):
        print("The weights that ship answer prompts better, or as well: nothing was changed.")
        return
    for name in (WEIGHTS, GRID):
        shutil.copyfile(work / name, folder() / name)
    told = (work / "training.md").read_text()
    card = card_text(told, automatic, prompted, file_sha256(folder() / WEIGHTS))
    (folder() / CARD).write_text(card)
    print(card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    chosen = parser.parse_args()
    main(chosen.work, chosen.figures, chosen.data)
