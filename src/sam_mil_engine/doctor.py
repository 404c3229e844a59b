"""Check the machine: what is installed, what is missing, what to do."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

import psutil

from .devices import cpu_count, describe, pick_device

State = Literal["good", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    ``state`` is ``good``, ``note`` (works with less) or ``bad`` (the engine cannot work).
    """

    name: str
    state: State
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Run all checks; a check that itself fails becomes a finding."""
    return [finding for check in _CHECKS for finding in check()]


def _machine() -> list[Finding]:
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB memory"
    return [
        Finding("machine", "good", f"{platform.platform()}, {cpu_count()} cores, {memory}"),
        Finding("python", "good", f"{platform.python_version()} ({sys.prefix})"),
    ]


def _packages() -> list[Finding]:
    needed = ("napari-sam-mil", "torch", "torchvision", "timm", "segment-anything", "openslide-python", "zarr")
    findings = []
    for name in needed:
        try:
            findings.append(Finding(name, "good", version(name)))
        except PackageNotFoundError:
            findings.append(
                Finding(name=name, state="bad", found="not installed", advice="pip install napari-sam-mil")
            )
    return findings


def _device() -> list[Finding]:
    device = pick_device()
    advice = "" if device.type != "cpu" else "Everything works on the CPU; an accelerator is faster"
    return [
        Finding(
            name="device", state="good" if device.type != "cpu" else "note", found=describe(device), advice=advice
        )
    ]


def _openslide() -> list[Finding]:
    try:
        import openslide
    except (ImportError, OSError) as error:
        return [Finding(name="openslide", state="bad", found=str(error), advice="pip install openslide-bin")]
    return [Finding("openslide", "good", f"library {openslide.__library_version__}")]


def _codecs() -> list[Finding]:
    import imagecodecs

    missing = [
        name
        for name in ("jpeg8", "jpeg2k", "jpegls", "lzw", "zstd", "webp")
        if not getattr(imagecodecs, name.upper()).available
    ]
    if missing:
        advice = "Some TIFF and DICOM files will not open; pip install --upgrade imagecodecs"
        return [
            Finding(name="codecs", state="note", found=f"imagecodecs without {', '.join(missing)}", advice=advice)
        ]
    return [Finding("codecs", "good", f"imagecodecs {imagecodecs.__version__}")]


def _display() -> list[Finding]:
    if find_spec("napari") is None:
        advice = "For the viewer: pip install 'napari-sam-mil[gui]'"
        return [
            Finding(
                name="napari", state="note", found="not installed; the command line works without it", advice=advice
            )
        ]
    findings = [Finding("napari", "good", version("napari"))]
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        advice = "The viewer needs one; the demo draws its window off-screen instead (xvfb-run works too)"
        findings.append(Finding(name="display", state="note", found="none", advice=advice))
    else:
        findings.append(Finding("display", "good", os.environ.get("DISPLAY", "yes")))
    return findings


def _writing() -> list[Finding]:
    from .models.files import models_folder

    findings = []
    for name, folder in (("temporary files", tempfile.gettempdir()), ("weight files", models_folder())):
        try:
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                findings.append(Finding(name, "good", str(folder)))
        except OSError as error:
            findings.append(
                Finding(name=name, state="bad", found=str(error), advice="Choose a folder that you may write to")
            )
    return findings


def _models() -> list[Finding]:
    from .models.card import KINDS
    from .models.registry import available, broken

    findings = []
    for name, items in (("segmenters", available("segmenter")), ("encoders", available("encoder"))):
        here = [item.name for item in items if item.on_disk]
        away = [item.name for item in items if not item.on_disk]
        advice = f"Not here: {', '.join(away)}; see `sam-mil-engine models`" if away else ""
        findings.append(
            Finding(name=name, state="good" if here else "bad", found=", ".join(here) or "none", advice=advice)
        )
    for kind in KINDS:
        for method in broken(kind):
            advice = f"Install a version of {method.package} that fits, or remove the package"
            findings.append(Finding(name=f"{kind} {method.name}", state="note", found=str(method), advice=advice))
    return findings


_CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    _machine,
    _packages,
    _device,
    _openslide,
    _codecs,
    _display,
    _writing,
    _models,
)
