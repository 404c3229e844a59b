"""What the annotation tests share: write content into a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def put(tmp_path: Path):
    def write(content: object, name: str = "annotations.any") -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write
