"""Which reader napari takes for slides: its own setting, changed from the plugin's preferences.

napari's built-in reader says that it reads slide files too, so that napari asks which reader to take. A manifest
has no word on that; the setting has (*Preferences > Plugins* lists and changes it).
"""

from __future__ import annotations

from napari.settings import get_settings

#: Name of the plugin, as napari's setting has it.
PLUGIN = "napari-sam-mil"
#: Files that hold nothing but slides. TIFF, DICOM and images may be something else: there napari asks.
SLIDE_PATTERNS = ("*.svs", "*.svslide", "*.ndpi", "*.mrxs", "*.scn", "*.bif", "*.vms", "*.vmu", "*.qptiff")


def is_slide_reader() -> bool:
    """Whether napari opens slide files with this plugin without asking."""
    chosen = get_settings().plugins.extension2reader
    return all(chosen.get(pattern) == PLUGIN for pattern in SLIDE_PATTERNS)


def set_slide_reader(*, on: bool) -> None:
    """Let napari open slide files with this plugin without asking, or ask again; other choices stay."""
    settings = get_settings().plugins
    others = {
        pattern: reader
        for pattern, reader in settings.extension2reader.items()
        if not (pattern in SLIDE_PATTERNS and reader == PLUGIN)
    }
    settings.extension2reader = others | (dict.fromkeys(SLIDE_PATTERNS, PLUGIN) if on else {})
