"""Read outlines that the user drops into the window, and add them to the open slide. Imports nothing heavy."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sam_mil_engine.errors import AnnotationError

PathOrPaths = str | Sequence[str]

#: Suffixes of files that hold only outlines.
_NAMES = (".geojson", ".geojson.gz", ".geojson.zip", ".annotations", ".ndpa")
#: Suffixes of files that may hold something else, so that their content is checked.
_PERHAPS = (".json", ".json.gz", ".xml")
#: Bytes at the beginning of a file that are checked.
_LOOKED_AT = 1 << 18
_XML = re.compile(r"<(ASAP_Annotations|Annotations|annotations)\b")
#: Matches the beginning of a long JSON file of outlines: GeoJSON, CAMELYON, Digital Slide Archive.
_JSON = re.compile(
    r'"type"\s*:\s*"(Feature|FeatureCollection|Polygon|MultiPolygon|polyline)"|"(positive|negative)"\s*:\s*\['
)


def get_annotation_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[tuple[Any, ...]]] | None:
    """Return :func:`add_to_slide` if every path is a file of outlines, else None."""
    paths = _as_list(path)
    return add_to_slide if paths and all(map(_holds_outlines, paths)) else None


def add_to_slide(path: PathOrPaths) -> list[tuple[Any, ...]]:
    """Add the outlines to the open slide, in the Annotations dock, which reads the files in the background.

    If no slide is open, a notification says what to do. napari would wrap an error in a message of its own.

    Raises
    ------
    AnnotationError
        If there is no window.
    """
    from napari import current_viewer

    paths = [Path(one) for one in _as_list(path)]
    error = AnnotationError(
        "no slide is open to which the outlines could be added",
        where=paths[0].name,
        hint="Open the slide first, then drop the file again",
    )
    viewer = current_viewer()
    if viewer is None:
        raise error
    from .session.viewer import sessions_of

    if sessions_of(viewer).current is None:
        from .notices import show_error

        show_error(error, doing="Adding the outlines")
    else:
        from .docks import open_dock
        from .napari_compat.event_loop import call_later

        call_later(lambda: open_dock(viewer, "Annotations").add(paths))
    return [(None,)]  # tells napari that the file was read and gives no layer


def _holds_outlines(path: str) -> bool:
    name = Path(path).name.lower()
    if name.endswith(_NAMES):
        return True
    if not name.endswith(_PERHAPS):
        return False
    try:
        text, whole = _beginning(Path(path))
    except (OSError, EOFError, zipfile.BadZipFile, UnicodeDecodeError):
        return False  # the reader that opens it reports the error
    if text.lstrip().startswith("<"):
        return _XML.search(text) is not None
    return _is_annotation_json(text) if whole else _JSON.search(text) is not None


def _beginning(path: Path) -> tuple[str, bool]:
    """Return the first characters of a file, and whether they are the whole file."""
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        data = file.read(_LOOKED_AT + 1)
    whole = len(data) <= _LOOKED_AT
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = data[:_LOOKED_AT].decode("utf-16" if wide else "utf-8-sig", errors="strict" if whole else "ignore")
    return text, whole


def _is_annotation_json(text: str) -> bool:
    from sam_mil_engine.annotations import camelyon_json, dsa_json, geojson

    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not content:
        return False
    if dsa_json.fits(content):  # other formats have lists of elements too
        return '"points"' in text or '"center"' in text
    return camelyon_json.fits(content) or geojson.fits(content)


def _as_list(path: PathOrPaths) -> list[str]:
    return [path] if isinstance(path, str) else [str(one) for one in path]
