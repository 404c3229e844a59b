"""A virtual display (Xvfb) for machines without a display."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sam_mil_engine.errors import SamMilError


def has_display() -> bool:
    """Whether there is a display that can show a window."""
    return not sys.platform.startswith("linux") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


@contextmanager
def ensure_display(*, size: tuple[int, int] = (1920, 1080)) -> Iterator[None]:
    """Use the existing display; without one, start a virtual display of ``size`` pixels.

    Raises
    ------
    SamMilError
        If there is neither a display nor Xvfb.
    """
    if has_display():
        yield
        return
    program = shutil.which("Xvfb")
    if program is None:
        raise SamMilError(
            "there is no display, and the virtual display Xvfb is not installed",
            hint="Install it (Debian and Ubuntu: apt-get install xvfb), or run this on a desktop",
        )
    told, tell = os.pipe()
    command = [program, "-displayfd", str(tell), "-screen", "0", f"{size[0]}x{size[1]}x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[tell], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(tell)
    try:
        with os.fdopen(told) as answer:
            number = answer.readline().strip()
        if not number:
            raise SamMilError("Xvfb did not start", where=program, hint="Run it in a terminal to see its error")
        os.environ["DISPLAY"] = f":{number}"
        yield
    finally:
        os.environ.pop("DISPLAY", None)
        server.terminate()
        server.wait(timeout=10)
