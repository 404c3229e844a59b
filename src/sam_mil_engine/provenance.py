"""Which versions made a result: written into every file from which a result may be made again."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version

_PACKAGES = ("napari-sam-mil", "numpy", "torch", "timm", "segment-anything", "scikit-image", "openslide-python")


def versions() -> dict[str, str]:
    """Return name -> version of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


@cache
def _version(package: str) -> str:
    """Return the version of a package, which costs milliseconds to look up."""
    return version(package)
