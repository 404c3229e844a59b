"""What the command ``process`` does with every file of public test slides: one row a file.

    .venv/bin/python studies/formats_tried.py DATA WORK

DATA holds the folders slides, unusual and malformed. Files of like size are processed in one call with one patch
size, each call into a project of its own in WORK, which keeps them. Writes docs/formats-tried.md.
"""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import h5py
from study import markdown

from sam_mil_engine import open_slide
from sam_mil_engine.errors import SlideError
from sam_mil_engine.files import atomic_write
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.results import ProcessRow

FOLDERS = ("slides", "unusual", "malformed")
#: Files of one slide, which is opened as a folder.
SETS = ("slides/dicom/CMU-1-Small-Region_set",)
#: Least length of the longer side in pixels, and the patch size that such slides get.
PATCHES = ((6000, 512), (2000, 256), (500, 64), (0, 16))
PAGE = Path(__file__).parents[1] / "docs" / "formats-tried.md"
HEAD = """# Files that were tried

What `process` does with each public test file of OpenSlide, tifffile, pydicom and others, from one run of
`studies/formats_tried.py`: preset `biopsy`, default models, patches of 512 px on slides of 6,000 px and more,
256, 64 or 16 px on smaller ones. Wherever it says *failed*, `process.csv` has these words and what to do, the
other slides go on, and the exit code is 1.

"""


def slides_in(data: Path) -> list[Path]:
    """Every file, and every set of files as one slide."""
    sets = [data / name for name in SETS]
    files = (path for folder in FOLDERS for path in (data / folder).rglob("*") if path.is_file())
    return sorted([*(path for path in files if path.parent not in sets), *sets])


def opened(path: Path) -> tuple[str, str, int]:
    """Size and reader, as the table says them, and the patch size."""
    try:
        with open_slide(path) as slide:
            width, height = slide.info.size_px0
            patch = next(patch for side, patch in PATCHES if max(width, height) >= side)
            return f"{width} x {height}", slide.info.reader, patch
    except SlideError:
        return "–", "–", PATCHES[0][1]


def outcome(row: ProcessRow, project: Project) -> str:
    """In words, what became of a slide."""
    if row.state == "failed":
        return f"*failed*: {row.error}. {row.hint}."
    with h5py.File(project.bag(row.slide_id)) as bag:
        method, groups = bag["tissue"].attrs["method"], len(bag["groups/area"])
    by = "" if method == "default" else f"; tissue found by `{method}`"
    return f"{row.tiles} patches, {row.segments} segments, {groups} groups{by}"


def main(data: Path, work: Path) -> None:
    facts = {path: opened(path) for path in slides_in(data)}
    calls = defaultdict(list)
    for path, (_, _, patch) in facts.items():
        calls[patch].append(path)
    rows = {}
    for patch, paths in calls.items():
        project = Project(work / f"patches-{patch}")
        command = [
            sys.executable,
            "-m",
            "sam_mil_engine",
            "process",
            *map(str, paths),
            "-o",
            str(project.folder),
            "--quiet",
        ]
        done = subprocess.run([*command, "--preset", "biopsy", "--patch-size", str(patch)], check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"exit code {done.returncode} of: {' '.join(command)}")
        for row in project.rows().values():
            path = Path(row.path)
            rows[path if path in facts else path.parent] = outcome(row, project)
    cells = []
    for path, (size, reader, patch) in facts.items():
        told = rows[path].replace(f"{path}: ", "").replace(f"{path.parent}/", "").replace("|", "\\|")
        cells.append([f"`{path.relative_to(data)}`", size, reader, str(patch) if reader != "–" else "–", told])
    atomic_write(PAGE, HEAD + markdown(("file", "size", "reader", "patch", "what `process` did"), cells))
    print(PAGE.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
