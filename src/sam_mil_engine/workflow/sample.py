"""A public-domain slide to begin with, downloaded once and checked."""

from __future__ import annotations

from pathlib import Path

from ..errors import SlideError

#: OpenSlide's test data: a region of an H&E slide scanned by Aperio, CC0, 2220 x 2967 px, 0.499 µm a pixel.
CMU_URL = "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs"
CMU_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"


def sample_folder() -> Path:
    """Folder of the user's cache that holds the samples."""
    from platformdirs import user_cache_path

    return Path(user_cache_path("napari-sam-mil", appauthor=False)) / "samples"


def fetch_cmu(folder: Path | None = None, *, url: str = CMU_URL) -> Path:
    """Return the path of CMU-1-Small-Region.svs, downloading it (1.9 MB) if it is not there or is damaged.

    Parameters
    ----------
    folder
        Where it is kept; :func:`sample_folder` where None.

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
    downloader = pooch.HTTPDownloader(progressbar=False, timeout=10)
    try:
        return Path(pooch.retrieve(url, f"sha256:{CMU_SHA256}", fname=name, path=folder, downloader=downloader))
    except (OSError, ValueError) as error:
        raise SlideError(
            "the sample could not be downloaded",
            where=url,
            hint=f"Download it where there is a network and put it into {folder}, or use the generated slides",
        ) from error
