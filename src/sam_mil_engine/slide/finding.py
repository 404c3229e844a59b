"""Find the slides in a folder."""

from __future__ import annotations

from pathlib import Path

from .dicom_files import is_dicom, one_file_a_series

#: Endings of slide files, besides DICOM files, which may have none.
EXTENSIONS: frozenset[str] = frozenset(
    {".svs", ".svslide", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".dcm"}
    | {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
)


def slides_in(folder: Path) -> list[Path]:
    """Return the slide files below ``folder``, sorted; of a DICOM series one file. Hidden files are left out.

    Raises
    ------
    SlideError
        If a DICOM file among them has a damaged header.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in EXTENSIONS and path.is_file() and not path.name.startswith(".")
    ]
    dicom = [path for path in files if is_dicom(path)]
    chosen = set(files) - set(dicom) | set(one_file_a_series(dicom))
    return sorted(chosen)
