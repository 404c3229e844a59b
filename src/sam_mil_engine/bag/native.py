"""Native bags as a source: those of a project, to be grouped again, and what of a bag travels to other formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .. import layout
from ..errors import BagError
from . import h5
from .foreign import ForeignBag, Known, PatchFacts, SlideFiles, make_grid

#: Attributes that say how the patches lie; they are written again with the grid.
_OF_GRID = frozenset(
    {"name", "patch_level", "read_size", "patch_size_level0", "size_px0", "step_px0", "overlap", "downsample"}
    | {"level_dim", "downsampled_level_dim", "level0_width", "level0_height", "save_path", "savetodir"}
    | {"level0_magnification", "target_magnification", "tile_mpp", "patch_size", "stages", "settings_key"}
    | {"format_version", "path"}
)


def find(folder: Path, *, patches: Path | None = None) -> list[SlideFiles]:
    """List the bags of a project or a folder."""
    paths = [folder] if folder.is_file() else bags_in(folder)
    return [SlideFiles(path.stem, path) for path in paths]


def bags_in(folder: Path) -> list[Path]:
    """Return the bags of a project, or of a folder of bags, sorted; empty for a file and for any other folder."""
    place = folder / layout.BAGS if layout.has_bags(folder) else folder
    return [path for path in sorted(place.glob(f"*{layout.BAG_ENDING}")) if not path.name.startswith(".")]


def name_of_bag(path: Path) -> str:
    """Return the name of the slide of a bag, by which results are called; the file's name where it says none."""
    try:
        return str(h5.read_attributes(path).get("slide_id", path.stem))
    except BagError:  # whoever reads the bag says what is wrong with it
        return path.stem


def read(files: SlideFiles, known: Known) -> ForeignBag:
    """Read one bag; what a person knows fills in what the file does not say."""
    path = files.features
    bag, grid, segments = h5.read_bag(path).check(), h5.read_grid(path), h5.read_segments(path)
    notes: list[str] = []
    if grid is None:
        grid, notes = make_grid(bag.coords_px0, PatchFacts(), known, where=path)
    attrs = dict(bag.attrs)
    size = attrs.get("level0_width"), attrs.get("level0_height")
    power = attrs.get("objective_power")
    told = {"encoder": known.encoder, "mpp": known.mpp if attrs.get("mpp") is None else None}
    kept = {name: value for name, value in attrs.items() if name not in _OF_GRID}
    kept |= {name: value for name, value in told.items() if value is not None}
    return ForeignBag(
        bag=replace(bag, slide_id=files.slide_id, attrs={**kept, "path": str(path)}),
        grid=grid,
        segments=segments,
        power=None if power is None else float(power),
        slide_size_px0=(int(size[0]), int(size[1])) if size[0] is not None and size[1] is not None else None,
        notes=tuple(notes),
    )
