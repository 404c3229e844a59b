"""Patch size and resolution that an encoder was trained with, where the user chose neither."""

from __future__ import annotations

from ..errors import EncoderError
from ..settings import ProcessSettings, TileSettings
from .registry import find


def with_encoder_defaults(settings: ProcessSettings) -> tuple[ProcessSettings, str]:
    """Return the settings with the patches that the chosen encoder was trained on, and a sentence that says so.

    Only what the user left open is filled in, and only where the user chose the encoder. With several encoders,
    which share their patches, the first one decides.

    Returns
    -------
    settings
        The settings.
    note
        What was filled in, and which further encoder was trained on other patches; empty where nothing was.
    """
    features, tiles = settings.features, settings.tiles
    card = find("encoder", features.encoder, error=EncoderError) if "encoder" in features.model_fields_set else None
    if card is None:
        return settings, ""
    chosen = {name: getattr(tiles, name) for name in tiles.model_fields_set}
    trained = {"patch_size": card.input_size, "mpp": card.mpp}
    filled = {name: value for name, value in trained.items() if value is not None and name not in chosen}
    if not filled:
        return settings, ""
    tiles = TileSettings.of(**{**filled, **chosen})
    at = "" if tiles.mpp is None else f" at {tiles.mpp:g} µm per pixel"
    note = f"patches of {tiles.patch_size} px{at}, which {features.encoder} was trained on"
    others = [name for name in features.more_encoders if not _fits(name, tiles)]
    if others:
        note += (
            f"; {', '.join(others)} was trained on others"
            if len(others) == 1
            else (f"; {', '.join(others)} were trained on others")
        )
    return settings.model_copy(update={"tiles": tiles}), note


def _fits(name: str, tiles: TileSettings) -> bool:
    card = find("encoder", name, error=EncoderError)
    return card is None or (card.input_size in (None, tiles.patch_size) and card.mpp in (None, tiles.mpp))
