"""A folder of synthetic slides with labels and outlines, ready for ``process`` and ``train``."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from .. import layout
from ..devices import cpu_count
from ..errors import ProjectError
from ..files import atomic_write
from ..progress import Progress, ProgressCallback, silent
from .slide import LABELS, description, make_slide


def make_cohort(
    folder: Path,
    *,
    slides: int = 24,
    seed: int = 0,
    size_px0: tuple[int, int] = (4096, 3072),
    mpp: float = 0.5,
    progress: ProgressCallback = silent,
) -> Path:
    """Make ``slides`` slides, half of them with tumour, and return the path of their ``labels.csv``.

    The folder gets ``labels.csv`` (slide_id, label, patient_id), ``slides/NAME.tiff`` and, for slides with tumour,
    ``annotations/NAME.geojson``. Existing slides are reused, so that a killed call continues where it
    was; slides made with another seed, size or version are made again.

    Raises
    ------
    ProjectError
        If a file of that name is not a synthetic slide, or the folder cannot be written.
    Cancelled
        If the callback raises it; finished slides stay.
    """
    folder = Path(folder)
    tumours = np.random.default_rng([seed, slides]).permutation(np.arange(slides) % 2 == 1).tolist()
    names = [f"synthetic-{number:03d}" for number in range(slides)]
    done = 0
    with ThreadPoolExecutor(max_workers=min(cpu_count(), 4)) as pool:
        pending: set[Future[None]] = {
            pool.submit(
                _make, folder, name, seed=seed * 100_003 + number, tumour=tumour, size_px0=size_px0, mpp=mpp
            )
            for number, (name, tumour) in enumerate(zip(names, tumours, strict=True))
        }
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                done += len(finished)
                progress(Progress("slides", done, slides, unit="slides"))
        finally:
            for future in pending:
                future.cancel()
    return _write_labels(folder / layout.LABELS, names, tumours)


def _make(folder: Path, name: str, *, seed: int, tumour: bool, size_px0: tuple[int, int], mpp: float) -> None:
    path = folder / "slides" / f"{name}.tiff"
    outlines = folder / "annotations" / f"{name}.geojson"
    if path.exists():
        wanted = description(seed=seed, tumour=tumour, size_px0=size_px0, mpp=mpp)
        if _description_of(path) == wanted and outlines.exists() == tumour:
            return
        # what belonged to another slide of this name must not outlive it
        path.unlink()
        outlines.unlink(missing_ok=True)
    make_slide(path, seed=seed, tumour=tumour, size_px0=size_px0, mpp=mpp, annotations=outlines if tumour else None)


def _description_of(path: Path) -> str:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            found = str(tiff.pages[0].tags["ImageDescription"].value)
    except (tifffile.TiffFileError, KeyError, OSError, IndexError) as error:
        raise _foreign(path) from error
    if not found.startswith('{"synthetic H&E"'):
        raise _foreign(path)
    return found


def _foreign(path: Path) -> ProjectError:
    return ProjectError(
        "this file was not made by the generator and is not replaced", where=path, hint="Choose another folder"
    )


def _write_labels(path: Path, names: list[str], tumours: list[bool]) -> Path:
    lines = ["slide_id,label,patient_id"]
    for number, (name, tumour) in enumerate(zip(names, tumours, strict=True)):
        lines.append(f"{name},{LABELS[tumour]},patient-{number:03d}")
    atomic_write(path, "\n".join(lines) + "\n")
    return path
