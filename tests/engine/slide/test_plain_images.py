"""PNG, JPEG, BMP and WebP as slides of one level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide.reader import open_slide


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("ending", ["png", "bmp", "webp"])
def test_pixels_are_the_files_pixels(tmp_path: Path, ending: str) -> None:
    path, image = tmp_path / f"picture.{ending}", noise(30, 40, 3)
    Image.fromarray(image).save(path, lossless=True)
    with open_slide(path) as slide:
        assert (slide.info.reader, slide.info.vendor, slide.info.mpp) == ("image", ending, None)
        np.testing.assert_array_equal(slide.read_region((5, 6), 0, (20, 10)), image[6:16, 5:25])
        slide.read_region((0, 0), 0, (4, 4))[:] = 0
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (40, 30)), image)


def test_real_jpeg_opens(shared_data: Path) -> None:
    with open_slide(shared_data / "glas" / "images" / "testA_1.jpg") as slide:
        assert slide.info.size_px0 == (775, 522)
        assert slide.info.vendor == "jpeg"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(noise(20, 20, 3)).convert(mode)
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    image.save(path)
    with open_slide(path) as slide:
        assert slide.read_region((0, 0), 0, (20, 20)).shape == (20, 20, 3)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    image = noise(4, 4, 4)
    image[..., 3] = 0
    Image.fromarray(image).save(tmp_path / "clear.png")
    with open_slide(tmp_path / "clear.png") as slide:
        assert (slide.read_region((0, 0), 0, (4, 4)) == 255).all()


def test_sixteen_bit_grey_is_scaled_with_a_warning(tmp_path: Path) -> None:
    values = np.array([[0, 512, 1023]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    with open_slide(tmp_path / "deep.png") as slide:
        assert slide.read_region((0, 0), 0, (3, 1))[0, :, 0].tolist() == [0, 128, 255]
        assert "10 bits" in slide.info.warnings[0]


def test_exif_orientation_is_applied_and_reported(tmp_path: Path) -> None:
    image = noise(16, 32, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "turned.png", exif=exif)
    with open_slide(tmp_path / "turned.png") as slide:
        assert slide.info.size_px0 == (16, 32)
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (16, 32)), np.rot90(image, -1))
        assert "EXIF orientation" in slide.info.warnings[0]


def test_a_truncated_image_and_a_bomb_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    Image.fromarray(noise(200, 200, 3)).save(whole)
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(SlideError, match=r"image: .*truncated.*copy it again"):
        open_slide(cut)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200 * 200 // 2 - 1)
    with pytest.raises(SlideError, match=r"too large to be held in memory.*tiled pyramid"):
        open_slide(whole)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200 * 200 // 2)
    open_slide(whole).close()
