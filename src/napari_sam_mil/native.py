"""Keep torch and the graphics driver apart in one process."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_MAPS = Path("/proc/self/maps")


def prepare_for_torch() -> None:
    """Load triton so that it survives beside Mesa; call it before the first import of torch, from any thread.

    On Linux, torch imports triton, whose library holds an LLVM of its own. Where the window is drawn by Mesa
    (software rendering, AMD), another LLVM is loaded already, triton's calls end in that one, and the process dies
    with a segmentation fault. Loaded with ``RTLD_DEEPBIND``, triton keeps to its own.

    Torch's libraries are loaded here too: Python holds its global lock while it loads an extension, so that the
    window would stand still for as long as hundreds of megabytes take; ctypes does not hold it.
    """
    _keep_triton_apart()
    _load_torch_libraries()


def _load_torch_libraries() -> None:
    spec = find_spec("torch") if "torch" not in sys.modules else None
    for folder in () if spec is None else spec.submodule_search_locations or ():
        for name in ("libtorch_python.so", "libtorch_python.dylib"):
            path = Path(folder) / "lib" / name
            if path.is_file():
                # where this fails, importing torch says why
                with suppress(OSError):
                    ctypes.CDLL(str(path))


def _keep_triton_apart() -> None:
    deep_bind = getattr(os, "RTLD_DEEPBIND", None)
    if deep_bind is None or "triton" in sys.modules or not _mesa_has_llvm() or find_spec("triton") is None:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | deep_bind)
    try:
        import_module("triton")
    finally:
        sys.setdlopenflags(flags)


def _mesa_has_llvm() -> bool:
    return _MAPS.is_file() and "libLLVM" in _MAPS.read_text(encoding="utf-8", errors="replace")
