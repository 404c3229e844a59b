"""Encoders by name. Does not import torch."""

from __future__ import annotations

from ..errors import EncoderError
from ..models.card import ModelCard
from ..models.registry import build, cards, find, names
from ..models.suggestions import suggestion
from ..settings import FeatureSettings
from .encoder import Encoder


def load_encoder(
    name: str = FeatureSettings().encoder, *, device: str = "auto", precision: str = "float32"
) -> Encoder:
    """Return the encoder called ``name``, ready on a device.

    Parameters
    ----------
    name
        ``efficientnet-lite0``; ``resnet50`` or ``plip`` (weights in the folder of weight files), ``resnet50:PATH``
        or ``plip:PATH``; ``uni``, ``virchow2`` and the like (:mod:`sam_mil_engine.models.encoders`);
        ``timm:NAME``; ``hf:OWNER/NAME``; or one of another package (:mod:`sam_mil_engine.models.registry`).
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    precision
        ``float32``, or ``bfloat16`` or ``float16`` for what torch's autocast computes in half precision.

    Raises
    ------
    EncoderError
        If the name is unknown, or its weights are missing, damaged or of another shape.

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import numpy as np
    >>> import sam_mil_engine as sme
    >>> encoder = sme.load_encoder("efficientnet-lite0", device="cpu")
    >>> encoder.encode(np.full((2, 128, 128, 3), 200, np.uint8)).shape
    (2, 1280)
    """
    card, rest = _find(name)
    arguments = (rest,) if card.takes else ()
    encoder: Encoder = build(card, *arguments, error=EncoderError, device=device, precision=precision)
    return encoder


def recorded_name(name: str) -> str:
    """Return the name with which bags of an encoder are marked: one for all names that a person may type."""
    card = find("encoder", name, error=EncoderError)
    return name if card is None else card.recorded_name


def require_known(name: str) -> None:
    """Refuse an encoder that does not exist; raises :class:`EncoderError` with names that may be meant."""
    _find(name)


def _find(name: str) -> tuple[ModelCard, str]:
    """Card of an encoder, and the text after the colon that its builder takes."""
    card = find("encoder", name, error=EncoderError)
    if card is not None and not card.is_family:
        return card, ""
    kind, colon, rest = name.partition(":")
    for known in (f"{kind}:NAME", kind):
        card = find("encoder", known, error=EncoderError)
        if colon and card is not None and card.takes:
            return card, rest
    listed = cards("encoder")
    suggested = suggestion(name, [one for card in listed.values() for one in (card.name, *card.aliases)])
    raise EncoderError(
        f"there is no encoder {name!r}",
        hint=f"{suggested}Choose one of {', '.join(names('encoder'))},"
        " resnet50:PATH, or one that `sam-mil-engine models` lists",
        window_hint=f"Choose one of {', '.join(card.name for card in listed.values() if card.on_disk)}",
    )
