"""The RUNs that the user imported, remembered from one start to the next. No Qt, no napari."""

from __future__ import annotations

import json
from pathlib import Path

from platformdirs import user_data_path

from sam_mil_engine.errors import ModelError
from sam_mil_engine.files import atomic_write


class Library:
    """RUNs that the user imported, remembered in a file. Use :func:`library`."""

    def __init__(self, path: Path):
        self._path = path

    def added(self, kind: str) -> list[Path]:
        """Return what was added as ``classifier`` and is still there."""
        return [Path(one) for one in self._read().get(kind, []) if Path(one).exists()]

    def add(self, kind: str, path: Path) -> None:
        """Remember a RUN."""
        known = self._read()
        known[kind] = list(dict.fromkeys([*known.get(kind, []), str(path.resolve())]))
        atomic_write(self._path, json.dumps(known, indent=2) + "\n")

    def forget(self, kind: str, path: str) -> None:
        """Take a RUN from the list; it stays on the disk."""
        known = self._read()
        known[kind] = [one for one in known.get(kind, []) if one != path]
        atomic_write(self._path, json.dumps(known, indent=2) + "\n")

    def _read(self) -> dict[str, list[str]]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ModelError(
                f"the list of added models cannot be read ({error})",
                where=self._path,
                hint="Correct it or rename it; models are then added again",
            ) from error
        return {kind: list(paths) for kind, paths in known.items()} if isinstance(known, dict) else {}


def library() -> Library:
    """Return the user's library."""
    return Library(user_data_path("napari-sam-mil", appauthor=False) / "models.json")
