"""Packages that some models need, and how they are installed."""

from __future__ import annotations

_EXTRA = "pip install 'napari-sam-mil[encoders]'"
#: Name of the package, as it is imported -> the command that installs it.
INSTALLED_BY = {
    "transformers": _EXTRA,
    "open_clip": _EXTRA,
    "conch": "pip install git+https://github.com/Mahmoodlab/CONCH.git",
}


def how_to_install(package: str) -> str:
    """Return the command that installs a package."""
    return INSTALLED_BY.get(package, f"pip install {package}")
