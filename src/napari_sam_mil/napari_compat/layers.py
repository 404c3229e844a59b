"""Layers in napari's list: insert them without selecting them, and give them keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import LayerList
    from napari.layers import Layer
    from napari.utils.key_bindings import KeymapProvider


def insert_unselected(layers: LayerList, place: int, layer: Layer) -> None:
    """Insert a layer without changing the selection.

    Why
        napari selects every inserted layer, and rebuilds half of its window for every selection.
    Seen in
        napari 0.9.2 (``LayerList._activate_on_insert``). ``insert`` has no such option.
    Without it
        napari selects the layer, and the previous selection is restored: twice the work, the same result.
    """
    if hasattr(layers, "_activate_on_insert"):
        activates, layers._activate_on_insert = layers._activate_on_insert, False
        try:
            layers.insert(place, layer)
        finally:
            layers._activate_on_insert = activates
        return
    active = layers.selection.active
    layers.insert(place, layer)
    layers.selection.active = active


def copy_class_keys(layer: Any, provider: type[KeymapProvider]) -> None:
    """Give one layer the keys that are currently bound to a class.

    Why
        napari's preferences bind keys to classes, but the keys of prompts belong to one layer, not to all layers of
        its class.
    Seen in
        napari 0.9.2 (``KeymapProvider.class_keymap``).
    Without it
        The layer keeps its keys. The buttons of the dock and the command palette still work.
    """
    keymap = getattr(provider, "class_keymap", None)
    if keymap is not None:
        layer.keymap = keymap
