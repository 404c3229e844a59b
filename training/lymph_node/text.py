"""The card of the lymph-node classifier and the table of the evaluation, from the metrics that were found."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from math import isnan
from statistics import mean, stdev
from typing import Any

import pandas as pd
from choice import CROP_MPP
from mosaic import PATCHES
from templates import CARD, EVALUATION
from tiles import MPP, SIDE
from train import EQUAL, METHODS, MODEL, TRAIN

from sam_mil_engine.training.checkpoint import TrainedModel

NAMES = {"sam-mil": "SAM-MIL", "abmil": "AB-MIL", "mean": "mean", "dtfd": "DTFD", "transmil": "TransMIL",
         "clam-sb": "CLAM-SB", "mhim": "MHIM"}  # fmt: skip
SHOWN = ("slide AUC", "patch AUC", "average precision", "precision", "recall", "normal marked", "patch Brier")
#: Figure -> what is asked of it, and whether it must be at most that.
ASKED = {
    "normal marked": (0.02, True),
    "precision": (0.6, False),
    "recall": (0.6, False),
    "patch Brier": (0.10, True),
}


def shown(metric: Mapping[str, float] | None) -> str:
    """Value and interval."""
    if metric is None or isnan(metric["value"]):
        return "none"
    return "{value:.3f} ({low:.3f} to {high:.3f})".format(**metric)


def asked_rows(found: Mapping[str, Any]) -> str:
    """Rows of what was asked of the maps: metric, limit, value, whether it is met."""
    shipped = found["shipped"]
    rows = []
    for name, (limit, most) in ASKED.items():
        value = shipped[name]["value"]
        met = value <= limit if most else value >= limit
        rows.append(
            f"| {name} | at {'most' if most else 'least'} {limit:.2f} | {shown(shipped[name])} | {_yes(met)} |"
        )
    own = shipped["patch AUC"]["value"]
    singles = {name: shipped[f"{name} patch AUC"]["value"] for name in ("instance", "attention")}
    known = {name: value for name, value in singles.items() if not isnan(value)}
    best = max(known, key=lambda name: known[name])
    rows.append(
        f"| patch AUC | that of the best single score: {best} {known[best]:.3f} | {shown(shipped['patch AUC'])} |"
        f" {_yes(own >= known[best])} |"
    )
    return "\n".join(["| figure | asked | found | met |", "|---|---|---|---|", *rows])


def evaluation_text(
    found: Mapping[str, Any], table: pd.DataFrame, labels: pd.DataFrame, model: TrainedModel
) -> str:
    """Return evaluation.md."""
    rows = [[NAMES[name], *(shown(found["methods"][name][figure]) for figure in SHOWN)] for name in METHODS]
    # a probe has no calibrated probability
    rows += [
        [name, *("none" if figure == "patch Brier" else shown(own[figure]) for figure in SHOWN)]
        for name, own in found["rivals"].items()
    ]
    singles = ("patch AUC", "instance patch AUC", "attention patch AUC")
    ranks = [[NAMES[name], *(shown(found["methods"][name][figure]) for figure in singles)] for name in METHODS]
    text = EVALUATION.format(
        **_facts(found, table, labels, model),
        table=markdown(["method", *SHOWN], rows),
        seeds=markdown(["method", "slide AUC", "patch AUC"], [
            [NAMES[name], *(f"{own[figure]['value']:.3f} ± {own[figure]['sd']:.3f}" for figure in SHOWN[:2])]
            for name, own in found["methods"].items()
        ]),
        ranks=markdown(["method", "both, as calibrated", "instance logit", "attention score"], ranks),
        asked=asked_rows(found),
        validation=validation_table(table),
        controls=control_table(found, table),
        choices=choice_table(found["choices"]),
    )  # fmt: skip
    return wrapped(text)


def card_text(found: Mapping[str, Any], table: pd.DataFrame, labels: pd.DataFrame, model: TrainedModel) -> str:
    """Return the card as Markdown."""
    own = markdown(["figure", "this model"], [[name, shown(found["shipped"][name])] for name in SHOWN])
    return wrapped(CARD.format(**_facts(found, table, labels, model), own=own, asked=asked_rows(found)))


def validation_table(table: pd.DataFrame) -> str:
    """Mean ± SD over seeds of what the choice was made by."""
    rows = []
    for name in METHODS:
        own = table[table["method"] == name]
        cells = [f"{own[c].mean():.3f} ± {own[c].std(ddof=1):.3f}" for c in ("val_auc", "val_loss")]
        rows.append([NAMES[name], *cells, f"{own['epochs'].min()} to {own['epochs'].max()}"])
    return markdown(["method", "validation AUC", "validation loss", "epochs"], rows)


def control_table(found: Mapping[str, Any], table: pd.DataFrame) -> str:
    """SAM-MIL beside its controls: validation AUC, and metrics of the test slides."""
    own = list(table.loc[table["method"] == "sam-mil", "val_auc"])
    arms = {"SAM-MIL, true segments": {"figures": found["methods"]["sam-mil"], "val_auc": own}}
    arms |= {f"SAM-MIL, {name}": control for name, control in found["controls"].items()}
    rows = [
        [name, f"{mean(arm['val_auc']):.3f} ± {stdev(arm['val_auc']):.3f}",
         f"{arm['figures']['slide AUC']['value']:.3f} ± {arm['figures']['slide AUC']['sd']:.3f}",
         *(shown(arm["figures"][figure]) for figure in SHOWN[:3])]
        for name, arm in arms.items()
    ]  # fmt: skip
    return markdown(["segments", "validation AUC ± SD", "slide AUC ± SD", *SHOWN[:3]], rows)


def choice_table(choices: Sequence[Mapping[str, Any]]) -> str:
    """How many images of each kind are processed for the classifier that is meant."""
    rows = [[own["what"], own["meant"], f"{own['right']} of {own['n']}"] for own in choices]
    return markdown(["images", "classifier", "processed for it"], rows)


def wrapped(text: str) -> str:
    """Break the lines of running text again, now that the figures are in it."""
    parts = [
        part if part.startswith(("#", "|", "    ")) else "\n".join(textwrap.wrap(part, 116, break_on_hyphens=False))
        for part in text.strip().split("\n\n")
    ]
    return "\n\n".join(parts) + "\n"


def _facts(
    found: Mapping[str, Any], table: pd.DataFrame, labels: pd.DataFrame, model: TrainedModel
) -> dict[str, Any]:
    crops, patches, calibration = found["crops"], labels["patches"], model.calibration
    tumour = labels.loc[labels["label"] == "tumour", "tumour_share"]
    means = table.groupby("method")[["val_auc", "val_loss"]].mean()
    ranking = [[name, *(f"{own[c]:.3f}" for c in ("auc", "auc_in_crops", "ap"))] for name, own in
               crops["ranking"].items()]  # fmt: skip
    ranking[0][0] = "map of this model"
    count = {part: f"{len(own)}" for part, own in labels.groupby("split")}
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.model.state_dict().values())
    return {
        "method": NAMES[found["method"]],
        "segments": " and segments of `stain-regions`" if model.model.group_tokens else "",
        "seed": model.seed,
        "mpp": MPP,
        "side": SIDE,
        "wide": MODEL.hidden,
        "seeds_n": table["seed"].nunique(),
        "train": count["train"],
        "val": count["val"],
        "test": count["test"],
        "least": int(patches.min()),
        "most": int(patches.max()),
        "middle": int(patches.median()),
        "wanted": f"{PATCHES[0]} to {PATCHES[1]}",
        "least_tumour": f"{tumour.min():.1%}",
        "most_tumour": f"{tumour.max():.0%}",
        "middle_tumour": f"{tumour.median():.1%}",
        "threshold": f"{model.threshold:.3f}",
        "temperature": f"{model.temperature:.2f}",
        "calibrated": 0 if calibration is None else calibration.slides,
        "normal_slides": 0 if calibration is None else calibration.negative_slides,
        "equal": EQUAL,
        "val_auc": f"{means.loc[found['method'], 'val_auc']:.3f}",
        "val_loss": f"{means.loc[found['method'], 'val_loss']:.3f}",
        "epochs": TRAIN.epochs,
        "kb": round(weights / 1000),
        "probe_recall": f"{found['rivals']['probe with tile labels']['recall']['value']:.3f}",
        "probe_marked": f"{found['rivals']['probe with tile labels']['normal marked']['value']:.3f}",
        "bound": f"{found['recall at 2%']['model']:.3f}",
        "probe_bound": f"{found['recall at 2%']['probe']:.3f}",
        "crop_base": f"{crops['tumour'] / crops['patches'] * (1 - crops['tumour'] / crops['patches']):.3f}",
        "share": f"{found['share']:.1%}",
        "base": f"{found['share'] * (1 - found['share']):.3f}",
        "distance": f"{min(found['distances']):.2f} to {max(found['distances']):.2f}",
        "crops": crops["crops"],
        "crop_patches": crops["patches"],
        "crop_share": f"{crops['tumour'] / crops['patches']:.1%}",
        "crop_mpp": CROP_MPP,
        "crop_ranking": markdown(["score", "AUC, all patches", "AUC within crops", "average precision"], ranking),
        "crop_marked": crops["marked"],
        "crop_precision": "none" if crops["precision"] is None else f"{crops['precision']:.3f}",
        "crop_recall": f"{crops['recall']:.3f}",
        "crop_normal": f"{crops['normal_marked']:.3f}",
        "crop_brier": f"{crops['brier']:.3f}",
        "crop_called": crops["called"],
        "crop_outside": sum(distance > 1 for distance in crops["distance"]),
        "crop_distance": f"{min(crops['distance']):.2f} to {max(crops['distance']):.2f}",
    }  # fmt: skip


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, ["---"] * len(columns), *rows])


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"
