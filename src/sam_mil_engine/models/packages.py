"""Packages that some models need, and how they are installed."""

from __future__ import annotations

from ..errors import EncoderError


def install_extra(extra: str) -> str:
    """Return the command that installs an extra of this package."""
    return f"pip install 'napari-sam-mil[{extra}]'"


#: Name of the package, as it is imported -> the command that installs it.
INSTALLED_BY = {
    "transformers": install_extra("encoders"),
    "open_clip": install_extra("encoders"),
    "conch": "pip install git+https://github.com/Mahmoodlab/CONCH.git",
}


def how_to_install(package: str) -> str:
    """Return the command that installs a package."""
    return INSTALLED_BY.get(package, f"pip install {package}")


def lacks_package(what: str, package: str, *, distribution: str = "") -> EncoderError:
    """Return the error of an encoder whose package is not installed; ``distribution`` is its name in an index."""
    shown = distribution or package
    return EncoderError(
        f"{what} needs the package {package}",
        hint=how_to_install(package),
        window_hint=f"Install the Python package {shown} in napari's environment and restart napari",
    )
