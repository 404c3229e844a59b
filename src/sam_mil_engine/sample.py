"""A public-domain slide to begin with, downloaded once and checked."""

from __future__ import annotations

from pathlib import Path

from .errors import SlideError
from .models.downloads import Download, download
from .models.files import file_sha256
from .progress import ProgressCallback, silent

#: OpenSlide's test data: a region of an H&E slide scanned by Aperio, CC0, 2220 x 2967 px, 0.499 µm per pixel.
CMU_URL = "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs"
CMU_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"


def sample_folder() -> Path:
    """Folder of the user's cache that holds the samples."""
    from platformdirs import user_cache_path

    return Path(user_cache_path("napari-sam-mil", appauthor=False)) / "samples"


def fetch_cmu(folder: Path | None = None, *, url: str = CMU_URL, progress: ProgressCallback = silent) -> Path:
    """Return the path of CMU-1-Small-Region.svs, downloading it (1.9 MB) if it is not there or is damaged.

    Parameters
    ----------
    folder
        Where it is kept; :func:`sample_folder` where None.
    progress
        Called as the bytes arrive; raising :class:`Cancelled` in it stops the download.

    Raises
    ------
    SlideError
        If it is not there and cannot be downloaded, or what arrives has another checksum.
    ProjectError
        If the folder cannot be written.
    """
    folder = folder or sample_folder()
    path = folder / Path(CMU_URL).name
    if path.is_file() and file_sha256(path) == CMU_SHA256:
        return path
    return download(
        Download(
            url=url,
            path=path,
            sha256=CMU_SHA256,
            what=f"the sample slide {path.name}",
            hint=f"Download it on a computer with a network and put it into {folder}, or use the generated slides",
            window_hint=f"Download it elsewhere and put it into {folder}, or open the generated slide",
            error=SlideError,
        ),
        progress=progress,
    )
