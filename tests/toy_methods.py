"""The methods that CONTRIBUTING shows, installed as a package of somebody else would be."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from contributing import TEXT, examples


def install_toys(folder: Path) -> Path:
    """Write the three methods of CONTRIBUTING and their entry points into a folder, for the path of modules."""
    names = ("toy_aggregator.py", "toy_encoder.py", "toy_segmenter.py")
    points = entry_points()
    classifiers = points.pop("sam_mil_engine.classifiers")
    assert set(classifiers) == {"colitis"}
    return install(folder, "toy-methods", {name: examples()[name] for name in names}, points)


def install_toy_classifier(folder: Path) -> Path:
    """Write the package with a classifier that CONTRIBUTING shows; its model folder is ``colitis``."""
    group = "sam_mil_engine.classifiers"
    files = {"toy_classifier.py": examples()["toy_classifier.py"]}
    return install(folder, "toy-classifier", files, {group: entry_points()[group]})


def entry_points() -> dict[str, dict[str, str]]:
    """Return all entry points that CONTRIBUTING shows: group -> name -> what it names."""
    points: dict[str, dict[str, str]] = {}
    for block in re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL):
        points |= tomllib.loads(block)["project"]["entry-points"]
    return points


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
