"""The methods that CONTRIBUTING shows, installed as a package of somebody else would be."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

CONTRIBUTING = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


def install_toys(folder: Path) -> Path:
    """Write the three files of CONTRIBUTING and their entry points into a folder, for the path of modules."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    files = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, flags=re.DOTALL))
    assert sorted(files) == ["toy_aggregator.py", "toy_encoder.py", "toy_segmenter.py"]
    (project,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    return install(folder, "toy-methods", files, tomllib.loads(project)["project"]["entry-points"])


def install(
    folder: Path, package: str, files: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]
) -> Path:
    """Write a package as pip installs it: its modules, and what it says of itself."""
    about = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items()), ""]
    (about / "entry_points.txt").write_text("\n".join(lines))
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder
