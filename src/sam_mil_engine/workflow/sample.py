"""A public-domain slide to begin with, downloaded once and checked."""

from __future__ import annotations

from pathlib import Path

from ..errors import SlideError
from ..progress import Progress, ProgressCallback, silent

#: OpenSlide's test data: a region of an H&E slide scanned by Aperio, CC0, 2220 x 2967 px, 0.499 µm per pixel.
CMU_URL = "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs"
CMU_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"


def sample_folder() -> Path:
    """Folder of the user's cache that holds the samples."""
    from platformdirs import user_cache_path

    return Path(user_cache_path("napari-sam-mil", appauthor=False)) / "samples"


class _Reports:
    """What pooch takes for a progress bar, handing its figures on."""

    def __init__(self, progress: ProgressCallback):
        self.total, self._done, self._progress = 0, 0, progress

    def update(self, fresh: int) -> None:
        """Take ``fresh`` bytes more."""
        self._done += fresh
        self._progress(Progress("download", self._done // 1000, self.total // 1000, unit="kB"))

    def reset(self) -> None:
        """Begin again: pooch fills the bar at the end, whatever arrived."""
        self._done = 0

    def close(self) -> None:
        """Do nothing: the last report was the end."""


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
    """
    folder = folder or sample_folder()
    try:
        import pooch
    except ImportError as error:
        raise SlideError(
            "samples are downloaded with pooch, which is not installed", hint="pip install 'napari-sam-mil[sample]'"
        ) from error
    pooch.get_logger().setLevel("WARNING")
    name = Path(CMU_URL).name
    downloader = pooch.HTTPDownloader(progressbar=_Reports(progress), timeout=10)
    try:
        return Path(pooch.retrieve(url, f"sha256:{CMU_SHA256}", fname=name, path=folder, downloader=downloader))
    except (OSError, ValueError) as error:
        raise SlideError(
            "the sample could not be downloaded",
            where=url,
            hint=f"Download it where there is a network and put it into {folder}, or use the generated slides",
        ) from error
