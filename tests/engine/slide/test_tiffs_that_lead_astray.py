"""What the fuzzer found in TIFFs: tables over which readers never end, or end the whole process."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

import sam_mil_engine as sme
from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide.tiff_header import check_tables


def write(path: Path, *, bigtiff: bool = False) -> bytearray:
    with tifffile.TiffWriter(path, bigtiff=bigtiff, byteorder="<") as file:
        for _ in range(2):
            image = np.full((128, 128, 3), 200, np.uint8)
            file.write(image, tile=(64, 64), photometric="rgb", compression="deflate", contiguous=False)
    return bytearray(path.read_bytes())


def offsets(path: Path) -> tuple[int, ...]:
    with tifffile.TiffFile(path) as file:
        return tuple(page.offset for page in file.pages)


def test_directories_that_form_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "s.tiff"
    content = write(path)
    first, second = offsets(path)
    (count,) = struct.unpack_from("<H", content, second)
    struct.pack_into("<I", content, second + 2 + 12 * count, second)
    path.write_bytes(content)
    assert first < second
    with pytest.raises(SlideError, match="directories never end"):
        sme.open_slide(path)


@pytest.mark.parametrize("bigtiff", [False, True], ids=["classic", "BigTIFF"])
def test_a_tile_that_claims_to_be_longer_than_the_file(tmp_path: Path, bigtiff: bool) -> None:
    path = tmp_path / "s.tiff"
    content = write(path, bigtiff=bigtiff)
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["TileByteCounts"]
        place, kind = tag.valueoffset, {3: "<H", 4: "<I", 16: "<Q"}[tag.dtype]
    huge = {"<H": 2**16 - 1, "<I": 2**32 - 1, "<Q": 2**60}[kind]
    struct.pack_into(kind, content, place, huge)
    path.write_bytes(content)
    if huge > len(content):
        with pytest.raises(SlideError, match="claims to be"):
            sme.open_slide(path)


def test_whole_files_and_other_files_pass(tmp_path: Path) -> None:
    write(tmp_path / "s.tiff")
    (tmp_path / "cut.tiff").write_bytes((tmp_path / "s.tiff").read_bytes()[:300])
    (tmp_path / "no.tiff").write_bytes(b"II*\0")
    (tmp_path / "far.tiff").write_bytes(b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**63 + 5))
    (tmp_path / "text").write_bytes(b"hello")
    for path in tmp_path.iterdir():
        check_tables(path)
