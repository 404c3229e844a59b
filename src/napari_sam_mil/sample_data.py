"""Slides to begin with: one made on this computer, and a public one."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path

from sam_mil_engine.errors import SlideError

from .layers import LayerData
from .reader import read_slides

#: OpenSlide's test data: a region of an H&E slide scanned by Aperio, CC0.
CMU_URL = "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs"
CMU_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"


def generated_slide() -> list[LayerData]:
    """Make (once) and open a synthetic slide with tumour islands; needs no network."""
    from sam_mil_engine.workflow.synthetic import make_slide

    path = cache_folder() / "generated-tumour.tif"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        make_slide(path, seed=7, tumour=True, annotations=path.with_suffix(".geojson"))
    return read_slides(str(path))


def cmu_small_region() -> list[LayerData]:
    """Download (once, 1.9 MB) and open CMU-1-Small-Region.svs.

    Raises
    ------
    SlideError
        If it is neither in the cache nor can be downloaded.
    """
    return read_slides(str(fetch_cmu(cache_folder())))


def fetch_cmu(folder: Path, *, url: str = CMU_URL) -> Path:
    """Return the path of the slide in ``folder``, downloading it if it is not there or is damaged."""
    try:
        import pooch
    except ImportError as error:
        raise SlideError(
            "samples are downloaded with pooch, which is not installed", hint="pip install 'napari-sam-mil[sample]'"
        ) from error
    try:
        return Path(
            pooch.retrieve(
                url, f"sha256:{CMU_SHA256}", fname="CMU-1-Small-Region.svs", path=folder, progressbar=False
            )
        )
    except (OSError, ValueError) as error:
        raise SlideError(
            f"the sample could not be downloaded ({error})",
            where=url,
            hint=f"Download it where there is a network and put it into {folder}, or open the generated sample",
        ) from error


def cache_folder() -> Path:
    """Folder that holds the samples."""
    return Path(user_cache_path("napari-sam-mil", appauthor=False)) / "samples"
