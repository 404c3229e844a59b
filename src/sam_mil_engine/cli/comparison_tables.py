"""How a comparison of models is printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .console import print_line, print_table

if TYPE_CHECKING:
    import pandas as pd

    from ..prediction.localisation import Localisation


def print_comparison(table: pd.DataFrame, *, title: str) -> None:
    """Print one row per model with mean ± SD of every metric, then the differences from the first model."""
    plain = table[table["test"] != "delong"]
    metrics = list(dict.fromkeys(plain["figure"]))
    rows = []
    for model in dict.fromkeys(plain["model"]):
        own = plain[plain["model"] == model].set_index("figure")
        spread = {name: _spread(own.loc[name, "mean"], own.loc[name, "sd"]) for name in metrics}
        auc = own.loc["auc"]
        pooled = f"{auc['pooled']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
        rows.append({"model": model, **spread, "pooled AUC (95%)": pooled})
    print_table(rows, title=f"{title}: mean ± SD over folds")
    against = table[table["test"].notna()]
    differences = [
        {
            "metric": f"{row['figure']} of mean probabilities" if row["test"] == "delong" else row["figure"],
            "model": row["model"],
            "against": row["against"],
            "difference (95%)": f"{row['difference']:+.3f}"
            f" ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})",
            "p": f"{row['p']:.3f}",
            "test": row["test"],
        }
        for row in against.to_dict("records")
        if row["figure"] in {"auc", "accuracy", "f1"}
    ]
    print_table(differences, title="differences of the pooled metrics")


def print_localisation(found: Localisation, *, title: str) -> None:
    """Print one row per metric of the maps."""
    rows = []
    for one in found.metrics:
        value = f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" if np.isfinite(one.value) else "none"
        rows.append({"metric": one.name, "value (95%)": value})
    print_table(rows, title=f"{title}: maps against annotations")


def records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows as plain values, None for what is not a number."""
    return [
        {
            str(name): None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]


def _spread(mean: float, sd: float) -> str:
    if not np.isfinite(mean):
        return "none"
    return f"{mean:.3f} ± {sd:.3f}" if np.isfinite(sd) else f"{mean:.3f}"


def print_recipes(recipes: Mapping[str, str | None]) -> None:
    """Print what the runs were trained with: model -> recipe, None where a run does not say."""
    known = set(recipes.values())
    if len(known) == 1:
        print_line(f"recipe: {known.pop() or 'not recorded'}")
    else:
        print_line(
            "recipes: " + ", ".join(f"{name} {recipe or 'not recorded'}" for name, recipe in recipes.items())
        )
