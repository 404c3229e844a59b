"""SAM-MIL for whole-slide images: the engine.

The names below are the public API; each loads what it needs when it is first used, so that importing the package
costs nothing.

Examples
--------
Eight small slides, half of them with tumour, are enough to try everything. The examples of the functions go on in
the same folder, in this order: :func:`open_slide`, :func:`process_slide`, :func:`load_segmenter`,
:func:`load_encoder`, :func:`read_bag`, :func:`read_annotations`, :func:`train`, :func:`load_model`,
:func:`settings_for`, :func:`predict`, :func:`cross_validate`.

>>> from pathlib import Path
>>> from sam_mil_engine.synthetic import make_cohort
>>> make_cohort(Path("cohort"), slides=8, size_px0=(768, 640)).as_posix()
'cohort/labels.csv'
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if sys.platform == "darwin":
    # Torch reads it when it is first imported: what Apple's devices lack is then computed on the CPU.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

#: A public name -> the module that holds it.
_MODULES = {
    "open_slide": "slide.reader",
    "process_slide": "process.runner",
    "load_segmenter": "segment.loading",
    "load_encoder": "features.loading",
    "read_bag": "bag.h5",
    "settings_for": "prediction.batch",
    "read_annotations": "annotations.reading",
    "train": "training.loop",
    "cross_validate": "training.cross_validation",
    "load_model": "training.checkpoint",
    "predict": "prediction.slide",
}

if TYPE_CHECKING:
    from .annotations.reading import read_annotations as read_annotations
    from .bag.h5 import read_bag as read_bag
    from .features.loading import load_encoder as load_encoder
    from .prediction.batch import settings_for as settings_for
    from .prediction.slide import predict as predict
    from .process.runner import process_slide as process_slide
    from .segment.loading import load_segmenter as load_segmenter
    from .slide.reader import open_slide as open_slide
    from .training.checkpoint import load_model as load_model
    from .training.cross_validation import cross_validate as cross_validate
    from .training.loop import train as train

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
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
