"""What the user set once and for all, remembered from one start to the next. No Qt, no napari."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_config_path

from sam_mil_engine.errors import SettingsError
from sam_mil_engine.files import atomic_write
from sam_mil_engine.settings import PYRAMID_CACHE_BYTES

from .analysis.model import Choices

#: MiB of decoded tiles that one open slide may keep.
CACHE_RANGE_MIB = (64, 16_384)


@dataclass(frozen=True, slots=True)
class Preferences:
    """All preferences with their defaults.

    Attributes
    ----------
    project
        Folder in which results are kept, unless another is chosen in the Analyze dock.
    cache_mib
        MiB of decoded tiles that one open slide may keep; holds for slides that are opened later.
    srgb
        Whether colours are shown as the embedded ICC profile means them.
    background_offered
        Whether loading in the background was switched on once; from then on it is the user's.
    """

    project: str = str(Choices().project)
    cache_mib: int = PYRAMID_CACHE_BYTES // 2**20
    srgb: bool = False
    background_offered: bool = False

    @property
    def cache_bytes(self) -> int:
        """The cache in bytes, within its range whatever the file says."""
        low, high = CACHE_RANGE_MIB
        return min(max(self.cache_mib, low), high) * 2**20


def preferences_file() -> Path:
    """Return where the preferences lie."""
    return Path(user_config_path("napari-sam-mil", appauthor=False)) / "preferences.json"


def preferences() -> Preferences:
    """Return what the user set; the defaults where nothing is set.

    Raises
    ------
    SettingsError
        If the file is damaged: it says which, and what to do.
    """
    path = preferences_file()
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return Preferences(
            project=str(known["project"]),
            cache_mib=int(known["cache_mib"]),
            **{name: bool(known[name]) for name in ("srgb", "background_offered") if name in known},
        )
    except FileNotFoundError:
        return Preferences()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"the preferences cannot be read ({type(error).__name__}: {error})",
            where=path,
            hint="Correct it, or rename it: the defaults are used then",
        ) from error


def save_preferences(values: Preferences) -> None:
    """Remember preferences; raises :class:`ProjectError` where the file cannot be written."""
    atomic_write(preferences_file(), json.dumps(asdict(values), indent=2) + "\n")
