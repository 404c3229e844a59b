"""From the ICC profile of a file to sRGB, tile by tile."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide.colour import to_srgb
from sam_mil_engine.slide.pyramid import open_pyramid
from sam_mil_engine.slide.reader import open_slide


def swapped_profile() -> bytes:
    """An sRGB profile in which red and green have changed places: nobody can miss what it does."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def slide_with_profile(path: Path, profile: bytes) -> Path:
    image = np.full((700, 900, 3), (200, 40, 60), np.uint8)
    image[300:, :450] = (250, 250, 250)
    tag = (34675, 7, len(profile), profile, True)
    tifffile.imwrite(
        path, image, tile=(256, 256), photometric="rgb", compression="deflate", extratags=[tag], metadata=None
    )
    return path


def test_colours_change_where_they_are_asked_to_and_only_there(tmp_path: Path) -> None:
    profile = swapped_profile()  # made once: it has the second in which it was made
    path = slide_with_profile(tmp_path / "swapped.tif", profile)
    with open_slide(path) as slide:
        assert slide.info.icc_profile == profile
        stored = open_pyramid(slide)[0]
        meant = open_pyramid(slide, colours=to_srgb(slide.info.icc_profile))[0]
        np.testing.assert_array_equal(stored[10, 10], (200, 40, 60))
        np.testing.assert_allclose(meant[10, 10].astype(int), (40, 200, 60), atol=2)
        np.testing.assert_allclose(meant[650, 10].astype(int), 250, atol=2)
        # as an independent conversion of the whole image says
        whole = ImageCms.profileToProfile(
            Image.fromarray(np.asarray(stored)),
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
        )
        np.testing.assert_array_equal(np.asarray(meant), np.asarray(whole))
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (8, 8))[0, 0], (200, 40, 60))


@pytest.mark.parametrize("name", ["openslide-fixtures/boxes.tiff", "dicom/sm_image.dcm"])
def test_profiles_of_real_files_can_be_used(shared_data: Path, name: str) -> None:
    with open_slide(shared_data / "slides" / name) as slide:
        assert slide.info.icc_profile is not None
        meant = np.asarray(open_pyramid(slide, colours=to_srgb(slide.info.icc_profile))[0])
        stored = np.asarray(open_pyramid(slide)[0])
        assert meant.shape == stored.shape
        assert np.abs(meant.astype(int) - stored).mean() < 60


def test_a_profile_that_is_none_is_a_clear_error() -> None:
    grey = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for profile in (b"", b"not a profile", grey):
        with pytest.raises(SlideError, match="ICC profile cannot be used"):
            to_srgb(profile)
