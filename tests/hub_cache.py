"""Repositories of the Hugging Face hub as they lie in its cache on a computer that has fetched them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_repository(cache: Path, repository: str, files: Mapping[str, bytes]) -> Path:
    """Write the files of a repository into a cache; returns the folder that holds them."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    for name, content in files.items():
        (snapshot / name).write_bytes(content)
    return snapshot
