"""The loss curves of a run as one image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..files import atomic_path

if TYPE_CHECKING:
    import pandas as pd


def draw_curves(history: pd.DataFrame, path: Path) -> None:
    """Draw training loss terms, validation loss and validation AUC over the epochs, and save them as PNG.

    With several folds, each column is the mean over the folds that reached the epoch. Where a model has several
    stages, a line marks where each but the first begins (in the first fold), and the best epoch is of the last.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    mean = history.drop(columns=["repeat", "fold", "stage"], errors="ignore").groupby("epoch").mean()
    epochs = mean.index.to_numpy(dtype=int) + 1
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    style = {"marker": "." if len(mean) < 10 else None}
    names = [name for name in mean.columns if name.startswith("train_") and name != "train_loss"]
    left.plot(epochs, mean["train_loss"], color="black", linewidth=2, label="total", **style)
    for name in names if len(names) > 1 else []:
        left.plot(epochs, mean[name], linewidth=1.2, **style, label=name.removeprefix("train_").replace("_", " "))
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    left.set_title("Training: weighted terms", loc="left")
    left.legend(frameon=False)
    right.plot(epochs, mean["val_loss"], color="tab:red", linewidth=2, **style)
    right.set(xlabel="epoch", ylim=(0, None))
    right.set_title("Validation", loc="left")
    right.set_ylabel("loss", color="tab:red")
    auc = right.twinx()
    auc.plot(epochs, mean["val_auc"], color="tab:blue", linewidth=2, **style)
    auc.set_ylabel("AUC", color="tab:blue")
    auc.set_ylim(0, 1.02)
    begins = stage_begins(history)
    since = begins[-1] if begins else 0
    best = since + 1 + int(mean["val_loss"].to_numpy()[since:].argmin())
    right.axvline(best, color="grey", linestyle=":", linewidth=1)
    right.set_title(f"lowest loss: epoch {best}", loc="right", fontsize="small", color="grey")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for begin in begins:
            axes.axvline(begin + 0.5, color="black", linestyle="--", linewidth=0.8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def stage_begins(history: pd.DataFrame) -> list[int]:
    """Return the first epoch (from 0) of every stage but the first, in the first fold; empty with one stage."""
    if "stage" not in history:
        return []
    by = [name for name in ("repeat", "fold") if name in history]
    first = next(iter(history.groupby(by)))[1] if by else history
    return [int(epoch) for epoch in first.groupby("stage", sort=False)["epoch"].min()][1:]
