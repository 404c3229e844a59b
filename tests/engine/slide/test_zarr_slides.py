"""OME-Zarr as slides: versions, axes, resolution, ZIP files, and what is no brightfield slide."""

from __future__ import annotations

import shutil
import warnings
from threading import Thread

import numpy as np
import pytest
import zarr

from sam_mil_engine.errors import SlideError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.ngff import write_ome_zarr
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.settings import ProcessSettings, TileSettings
from sam_mil_engine.slide.finding import find_slides
from sam_mil_engine.slide.info import slide_id_of, slide_sha
from sam_mil_engine.slide.pyramid import open_pyramid
from sam_mil_engine.slide.reader import open_slide
from zarr_slides import RED_GREEN_BLUE, write_zarr, zipped


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, size=(90, 131, 3), dtype=np.uint8)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "yxc", "tczyx"])
def test_pixels_levels_and_resolution(tmp_path, rgb, version, axes):
    path = write_zarr(tmp_path / "case.ome.zarr", rgb, version=version, axes=axes)
    with open_slide(path) as slide:
        info = slide.info
        assert (info.slide_id, info.reader, info.vendor) == ("case", "zarr", "ome-zarr")
        assert info.level_sizes == ((131, 90), (66, 45))
        assert info.mpp == (0.5, 0.5)
        assert info.warnings == ()
        assert info.tile_sizes == ((32, 32), (32, 32))
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (131, 90)), rgb)
        np.testing.assert_array_equal(slide.read_level(0, (30, 50), (70, 40)), rgb[50:90, 30:100])
        np.testing.assert_array_equal(slide.read_level(1, (3, 5), (40, 30)), rgb[::2, ::2][5:35, 3:43])
        assert (slide.read_level(0, (120, 80), (20, 20))[10:] == 255).all(), "white outside"
        np.testing.assert_array_equal(np.asarray(open_pyramid(slide)[0]), rgb)


@pytest.mark.parametrize(
    ("unit", "scale", "expected"),
    [
        ("micrometer", 0.25, 0.25),
        ("nanometer", 250.0, 0.25),
        ("millimeter", 0.00025, 0.25),
        ("meter", 0.25e-6, 0.25),
        (None, 1.0, None),
        (None, 0.25, None),
        ("parsec", 0.25, None),
        ("millimeter", 0.25, None),
    ],
)
def test_the_resolution_is_believed_with_a_unit_only(tmp_path, rgb, unit, scale, expected):
    with open_slide(write_zarr(tmp_path / "a.zarr", rgb, unit=unit, scale=scale)) as slide:
        assert (slide.info.mpp is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(slide.info.mpp, expected)
        assert bool(slide.info.warnings) == (expected is None and scale != 1.0)


def test_a_scale_of_the_whole_image_multiplies_that_of_its_levels(tmp_path, rgb):
    path = write_zarr(tmp_path / "a.zarr", rgb, scale=1.0)
    group = zarr.open_group(path, mode="a")
    ome = group.attrs["ome"]
    ome["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [1.0, 0.5, 0.25]}]
    group.attrs["ome"] = ome
    with open_slide(path) as slide:
        assert slide.info.mpp == (0.25, 0.5)


@pytest.mark.parametrize(("name", "top"), [("a.ome.zarr.zip", ""), ("a.ozx", ""), ("a.zarr.zip", "a.ome.zarr/")])
def test_a_zip_file_of_it_is_the_same_slide(tmp_path, rgb, name, top):
    path = zipped(write_zarr(tmp_path / "a.ome.zarr", rgb), tmp_path / name, top=top)
    found = []
    with open_slide(path) as slide:
        assert slide.info.slide_id == slide_id_of(path) == "a"
        read = lambda: found.append(slide.read_level(0, (0, 0), (131, 90)))  # noqa: E731
        threads = [Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(slide_sha(slide.info)) == 16
    assert len(found) == 4
    for pixels in found:
        np.testing.assert_array_equal(pixels, rgb)


def test_sixteen_bits_planes_and_transparency(tmp_path, rgb):
    deep = rgb.astype(np.uint16) * 16
    with open_slide(write_zarr(tmp_path / "deep.zarr", deep)) as slide:
        assert np.abs(slide.read_level(0, (0, 0), (131, 90)).astype(int) - rgb).max() <= 1
        assert "12 bits" in slide.info.warnings[0]
    see_through = np.concatenate([rgb, np.zeros_like(rgb[..., :1])], axis=2)
    with open_slide(write_zarr(tmp_path / "clear.zarr", see_through)) as slide:
        assert (slide.read_level(0, (0, 0), (131, 90)) == 255).all()


def test_of_several_images_the_first_is_read_and_the_others_are_said(tmp_path, rgb):
    root = zarr.open_group(tmp_path / "many.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    write_zarr(tmp_path / "many.zarr" / "0", rgb, version="0.4", axes="tczyx")
    write_zarr(tmp_path / "many.zarr" / "1", rgb[:20, :20], version="0.4", axes="tczyx", levels=1)
    with open_slide(tmp_path / "many.zarr") as slide:
        assert slide.info.size_px0 == (131, 90)
        assert slide.info.warnings == ("It holds 2 images; the first one, '0', is read.",)


def omero(*channels):
    return {"omero": {"channels": [{"label": label, "color": colour} for label, colour in channels]}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"about": {"image-label": {}}}, "label image"),
        ({"about": {"plate": {}}}, "wells of a plate"),
        ({"dtype": np.int32}, "int32.*label image"),
        ({"channels": 1}, "1 channel, not red"),
        ({"channels": 2, "about": omero(("DAPI", "0000FF"), ("FITC", "00FF00"))}, "2 channels .DAPI, FITC."),
        ({"about": omero(("DAPI", "0000FF"), ("FITC", "00FF00"), ("Cy5", "FF0000"))}, "DAPI, FITC, Cy5: fluor"),
    ],
)
def test_what_is_no_brightfield_slide_says_what_it_is(tmp_path, rgb, change, message):
    pixels = rgb[..., : change.get("channels", 3)].astype(change.get("dtype", np.uint8))
    path = write_zarr(tmp_path / "other.ome.zarr", pixels, about=change.get("about"))
    with pytest.raises(SlideError, match=message) as caught:
        open_slide(path)
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_colours_of_red_green_and_blue_are_no_fluorescence(tmp_path, rgb):
    about = omero(*((name, colour) for name, colour in zip("RGB", RED_GREEN_BLUE, strict=True)))
    with open_slide(write_zarr(tmp_path / "a.zarr", rgb, about=about)) as slide:
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (131, 90)), rgb)


def test_our_own_label_images_are_none(tmp_path):
    labels = np.zeros((40, 50), np.int32)
    write_ome_zarr(tmp_path / "labels.ome.zarr", labels, frame=Frame(), mpp=None, name="segments")
    with pytest.raises(SlideError, match="label image"):
        open_slide(tmp_path / "labels.ome.zarr")


def test_damage_is_one_clear_error(tmp_path, rgb):
    path = write_zarr(tmp_path / "a.zarr", rgb)
    shutil.rmtree(path / "1")
    with pytest.raises(SlideError, match="its level '1' cannot be read"):
        open_slide(path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(SlideError, match="metadata"):
        open_slide(path)
    empty = tmp_path / "empty.zarr"
    zarr.open_group(empty, mode="w")
    with pytest.raises(SlideError, match="no image of OME-Zarr"):
        open_slide(empty)
    (tmp_path / "folder.zarr").mkdir()
    with pytest.raises(SlideError, match="this is a folder"):
        open_slide(tmp_path / "folder.zarr")


@pytest.mark.parametrize("name", ["a.ome.zarr.zip", "a.ozx"])
def test_a_truncated_zip_file_is_named_as_such(tmp_path, rgb, name):
    path = zipped(write_zarr(tmp_path / "a.ome.zarr", rgb), tmp_path / name)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(SlideError, match=r"the ZIP file of this OME-Zarr is damaged.*copy it again"):
        open_slide(path)


def test_the_fingerprint_follows_metadata_and_pixels(tmp_path, rgb):
    def fingerprint(path):
        with open_slide(path) as slide:
            return slide_sha(slide.info)

    one = fingerprint(write_zarr(tmp_path / "one.zarr", rgb))
    assert fingerprint(shutil.copytree(tmp_path / "one.zarr", tmp_path / "copy.zarr")) == one
    assert fingerprint(write_zarr(tmp_path / "other.zarr", 255 - rgb)) != one
    assert fingerprint(write_zarr(tmp_path / "finer.zarr", rgb, scale=0.25)) != one


def test_a_folder_of_slides_finds_them_and_enters_none(tmp_path, rgb):
    write_zarr(tmp_path / "a.ome.zarr", rgb)
    zipped(tmp_path / "a.ome.zarr", tmp_path / "b.ome.zarr.zip")
    shutil.copytree(tmp_path / "a.ome.zarr", tmp_path / "deep" / "c.zarr")
    found = find_slides(tmp_path).slides
    assert [path.name for path in found] == ["a.ome.zarr", "b.ome.zarr.zip", "c.zarr"]


def test_it_is_processed_as_any_slide(tmp_path, rgb):
    tissue = np.full((512, 640, 3), 245, np.uint8)
    tissue[100:400, 150:500] = (180, 80, 150)
    tissue[100:400, 150:500] += rgb[:1, :1]
    path = write_zarr(tmp_path / "a.ome.zarr", tissue, chunk=128)
    settings = ProcessSettings(preset="biopsy", tiles=TileSettings(patch_size=64, mpp=0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        done = process_slide(path, tmp_path / "study", settings=settings, stages=["tissue", "tiles"])
    assert done.slide_id == "a"
    assert done.tiles
    again = process_slide(path, tmp_path / "study", settings=settings, stages=["tissue", "tiles"])
    assert again.reused == ("tissue", "tiles")
