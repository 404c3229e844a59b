"""The window as an image, also where there is no display."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from napari_sam_mil.napari_compat.display import ensure_display
from sam_mil_engine.errors import SamMilError


@pytest.mark.skipif(not sys.platform.startswith("linux") or shutil.which("Xvfb") is None, reason="Xvfb is not here")
def test_the_showcase_draws_the_window_without_a_display(tiny_slide, run_folder, tmp_path):
    image = tmp_path / "window.png"
    bare = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    command = [sys.executable, "-m", "napari_sam_mil.showcase", str(tiny_slide), "--project", str(tmp_path / "p")]
    command += ["--model", str(run_folder), "--picture", str(image)]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    window = np.asarray(Image.open(image).convert("RGB")).astype(int)
    assert window.shape == (1080, 1920, 3)
    pink = (window[..., 0] - window[..., 1] > 25) & (window[..., 0] > 120)
    assert pink[200:-200, 500:-600].mean() > 0.2, "tissue fills much of the canvas"


def test_a_slide_that_does_not_open_is_an_error_with_exit_code_2(run_folder, tmp_path):
    bad = tmp_path / "bad.svs"
    bad.write_text("no slide")
    command = [sys.executable, "-m", "napari_sam_mil.showcase", str(bad), "--project", str(tmp_path / "p")]
    done = subprocess.run([*command, "--model", str(run_folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "bad.svs" in done.stderr


def test_without_display_and_xvfb_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(SamMilError, match="xvfb"), ensure_display():
        raise AssertionError("no display was needed")
