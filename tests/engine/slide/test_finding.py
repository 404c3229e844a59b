"""What is a slide in a folder, and what is said of the rest."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sam_mil_engine.errors import DataError
from sam_mil_engine.slide.finding import find_slides, require_own_names, slides_in


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not read here")


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in slides_in(folder)]


def test_every_ending_that_opens_is_found(tmp_path: Path) -> None:
    touch(
        tmp_path, "a.btf", "b.qptiff", "c.TIF", "d.ptiff", "e.svs", "f.ome.tif", "notes.txt", ".hidden.svs", "x.h5"
    )
    assert names(tmp_path) == ["a.btf", "b.qptiff", "c.TIF", "d.ptiff", "e.svs", "f.ome.tif"]


def test_formats_that_are_not_read_are_listed_so_that_each_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.czi", "b.vsi")
    assert names(tmp_path) == ["a.czi", "b.vsi"]


def test_images_next_to_slides_of_the_same_name_are_thumbnails(tmp_path: Path) -> None:
    touch(tmp_path, "one.tif", "one.jpg", "thumbs/one.png", "two.jpg", "x.ome.tif", "x.png")
    found = find_slides(tmp_path)
    assert [path.name for path in found.slides] == ["one.tif", "two.jpg", "x.ome.tif"]
    (note,) = found.notes
    assert "(3)" in note
    assert "one.jpg" in note


@pytest.mark.parametrize("mark", ["process.csv", "predictions.csv", "metrics.json"])
def test_results_of_this_program_are_not_slides(tmp_path: Path, mark: str) -> None:
    touch(tmp_path, "one.tif", f"study/{mark}", "study/masks/two.jpg", "study/stitches/two.jpg")
    found = find_slides(tmp_path)
    assert [path.name for path in found.slides] == ["one.tif"]
    assert "study holds results" in found.notes[0]


def test_a_project_in_the_folder_of_the_slides_itself(tmp_path: Path) -> None:
    touch(
        tmp_path, "one.tif", "process.csv", "masks/one.jpg", "masks/gone.jpg", "bags-resnet50/one.h5", "more/b.svs"
    )
    assert names(tmp_path) == ["more/b.svs", "one.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights that Windows does not give by default")
def test_linked_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "a.tif")
    touch(tmp_path / "slides", "b.tif")
    os.symlink(tmp_path / "elsewhere", tmp_path / "slides" / "batch")
    os.symlink(tmp_path / "slides", tmp_path / "slides" / "circle")
    os.symlink(tmp_path / "gone.tif", tmp_path / "slides" / "broken.tif")
    assert names(tmp_path / "slides") == ["b.tif", "batch/a.tif"]


def test_parts_of_slides_of_several_files(tmp_path: Path) -> None:
    touch(tmp_path, "s(0,0).jpg", "s(1,0).jpg", "s_map2.jpg", "s_macro.jpg", "sister.jpg")
    (tmp_path / "s.vms").write_text("[Virtual Microscope Specimen]\nImageFile=s(0,0).jpg\nMapFile=odd.jpg\n")
    touch(tmp_path, "odd.jpg", "m.mrxs", "m/Slidedat.ini", "m/preview.jpg", "o.vsi", "_o_/stack1/a.tif")
    assert names(tmp_path) == ["m.mrxs", "o.vsi", "s.vms", "sister.jpg"]


def test_slides_of_one_name_are_refused_with_their_files(tmp_path: Path) -> None:
    require_own_names([("a", tmp_path / "1/a.svs"), ("b", tmp_path / "b.svs")])
    with pytest.raises(DataError, match="several slides are called a") as caught:
        require_own_names([("a", tmp_path / "1/a.svs"), ("a", tmp_path / "2/a.tif")])
    assert str(tmp_path / "1/a.svs") in caught.value.what
    assert str(tmp_path / "2/a.tif") in caught.value.what
    assert caught.value.hint is not None
    with pytest.raises(DataError, match="several slides are called Slide"):
        require_own_names([("Slide", tmp_path / "1/Slide.svs"), ("slide", tmp_path / "2/slide.svs")])
