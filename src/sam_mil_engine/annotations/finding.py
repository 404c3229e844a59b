"""Which annotation file of a folder is of which slide, by their names."""

from __future__ import annotations

from pathlib import Path

from ..errors import AnnotationError
from ..slide.finding import EXTENSIONS

#: Endings of outlines, those that count before others first.
_OUTLINES = (".geojson", ".json", ".xml", ".annotations", ".ndpa")
#: Endings that may follow the name of a slide: of annotations, archives, slides and masks, and of our own exports.
_ENDINGS = frozenset({*_OUTLINES, *EXTENSIONS, ".gz", ".zip", ".ome", ".qupath", ".tissue"})


def annotation_files(folder: Path) -> dict[str, Path]:
    """Slide -> annotation file of a folder with one file per slide.

    ``slide-01.geojson``, ``slide-01.xml.gz`` and ``slide-01.svs.json`` are of ``slide-01``, but
    ``slide-01.2.geojson`` is of ``slide-01.2``. Of several files of a slide, that with the fewest endings counts;
    GeoJSON before other outlines, and these before images and files of unknown endings.

    Raises
    ------
    AnnotationError
        If the folder cannot be read.
    """
    try:
        files = [path for path in folder.iterdir() if path.is_file()]
    except OSError as error:
        reason = f"the folder cannot be read ({error.strerror})"
        raise AnnotationError(reason, where=folder, hint="Check the path") from error
    found: dict[str, Path] = {}
    for path in sorted(files, key=_rank, reverse=True):
        found[_without_endings(path.name)] = found[path.stem] = path
    return found


def _rank(path: Path) -> tuple[bool, int, int, str]:
    """Files that count before others come first."""
    endings = path.name.removeprefix(_without_endings(path.name)).lower().split(".")[1:]
    kinds = [number for number, ending in enumerate(_OUTLINES) if ending[1:] in endings]
    return not endings, len(endings), min(kinds, default=len(_OUTLINES)), path.name


def _without_endings(name: str) -> str:
    """Take off the known endings, as many as there are."""
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return name
