"""Keys of the window, registered as napari's own are: *Preferences > Shortcuts* lists them, and changes them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from napari.utils.key_bindings import KeymapProvider

from . import commands
from .napari_compat.layers import take_keys

if TYPE_CHECKING:
    from napari.layers import Layer


@dataclass(frozen=True, slots=True)
class Key:
    """What a key does, unless the user chose another one.

    Attributes
    ----------
    command
        Called with the viewer, or with the layer that has the key.
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


class PromptKeys(KeymapProvider):
    """Holds the keys of the layer ``prompts`` as the user sets them; the layer takes them over from here."""


def _in_prompts(name: str) -> Callable[[Layer], None]:
    def press(layer: Any) -> None:
        _pressed[layer][name]()

    return press


#: Name of the action -> its key in the picture, while the layer ``prompts`` is selected.
PROMPT_KEYS: dict[str, Key] = {
    f"napari-sam-mil:{name}": Key(_in_prompts(name), what, default)
    for name, what, default in (
        ("next_candidate", "Next candidate", "C"),
        ("accept_mask", "Accept the mask as a segment", "Enter"),
        ("undo_prompt", "Take the last prompt back", "Control-Z"),
        ("redo_prompt", "Give it again", "Control-Shift-Z"),
        ("clear_prompts", "Clear all prompts", "Escape"),
    )
}
#: Layer ``prompts`` of every open slide -> what its keys do.
_pressed: weakref.WeakKeyDictionary[Layer, Mapping[str, Callable[[], None]]] = weakref.WeakKeyDictionary()

#: Names of the actions that napari knows already.
_registered: set[str] = set()


def register(_context: object = None) -> None:
    """Make the keys known to napari; the manifest calls it when the plugin is first used."""
    from napari.components import ViewerModel
    from napari.utils.action_manager import action_manager

    for provider, keys, where in ((ViewerModel, WINDOW_KEYS, ""), (PromptKeys, PROMPT_KEYS, " (layer prompts)")):
        for name, key in keys.items():
            action_manager.register_action(name, key.command, f"SAM-MIL: {key.what}{where}", provider)
            _registered.add(name)
    bind_defaults()
    get_settings().shortcuts.events.shortcuts.connect(bind_defaults)


def bind_defaults(_event: object = None) -> None:
    """Give every action that the user chose no keys for its own: also after *Restore All Keybindings*."""
    from napari.utils.action_manager import action_manager

    chosen = get_settings().shortcuts.shortcuts
    for name, key in (WINDOW_KEYS | PROMPT_KEYS).items():
        if name in _registered and name not in chosen:
            action_manager.unbind_shortcut(name)
            action_manager.bind_shortcut(name, key.default)


def give_keys(layer: Layer, pressed: Mapping[str, Callable[[], None]]) -> None:
    """Give a layer the keys of :data:`PROMPT_KEYS` as they are set now; again, where they were changed.

    ``pressed`` says what each does, by the name of the action without the plugin's.
    """
    _pressed[layer] = pressed
    take_keys(layer, PromptKeys)


def key_of(name: str) -> str:
    """Return the keys of one of our actions, for a person."""
    name = f"napari-sam-mil:{name}"
    return shown_keys(name, (WINDOW_KEYS | PROMPT_KEYS)[name].default)


def shown_keys(name: str, default: str) -> str:
    """Return the keys of an action, napari's or ours, for a person: what the user chose, or the default."""
    from napari.utils.interactions import Shortcut

    chosen = get_settings().shortcuts.shortcuts.get(name)
    keys = ([default] if default else []) if chosen is None else chosen
    return ", ".join(_in_words(Shortcut(key).platform) for key in keys) or "none"


def _in_words(keys: str) -> str:
    """Write signs out that not every keyboard shows."""
    return keys.replace("↵", "Enter").replace("⇧", "Shift").replace("⎋", "Esc")


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
    "In the list of segments": {"F2": "Rename", "Ctrl+click, Shift+click": "Choose several"},
    "In the table of slides": {"Enter": "Open the chosen slide"},
}


def all_keys() -> dict[str, dict[str, str]]:
    """Return where a key works -> keys as a person reads them -> what they do, as they are set now."""
    window = {shown_keys(name, key.default): key.what for name, key in WINDOW_KEYS.items()}
    prompts = {shown_keys(name, key.default): key.what for name, key in PROMPT_KEYS.items()}
    theirs = {shown_keys(name, ""): what for name, what in NAPARI_KEYS.items()}
    return {
        "Everywhere in the window": window,
        "In the picture, while the layer prompts is selected": {
            **prompts,
            "Shift+click, right click": "What does not belong to the segment",
        },
        **FIXED_KEYS,
        "In the picture (napari)": {keys: what for keys, what in theirs.items() if keys != "none"},
        "Of the window (napari)": {"Ctrl+Shift+P": "Command palette: type sam-mil to find every command"},
    }
