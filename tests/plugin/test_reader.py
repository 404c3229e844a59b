"""Opening slides: lazy, light, in micrometres; every extension of the engine is in the manifest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from napari._app_model.constants._menus import is_menu_contributable
from npe2 import PluginManifest

from napari_sam_mil.analysis.source import tag_of
from napari_sam_mil.folders import get_folder_reader
from napari_sam_mil.reader import get_reader, read_slides
from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide.finding import EXTENSIONS
from zarr_slides import write_zarr

MANIFEST = PluginManifest.from_file(Path(sys.modules["napari_sam_mil"].__file__).parent / "napari.yaml")


def test_the_manifest_reads_what_the_engine_reads():
    slides, folders, _outlines = MANIFEST.contributions.readers
    assert set(slides.filename_patterns) == {f"*{suffix}" for suffix in EXTENSIONS | {".zarr.zip"}}
    assert folders.accepts_directories


def test_every_command_of_the_manifest_exists():
    MANIFEST.validate_imports()


def test_all_docks_are_in_the_plugins_menu_and_where_napari_lets_plugins_in():
    docks = {widget.display_name: widget.command for widget in MANIFEST.contributions.widgets}
    names = ["Analyze", "Segments", "Annotations", "Prompts", "Models", "Figure", "Slides", "Preferences and keys"]
    assert list(docks) == names
    menus = MANIFEST.contributions.menus
    assert all(is_menu_contributable(menu) for menu in menus)
    assert {item.command for items in menus.values() for item in items} >= set(docks.values())


@pytest.mark.parametrize("name", ["a.svs", "B.SVS", "c.ome.tiff", "d.mrxs", "e.dcm", "f.jpeg", "g.ome.zarr.zip"])
def test_slides_are_taken(name):
    assert get_reader(name) is read_slides


@pytest.mark.parametrize("path", ["a.txt", "a", "a.zip", [], ["a.svs", "b.csv"]])
def test_other_files_are_left_to_others(path):
    assert get_reader(path) is None


def test_a_folder_of_ome_zarr_is_a_slide_and_other_folders_may_be_projects(tmp_path):
    rgb = np.full((64, 96, 3), 200, np.uint8)
    path = str(write_zarr(tmp_path / "case.ome.zarr", rgb))
    assert get_reader(path) is read_slides
    assert get_folder_reader(path) is None
    assert get_reader(str(tmp_path)) is None
    assert get_folder_reader(str(tmp_path)) is not None
    ((levels, keywords, _),) = read_slides(path)
    assert keywords["name"] == "case"
    assert keywords["scale"] == (0.5, 0.5)
    assert levels[0].shape == (64, 96, 3)


def test_a_slide_becomes_a_lazy_pyramid_in_micrometres(tiny_slide):
    ((levels, keywords, kind),) = read_slides(str(tiny_slide))
    assert kind == "image"
    assert keywords["rgb"]
    assert keywords["scale"] == (0.5, 0.5)
    assert all(hasattr(level, "chunks") for level in levels)
    assert not isinstance(levels[0], np.ndarray)
    assert tag_of(keywords["metadata"]).source.info.size_px0 == (640, 512)


def test_several_slides_open_at_once(tiny_slide):
    assert len(read_slides([str(tiny_slide), str(tiny_slide)])) == 2


def test_a_file_that_is_no_slide_is_a_clear_error(tmp_path):
    path = tmp_path / "text.svs"
    path.write_text("not a slide")
    with pytest.raises(SlideError, match=r"text\.svs"):
        read_slides(str(path))


def test_opening_a_slide_imports_nothing_heavy(tiny_slide):
    code = (
        "import sys\n"
        "import napari_sam_mil.reader as reader\n"
        f"((levels, _, _),) = reader.get_reader({str(tiny_slide)!r})({str(tiny_slide)!r})\n"
        "levels[-1][:5, :5]\n"
        "heavy = {'torch', 'timm', 'segment_anything', 'sklearn', 'skimage', 'matplotlib', 'napari', 'qtpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
