"""Write the tables of models in the docs from the registry of this package.

``python scripts/model_tables.py`` renews what stands between ``<!-- models: KIND -->`` and ``<!-- end models -->``,
and between ``<!-- names: KIND -->`` and ``<!-- end names -->``. A test compares.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from sam_mil_engine.errors import SettingsError
from sam_mil_engine.models.card import Kind, ModelCard
from sam_mil_engine.models.registry import bundled, load_builder

ROOT = Path(__file__).resolve().parents[1]
#: The files with such parts.
FILES = ("README.md", "docs/models.md", "docs/training.md")
_TABLE = re.compile(r"(<!-- models: (\w+)s -->\n).*?(<!-- end models -->)", re.DOTALL)
_NAMES = re.compile(r"(<!-- names: (\w+)s -->).*?(<!-- end names -->)", re.DOTALL)


def renewed(text: str) -> str:
    """Return a page with its tables and lists of models as the registry has them."""
    text = _TABLE.sub(lambda found: found[1] + table(cast("Kind", found[2])) + found[3], text)
    return _NAMES.sub(lambda found: found[1] + names(cast("Kind", found[2])) + found[3], text)


def names(kind: Kind) -> str:
    """List the names that a person can type, without the many encoders of the hub."""
    listed = (name for name, card in bundled(kind).items() if not (card.repository or card.elsewhere))
    return ", ".join(f"`{name}`" for name in listed)


def table(kind: Kind) -> str:
    """Return the cards of a kind as a table."""
    rows = [_row(card) for card in bundled(kind).values()]
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
    needs = f"; needs `{card.needs}`" if card.needs else ""
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
