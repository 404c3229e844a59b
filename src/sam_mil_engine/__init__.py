"""SAM-MIL for whole-slide images: the engine.

The names below are the public API; each loads what it needs when it is first used, so that importing the package
costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "open_slide": "slide.reader",
    "process_slide": "workflow.process",
    "load_segmenter": "segment.loading",
    "load_encoder": "features.loading",
    "read_bag": "bag.h5",
    "settings_for": "workflow.prediction",
    "read_annotations": "annotations.reading",
    "train": "train.loop",
    "cross_validate": "train.cross_validation",
    "load_model": "train.checkpoint",
    "predict": "predict",
}

if TYPE_CHECKING:
    from .annotations.reading import read_annotations as read_annotations
    from .bag.h5 import read_bag as read_bag
    from .features.loading import load_encoder as load_encoder
    from .predict import predict as predict
    from .segment.loading import load_segmenter as load_segmenter
    from .slide.reader import open_slide as open_slide
    from .train.checkpoint import load_model as load_model
    from .train.cross_validation import cross_validate as cross_validate
    from .train.loop import train as train
    from .workflow.prediction import settings_for as settings_for
    from .workflow.process import process_slide as process_slide

__all__ = [
    "__version__",
    "cross_validate",
    "load_encoder",
    "load_model",
    "load_segmenter",
    "open_slide",
    "predict",
    "process_slide",
    "read_annotations",
    "read_bag",
    "settings_for",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__


class _Api(ModuleType):
    """The package, except that the rooms ``train`` and ``predict`` never hide the functions of the same name.

    Python hangs every imported submodule on its package; ``sme.predict`` would stop being callable then.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Api
