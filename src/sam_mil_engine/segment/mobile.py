"""MobileSAM, built by its own package ``mobile_sam`` (distribution ``mobilesam-mirror``)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

from segment_anything.modeling import Sam


def build_mobile_sam() -> Sam:
    """Return a MobileSAM with random weights; raises :class:`ImportError` where its package is not installed."""
    return _shapes()["vit_t"]()


@cache
def _shapes() -> dict[str, Callable[[], Any]]:
    """Import the package without two of its effects.

    It imports timm under names that timm warns of, and replaces timm's own TinyViT models by its own.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm.models.registry as timm_registry

        register = timm_registry.register_model
        timm_registry.register_model = lambda builder: builder
        try:
            from mobile_sam import sam_model_registry
        finally:
            timm_registry.register_model = register
    shapes: dict[str, Callable[[], Any]] = sam_model_registry
    return shapes
