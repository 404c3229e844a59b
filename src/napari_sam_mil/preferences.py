"""The user's preferences, saved between sessions. No Qt, no napari."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from sam_mil_engine.errors import SettingsError
from sam_mil_engine.files import atomic_write
from sam_mil_engine.settings import PYRAMID_CACHE_BYTES, ProcessSettings
from sam_mil_engine.settings.changes import with_changes

from .analysis.model import Choices

#: Range of the cache of decoded tiles for one open slide, in MiB.
CACHE_RANGE_MIB = (64, 16_384)


@dataclass(frozen=True, slots=True)
class Preferences:
    """All preferences with their defaults.

    Attributes
    ----------
    project
        Folder for results, unless another is chosen in the Analyze dock.
    cache_mib
        Cache of decoded tiles for each open slide, in MiB. It applies to slides that are opened later.
    srgb
        Whether colours are converted to sRGB with the embedded ICC profile.
    smooth_maps
        Whether maps are interpolated between patches.
    background_offered
        Whether background loading has been switched on once. From then on, the user decides.
    changes
        Dotted name -> value of the settings with which an Analyze dock starts, where they are not the defaults.
    """

    project: str = str(Choices().project)
    cache_mib: int = PYRAMID_CACHE_BYTES // 2**20
    srgb: bool = False
    smooth_maps: bool = False
    background_offered: bool = False
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def cache_bytes(self) -> int:
        """The cache in bytes, clipped to its range."""
        low, high = CACHE_RANGE_MIB
        return min(max(self.cache_mib, low), high) * 2**20


def preferences_file() -> Path:
    """Return the path of the preferences file."""
    return Path(user_config_path("napari-sam-mil", appauthor=False)) / "preferences.json"


def preferences() -> Preferences:
    """Return the saved preferences, or the defaults if there are none.

    Raises
    ------
    SettingsError
        If the file is damaged. The error names the file and says what to do.
    """
    path = preferences_file()
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return Preferences(
            project=str(known["project"]),
            cache_mib=int(known["cache_mib"]),
            **{name: bool(known[name]) for name in ("srgb", "smooth_maps", "background_offered") if name in known},
            changes=_read_changes(known.get("changes", {})),
        )
    except FileNotFoundError:
        return Preferences()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SettingsError) as error:
        raise SettingsError(
            f"the preferences cannot be read ({type(error).__name__}: {error})",
            where=path,
            hint="Correct the file, or rename it to use the defaults",
        ) from error


def _read_changes(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return changed settings as they were before JSON, which has no tuples."""
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    with_changes(ProcessSettings(), found)
    return found


def save_preferences(values: Preferences) -> None:
    """Save the preferences; raises :class:`ProjectError` if the file cannot be written."""
    atomic_write(preferences_file(), json.dumps(asdict(values), indent=2) + "\n")
