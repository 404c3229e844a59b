"""Sample slides: one generated on this computer, and a public one."""

from __future__ import annotations

from sam_mil_engine.progress import Progress, ProgressCallback
from sam_mil_engine.sample import fetch_cmu, sample_folder

from .background.waiting import wait_for
from .layers.results import LayerData
from .reader import read_slides


def generated_slide() -> list[LayerData]:
    """Generate (once) and open a synthetic slide with tumour islands. It needs no network."""
    from sam_mil_engine.synthetic import make_slide

    path = sample_folder() / "generated-tumour.tif"

    def draw(progress: ProgressCallback) -> None:
        progress(Progress("draw", 0, 0, unit="slides", message="generating a slide"))
        path.parent.mkdir(parents=True, exist_ok=True)
        make_slide(path, seed=7, tumour=True, annotations=path.with_suffix(".geojson"))

    if not path.is_file():
        wait_for(draw, "Generating a slide")
    return read_slides(str(path))


def cmu_small_region() -> list[LayerData]:
    """Download (once, 1.9 MB) and open CMU-1-Small-Region.svs.

    Raises
    ------
    SlideError
        If it is not in the cache and cannot be downloaded.
    """
    path = wait_for(lambda progress: fetch_cmu(progress=progress), "Opening CMU-1-Small-Region")
    return read_slides(str(path))
