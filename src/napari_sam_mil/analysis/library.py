"""The runs that the user imported, saved between sessions. No Qt, no napari."""

from __future__ import annotations

import json
from pathlib import Path

from platformdirs import user_data_path

from sam_mil_engine.errors import ModelError
from sam_mil_engine.files import atomic_write


class Library:
    """The list of imported runs, saved in a file. Use :func:`library`."""

    def __init__(self, path: Path):
        self._path = path

    def added(self, kind: str) -> list[Path]:
        """Return the paths that were added under ``kind`` and still exist."""
        return [Path(one) for one in self._read().get(kind, []) if Path(one).exists()]

    def add(self, kind: str, path: Path) -> None:
        """Add a run to the list."""
        known = self._read()
        known[kind] = list(dict.fromkeys([*known.get(kind, []), str(path.resolve())]))
        atomic_write(self._path, json.dumps(known, indent=2) + "\n")

    def forget(self, kind: str, path: str) -> None:
        """Remove a run from the list. Its files stay on disk."""
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
                f"the list of imported runs cannot be read ({error})",
                where=self._path,
                hint="Correct the file, or rename it and import the runs again",
            ) from error
        return {kind: list(paths) for kind, paths in known.items()} if isinstance(known, dict) else {}


def library() -> Library:
    """Return the user's library."""
    return Library(user_data_path("napari-sam-mil", appauthor=False) / "models.json")
