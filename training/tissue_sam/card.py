"""``evaluation.md`` and the model's card, from the figures."""

from __future__ import annotations

import pandas as pd
from evaluate import MODEL, REGIONS, Evaluation, automatic_means, grid_text, mean_ious
from fitting import Fitting


def evaluation_text(found: Evaluation, told: str) -> str:
    """All tables as they are, and what the gate says."""
    automatic = automatic_means(found.automatic)
    return (
        "# tissue-sam: evaluated on images that it never saw\n\n"
        f"{told}\n\n"
        f"**Gate.** {_verdict(found)}\n\n"
        f"## Prompts on GlaS: {_count(found.glands)} glands of {found.n_images} images\n\n"
        "IoU, mean over glands of at least 300 pixels. The first click is where the gland is widest; clicks two and"
        " three are put in the middle of the largest error of that very answer. `regions` and Felzenszwalb answer"
        " with the mask of theirs that fits the prompt best. The disc has the radius, of five, that is best on"
        " these very glands.\n\n" + _markdown(mean_ious(found.glands)) + "\n"
        f"## Prompts on drawn images of held-out textures: {_count(found.drawn)} things\n\n"
        + _markdown(mean_ious(found.drawn))
        + "\n## Masks without prompts on GlaS\n\n"
        f"Thresholds chosen on drawn images alone: {grid_text(found.settings)}. Groups are the parts into which"
        " all masks, small over large, divide the image; `regions, as many groups` is cut into as many as"
        f" {MODEL} made of that image. Purity: share of pixels that are of their group's majority, gland or not."
        " Boundary recall: share of the glands' outline within 4 px of an outline of the groups.\n\n"
        + _markdown(automatic, digits={"masks": 1, "groups": 1})
        + "\nWhat the groups do for SAM-MIL on GlaS: `studies/glas_groups.md`.\n"
        + "\n## Thresholds\n\n"
        "On drawn images; the best harmonic mean of both IoUs was taken.\n\n"
        + _markdown(found.calibration.reset_index().set_index("predicted IoU"), digits={"masks": 1})
        + "\nMade by `training/tissue_sam/train.py`.\n"
    )


def card_text(found: Evaluation, told: str) -> str:
    """What a person should know before trusting the model."""
    return (
        "# tissue-sam\n\n"
        "A small SAM for tissue: points and boxes become outlines, without a network or a GPU. **Not for"
        " diagnosis.**\n\n"
        "| | |\n|---|---|\n"
        "| model | Meta's `Sam` (Kirillov et al. 2023) around the first stages of EfficientNet-Lite0; prompts also"
        " enter as maps |\n"
        "| input | 512 px a side; made for structures of 20 to 300 of these pixels |\n"
        "| licence | Apache-2.0; textures from LC25000 (Borkowski et al. 2019, arXiv 1912.12142), free for AI"
        " researchers to use in any way as its authors state, and from OpenSlide's CMU-1-Small-Region (CC0) |\n"
        "| made by | `training/tissue_sam/train.py` |\n\n"
        f"## Training\n\n{told}\n\n"
        f"## Prompts on glands that it never saw\n\nGlaS, {_count(found.glands)} glands of {found.n_images}"
        " images, mean IoU. The discs' radius is the best on these very glands.\n\n"
        + _markdown(mean_ious(found.glands))
        + "\n## Masks without prompts\n\n"
        f"{grid_text(found.settings)[0].upper()}{grid_text(found.settings)[1:]}, on the same images.\n\n"
        + _markdown(automatic_means(found.automatic), digits={"masks": 1, "groups": 1})
        + "\n## Limits\n\n"
        "Its outlines are those of drawn tissue: check every one. A box helps most, then several clicks; with one"
        " click the three answers mean a part, an object and a region. On tissue other than colon it was only"
        " looked at (`training/tissue_sam/look.py`): without prompts it outlines whole pieces and large zones of"
        " skin, the fat cells of marrow, gaps and vessels of lung, and single nuclei where an image is of 0.25 µm"
        " a pixel (glioma); in breast, in a squamous carcinoma and in crowded glands it finds a few small things"
        " and misses the nests of tumour. Meta's SAMs, where they are on the machine, are taken before it.\n"
    )


def how_trained(fitting: Fitting, *, pictures: int, moved: tuple[float, float]) -> str:
    """What was done, in words."""
    progress = fitting.progress
    return (
        f"Trained for {progress.steps} steps of two images, {progress.seconds / 60:.0f} minutes, of which a"
        f" processor worked {progress.processor / 60:.0f}, on {pictures} images of 512 px: tissue drawn"
        " with exact nested truth, its textures from tumour tiles of LC25000 and from CMU-1-Small-Region; real"
        " tiles of both with nested `regions` as teacher. GlaS was not trained on. On held-out drawn images"
        f" {moved[0]:+.2f} and {moved[1]:+.2f} were then added to the predicted IoU of the first and the last of"
        " three answers, so that the best for its kind comes first, and the thresholds were chosen."
    )


def _verdict(found: Evaluation) -> str:
    prompts = (
        "Boxes and three clicks beat the trivial answers on GlaS: it may ship for prompts."
        if found.answers_prompts
        else "Boxes and three clicks do not both beat the trivial answers on GlaS: it does not ship."
    )
    default = (
        f"Purity and best IoU are above `{REGIONS}`: it may be the default segmenter."
        if found.is_default
        else f"Purity and best IoU are not both above `{REGIONS}`, which stays the default segmenter."
    )
    return f"{prompts} {default}"


def _count(rows: pd.DataFrame) -> int:
    return int(((rows["rival"] == MODEL) & (rows["kind"] == "box")).sum())


def _markdown(table: pd.DataFrame, *, digits: dict[str, int] | None = None) -> str:
    digits = digits or {}
    lines = [f"| {table.index.name or ''} | {' | '.join(map(str, table.columns))} |"]
    lines.append("| --- " * (len(table.columns) + 1) + "|")
    for name, row in table.iterrows():
        cells = [
            "" if pd.isna(value) else f"{value:.{digits.get(str(column), 2 if column == 'stability' else 3)}f}"
            for column, value in row.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
