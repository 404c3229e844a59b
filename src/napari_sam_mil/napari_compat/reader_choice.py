"""The reader that napari uses for slides: napari's setting, changed from the plugin's preferences.

napari's built-in reader also claims slide files, so napari asks which reader to use. A manifest cannot change this,
but the setting can (*Preferences > Plugins* lists and changes it).
"""

from __future__ import annotations

from napari.settings import get_settings

#: Name of the plugin in napari's setting.
PLUGIN = "napari-sam-mil"
#: Files that are always slides. TIFF, DICOM and images may be something else, so napari asks.
SLIDE_PATTERNS = ("*.svs", "*.svslide", "*.ndpi", "*.mrxs", "*.scn", "*.bif", "*.vms", "*.vmu", "*.qptiff")


def is_slide_reader() -> bool:
    """Whether napari opens slide files with this plugin without asking."""
    chosen = get_settings().plugins.extension2reader
    return all(chosen.get(pattern) == PLUGIN for pattern in SLIDE_PATTERNS)


def set_slide_reader(*, on: bool) -> None:
    """Let napari open slide files with this plugin without asking, or ask again. Other choices do not change."""
    settings = get_settings().plugins
    others = {
        pattern: reader
        for pattern, reader in settings.extension2reader.items()
        if not (pattern in SLIDE_PATTERNS and reader == PLUGIN)
    }
    settings.extension2reader = others | (dict.fromkeys(SLIDE_PATTERNS, PLUGIN) if on else {})
