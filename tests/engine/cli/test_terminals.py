"""Terminals that are not UTF-8, and names of classes that are not file names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sam_mil_engine.bag.names import safe_name


@pytest.mark.parametrize("encoding", ["cp932", "cp949", "gbk", "ascii", "latin-1", "utf-8"])
def test_no_sign_that_a_terminal_lacks_ends_a_command(tiny_slide: Path, encoding: str) -> None:
    program = [sys.executable, "-m", "sam_mil_engine"]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    unknown = tiny_slide.with_name("größe-スライド.svs")
    for words in (["info", str(unknown)], ["process", "--help"], ["info", str(tiny_slide)]):
        done = subprocess.run([*program, *words], capture_output=True, env=environment, check=False)
        told = (done.stdout + done.stderr).decode(encoding)
        assert "Traceback" not in told
        assert "UnicodeEncodeError" not in told
        assert done.returncode == (2 if "größe" in words[-1] else 0) or "error" in told
    assert done.returncode == 0
    sign = "u" if encoding in ("ascii",) else None
    line = next(line for line in done.stdout.decode(encoding).splitlines() if "m per pixel" in line)
    assert sign is None or f"{sign}m per pixel" in line


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tumour", "tumour"),
        ("tumour/stroma", "tumour-stroma"),
        ("Tumor: Positive", "Tumor- Positive"),
        ("p > 0.5", "p - 0.5"),
        ("../../etc/x", "etc-x"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("größe 2", "größe 2"),
    ],
)
def test_the_name_of_a_class_is_never_a_path(text: str, name: str) -> None:
    assert safe_name(text) == name
    assert Path(safe_name(text)).name == safe_name(text)
