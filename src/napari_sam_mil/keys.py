"""Keyboard shortcuts, registered with napari, so that *Preferences > Shortcuts* lists and changes them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from napari.utils.key_bindings import KeymapProvider

from . import commands
from .napari_compat.layers import copy_class_keys

if TYPE_CHECKING:
    from napari.layers import Layer


@dataclass(frozen=True, slots=True)
class Key:
    """An action and its default key.

    Attributes
    ----------
    command
        Called with the viewer, or with the layer that holds the key.
    what
        Description for the user.
    default
        The default key, in napari's notation.
    """

    command: Callable[[Any], None]
    what: str
    default: str


#: Name of the action -> its key. The keys work everywhere in the window, unless the focused field uses them.
WINDOW_KEYS: dict[str, Key] = {
    "napari-sam-mil:segment_classify": Key(commands.segment_classify, "Segment/Classify", "Control-Enter"),
    "napari-sam-mil:cancel": Key(commands.cancel, "Cancel the running job", "Control-."),
    "napari-sam-mil:measure": Key(commands.measure, "Measure a distance, or put the tool away", "Control-5"),
    "napari-sam-mil:toggle_figure_6": Key(
        commands.toggle_figure_6, "Show or hide the patches above the threshold (Figure 6)", "Control-6"
    ),
    "napari-sam-mil:show_beside": Key(commands.show_beside, "Compare two classifiers", "Control-7"),
    "napari-sam-mil:add_points": Key(commands.add_points, "Prompts: toggle the point tool", "Control-8"),
    "napari-sam-mil:drag_box": Key(commands.drag_box, "Prompts: toggle the box tool", "Control-9"),
    "napari-sam-mil:next_slide": Key(commands.next_slide, "Open the next slide of the list", "Alt-Right"),
    "napari-sam-mil:previous_slide": Key(
        commands.previous_slide, "Open the previous slide of the list", "Alt-Left"
    ),
}


class PromptKeys(KeymapProvider):
    """Holds the keys of the layer ``prompts`` as the user set them. The layer copies them from here."""


def _in_prompts(name: str) -> Callable[[Layer], None]:
    def press(layer: Any) -> None:
        _pressed[layer][name]()

    return press


#: Name of the action -> its key in the image, while the layer ``prompts`` is selected.
PROMPT_KEYS: dict[str, Key] = {
    f"napari-sam-mil:{name}": Key(_in_prompts(name), what, default)
    for name, what, default in (
        ("next_candidate", "Next candidate", "C"),
        ("accept_mask", "Accept the mask as a segment", "Enter"),
        ("undo_prompt", "Undo the last prompt", "Control-Z"),
        ("redo_prompt", "Redo the prompt", "Control-Shift-Z"),
        ("clear_prompts", "Clear all prompts", "Escape"),
    )
}
#: Layer ``prompts`` of every open slide -> the functions of its keys.
_pressed: weakref.WeakKeyDictionary[Layer, Mapping[str, Callable[[], None]]] = weakref.WeakKeyDictionary()

#: Names of the actions that are registered with napari.
_registered: set[str] = set()


def register(_context: object = None) -> None:
    """Register the keys with napari. The manifest calls this when the plugin is first used."""
    from napari.components import ViewerModel
    from napari.utils.action_manager import action_manager

    for provider, keys, where in ((ViewerModel, WINDOW_KEYS, ""), (PromptKeys, PROMPT_KEYS, " (layer prompts)")):
        for name, key in keys.items():
            action_manager.register_action(name, key.command, f"SAM-MIL: {key.what}{where}", provider)
            _registered.add(name)
    bind_defaults()
    get_settings().shortcuts.events.shortcuts.connect(bind_defaults)


def bind_defaults(_event: object = None) -> None:
    """Bind the default key of every action for which the user chose none, also after *Restore All Keybindings*."""
    from napari.utils.action_manager import action_manager

    chosen = get_settings().shortcuts.shortcuts
    for name, key in (WINDOW_KEYS | PROMPT_KEYS).items():
        if name in _registered and name not in chosen:
            action_manager.unbind_shortcut(name)
            action_manager.bind_shortcut(name, key.default)


def give_keys(layer: Layer, pressed: Mapping[str, Callable[[], None]]) -> None:
    """Give a layer the current keys of :data:`PROMPT_KEYS`. Call it again after the keys have changed.

    ``pressed`` maps the name of each action, without the plugin's prefix, to its function.
    """
    _pressed[layer] = pressed
    copy_class_keys(layer, PromptKeys)


def key_of(name: str) -> str:
    """Return the keys of one of this plugin's actions, as text for the user."""
    name = f"napari-sam-mil:{name}"
    return shown_keys(name, (WINDOW_KEYS | PROMPT_KEYS)[name].default)


def shown_keys(name: str, default: str) -> str:
    """Return the keys of an action as text for the user: the user's choice, else the default."""
    from napari.utils.interactions import Shortcut

    chosen = get_settings().shortcuts.shortcuts.get(name)
    keys = ([default] if default else []) if chosen is None else chosen
    return ", ".join(_spell_out(Shortcut(key).platform) for key in keys) or "none"


def _spell_out(keys: str) -> str:
    """Replace symbols that many keyboards do not show with the names of the keys."""
    return keys.replace("↵", "Enter").replace("⇧", "Shift").replace("⎋", "Esc")


#: napari's keys that are useful for slides: napari's name of the action -> description.
NAPARI_KEYS: dict[str, str] = {
    "napari:reset_view": "Show the whole slide",
    "napari:toggle_grid": "Toggle the grid",
    "napari:toggle_selected_visibility": "Show or hide the selected layer",
    "napari:toggle_theme": "Switch between light and dark",
}
#: Where a key works -> key -> description. These keys cannot be changed.
FIXED_KEYS: dict[str, dict[str, str]] = {
    "In any dock": {
        "Alt+letter": "Press the button, or go to the field, with that letter underlined",
        "Tab": "Next field",
    },
    "In the list of segments": {"F2": "Rename", "Ctrl+click, Shift+click": "Select several"},
    "In the table of slides": {"Enter": "Open the selected slide"},
}


def all_keys() -> dict[str, dict[str, str]]:
    """Return where a key works -> keys as text for the user -> description, with the current settings."""
    window = {shown_keys(name, key.default): key.what for name, key in WINDOW_KEYS.items()}
    prompts = {shown_keys(name, key.default): key.what for name, key in PROMPT_KEYS.items()}
    theirs = {shown_keys(name, ""): what for name, what in NAPARI_KEYS.items()}
    return {
        "Everywhere in the window": window,
        "In the image, while the layer “prompts” is selected": {
            **prompts,
            "Shift+click, right click": "Mark what does not belong to the segment",
        },
        **FIXED_KEYS,
        "In the image (napari)": {keys: what for keys, what in theirs.items() if keys != "none"},
        "In the window (napari)": {"Ctrl+Shift+P": "Command palette: type sam-mil to list every command"},
    }
