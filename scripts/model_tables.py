"""Write the tables of models in the docs from the registry of this package.

``python scripts/model_tables.py`` renews what stands between ``<!-- models: KIND -->`` and ``<!-- end models -->``,
between ``<!-- names: KIND -->`` and ``<!-- end names -->``, and the tables of recipes and of deviations between
``<!-- recipes -->``, ``<!-- deviations -->`` and their ends. A test compares.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from sam_mil_engine.errors import SettingsError
from sam_mil_engine.models.card import Kind, ModelCard
from sam_mil_engine.models.registry import bundled, load_builder
from sam_mil_engine.settings import TrainSettings

ROOT = Path(__file__).resolve().parents[1]
_BETAS = (TrainSettings().beta1, TrainSettings().beta2)
_OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "lookahead-radam": "Lookahead with RAdam"}
#: The files with such parts.
FILES = ("README.md", "docs/models.md", "docs/training.md")
_TABLE = re.compile(r"(<!-- models: (\w+)s -->\n).*?(<!-- end models -->)", re.DOTALL)
_RECIPES = re.compile(r"(<!-- recipes -->\n).*?(<!-- end recipes -->)", re.DOTALL)
_DEVIATIONS = re.compile(r"(<!-- deviations -->\n).*?(<!-- end deviations -->)", re.DOTALL)
_NAMES = re.compile(r"(<!-- names: (\w+)s -->).*?(<!-- end names -->)", re.DOTALL)


def renewed(text: str) -> str:
    """Return a page with its tables and lists of models as the registry has them."""
    text = _TABLE.sub(lambda found: found[1] + table(cast("Kind", found[2])) + found[3], text)
    text = _RECIPES.sub(lambda found: found[1] + recipes() + found[2], text)
    text = _DEVIATIONS.sub(lambda found: found[1] + deviations() + found[2], text)
    return _NAMES.sub(lambda found: found[1] + names(cast("Kind", found[2])) + found[3], text)


def names(kind: Kind) -> str:
    """List the names that a person can type, without the many encoders of the hub."""
    listed = (name for name, card in bundled(kind).items() if not (card.repository or card.elsewhere))
    return ", ".join(f"`{name}`" for name in listed)


def table(kind: Kind) -> str:
    """Return the cards of a kind as a table."""
    return _markdown([_row(card) for card in bundled(kind).values()])


def recipes() -> str:
    """Return the recipe of every aggregator as a table."""
    return _markdown([_recipe(card) for card in bundled("aggregator").values()])


def deviations() -> str:
    """Return what aggregators do otherwise than their papers or codes as a table."""
    return _markdown(
        [
            {
                "method": f"`{card.name}`",
                "paper": found.paper,
                "released code": found.released,
                "here": found.default,
                "as released": f"`{found.select}`",
            }
            for card in bundled("aggregator").values()
            for found in card.deviations
        ]
    )


def _recipe(card: ModelCard) -> dict[str, str]:
    if card.recipe is None:
        row = dict.fromkeys(("optimizer", "rate", "schedule", "weight decay", "epochs", "epoch kept", "also"), "")
        return {"method": f"`{card.name}`", **row, "source": "none for slides: trained with the shared recipe"}
    own = TrainSettings.parse(card.recipe.settings)
    betas = "" if (own.beta1, own.beta2) == _BETAS else f", betas {own.beta1:g} and {own.beta2:g}"
    stops = f", stops after {own.patience} without a lower loss" if own.patience else ""
    stops += f", not before {own.min_epochs}" if stops and own.min_epochs else ""
    also = [f"gradient norm at most {own.clip:g}"] if own.clip else []
    also += [f"{own.accumulate} slides per step"] if own.accumulate > 1 else []
    also += ["no decay of biases"] if not own.decay_biases else []
    also += [f"`balance={own.balance}`"] if own.balance != "none" else []
    start = f", from epoch {round(own.best_from * own.epochs)}" if own.best_from else ""
    differs = f"; {card.recipe.differs}" if card.recipe.differs else ""
    differs += "".join(f"; `{name}={value}`" for name, value in card.recipe.model.items())
    return {
        "method": f"`{card.name}`",
        "optimizer": _OPTIMIZERS[own.optimizer] + betas,
        "rate": f"{own.learning_rate:g}",
        "schedule": _schedule(own),
        "weight decay": f"{own.weight_decay:g}",
        "epochs": f"{own.epochs}{stops}",
        "epoch kept": f"{'lowest loss' if own.best_by == 'loss' else 'largest AUC'}{start}",
        "also": "; ".join(also),
        "source": card.recipe.source + differs,
    }


def _schedule(settings: TrainSettings) -> str:
    if settings.schedule == "step":
        return f"times {settings.step_factor:g} after epoch {round(settings.step_at * settings.epochs)}"
    return "constant" if settings.schedule == "constant" else f"cosine to {settings.last_rate:g}"


def _markdown(rows: list[dict[str, str]]) -> str:
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *(list(row.values()) for row in rows)]
    return "".join(f"|{'|'.join(f' {cell} ' if cell != '---' else cell for cell in line)}|\n" for line in lines)


def _row(card: ModelCard) -> dict[str, str]:
    row = {"name": f"`{card.name}`", "what": card.what}
    if card.kind == "aggregator":
        return row | {"groups": _groups(card), "please cite": card.citation}
    if card.kind == "encoder":
        row |= {
            "D": str(card.dim or ""),
            "patch": f"{card.input_size} px" if card.input_size else "",
            "µm per pixel": str(card.mpp or ""),
            "normalisation": card.normalisation,
            "access": "" if card.is_family else _access(card),
        }
    extra = f" (extra `{card.extra}`)" if card.extra else ""
    needs = f"; needs `{card.needs}`{extra}" if card.needs else ""
    source = f"<{card.source}>" if "://" in card.source else card.source
    size = "" if card.folder is not None else card.size_text
    row |= {"size": size} if card.kind != "classifier" else {}
    return row | {"licence": card.licence, "source": f"{source}{needs}", "please cite": card.citation}


def _access(card: ModelCard) -> str:
    return f"gated{'; not built here' if card.elsewhere else ''}" if card.gated else "open"


def _groups(card: ModelCard) -> str:
    """Say whether an aggregator takes group tokens."""
    kind = load_builder(card, error=SettingsError)
    if kind.uses_groups:
        return "has them; `--no-groups` takes them away"
    return f"`{card.name}+groups`" if kind.accepts_groups else "no"


def main() -> None:
    """Renew every file."""
    for name in FILES:
        path = ROOT / name
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
