"""Keys of the window, registered as napari's own are: *Preferences > Shortcuts* lists them, and changes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.settings import get_settings

from . import commands


@dataclass(frozen=True, slots=True)
class Key:
    """What a key does, unless the user chose another one.

    Attributes
    ----------
    command
        Called with the viewer.
    what
        What the user reads.
    default
        In napari's notation.
    """

    command: Callable[[Any], None]
    what: str
    default: str


#: Name of the action -> its key. They work wherever the focus is in the window, unless a field takes the key.
WINDOW_KEYS: dict[str, Key] = {
    "napari-sam-mil:segment_classify": Key(commands.segment_classify, "Segment/Classify", "Control-Enter"),
    "napari-sam-mil:cancel": Key(commands.cancel, "Cancel what runs", "Control-."),
    "napari-sam-mil:toggle_figure_6": Key(
        commands.toggle_figure_6, "Show or hide the patches above the threshold (Figure 6)", "Control-6"
    ),
    "napari-sam-mil:show_beside": Key(commands.show_beside, "SAM-MIL beside AB-MIL", "Control-7"),
    "napari-sam-mil:add_points": Key(commands.add_points, "Prompts: point tool on and off", "Control-8"),
    "napari-sam-mil:drag_box": Key(commands.drag_box, "Prompts: box tool on and off", "Control-9"),
}


def register(_context: object = None) -> None:
    """Make the keys known to napari; the manifest calls it when the plugin is first used."""
    from napari.components import ViewerModel
    from napari.utils.action_manager import action_manager

    chosen = get_settings().shortcuts.shortcuts
    for name, key in WINDOW_KEYS.items():
        action_manager.register_action(name, key.command, f"SAM-MIL: {key.what}", ViewerModel)
        if name not in chosen:
            action_manager.bind_shortcut(name, key.default)


def shown_keys(name: str, default: str) -> str:
    """Return the keys of an action, napari's or ours, for a person: what the user chose, or the default."""
    from napari.utils.interactions import Shortcut

    chosen = get_settings().shortcuts.shortcuts.get(name)
    keys = ([default] if default else []) if chosen is None else chosen
    return ", ".join(_in_words(Shortcut(key).platform) for key in keys) or "none"


def _in_words(keys: str) -> str:
    """Write two signs out that not every keyboard shows."""
    return keys.replace("↵", "Enter").replace("⇧", "Shift")


#: napari's own keys that help with slides: the name that napari has for the action -> what it does.
NAPARI_KEYS: dict[str, str] = {
    "napari:reset_view": "Show the whole slide",
    "napari:toggle_grid": "Grid on and off",
    "napari:toggle_selected_visibility": "Show or hide the selected layer",
    "napari:toggle_theme": "Light or dark",
}
#: Where a key works -> key -> what it does; these are fixed.
FIXED_KEYS: dict[str, dict[str, str]] = {
    "In any dock": {"Alt+letter": "Press the button, or go to the field, that underlines it", "Tab": "Next field"},
    "In the picture, while the layer prompts is selected": {
        "C": "Next candidate",
        "Enter": "Accept the mask as a segment",
        "Ctrl+Z": "Take the last prompt back",
        "Ctrl+Shift+Z": "Give it again",
        "Esc": "Clear all prompts",
        "Shift+click, right click": "What does not belong to the segment",
    },
    "In the list of segments": {"F2": "Rename", "Ctrl+click, Shift+click": "Choose several"},
    "In the table of slides": {"Enter": "Open the chosen slide"},
}


def all_keys() -> dict[str, dict[str, str]]:
    """Return where a key works -> keys as a person reads them -> what they do, as they are set now."""
    ours = {shown_keys(name, key.default): key.what for name, key in WINDOW_KEYS.items()}
    theirs = {shown_keys(name, ""): what for name, what in NAPARI_KEYS.items()}
    return {
        "Everywhere in the window": ours,
        **FIXED_KEYS,
        "In the picture (napari)": {keys: what for keys, what in theirs.items() if keys != "none"},
        "Of the window (napari)": {"Ctrl+Shift+P": "Command palette: type sam-mil to find every command"},
    }
