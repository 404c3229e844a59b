"""Names of slides, and which slide a table means."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from sam_mil_engine.bag.foreign import SlideFiles
from sam_mil_engine.bag.names import KnownNames, find_existing, without_ending
from sam_mil_engine.slide.info import slide_id_of

NFC, NFD = (unicodedata.normalize(form, "Müller 1") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("known", "written", "found"),
    [
        ("1006", "1006.0", "1006"),
        ("1006.0", "1006.0", "1006.0"),
        ("a", "a.svs", "a"),
        ("a.svs", "a.svs", "a.svs"),
        ("a", "a.ome.tif", "a"),
        ("a.ome", "a.ome.tif", "a.ome"),
        ("a", "a.h5", "a"),
        ("a.b", "a.b", "a.b"),
        ("a", "a.b", None),
        ("a", "a.0", None),
        ("a ", "a", "a "),
        (NFD, NFC, NFD),
        (NFC, NFD + ".svs", NFC),
    ],
)
def test_the_slide_that_a_table_means(known: str, written: str, found: str | None) -> None:
    assert KnownNames([known]).find(written) == found


def test_nothing_is_cut_off_a_name_that_is_there() -> None:
    names = KnownNames(["a", "a.svs", "7", "7.0"])
    assert [names.find(name) for name in ("a", "a.svs", "7", "7.0")] == ["a", "a.svs", "7", "7.0"]


def test_endings_of_files() -> None:
    assert [without_ending(name) for name in ("a.SVS", "a.b", "a.ome.tiff", "a.pt")] == ["a", "a.b", "a", "a"]


def test_names_of_slides_have_one_form() -> None:
    assert slide_id_of(Path(f"{NFD}.svs")) == NFC
    assert SlideFiles(NFD, Path("x.h5")).slide_id == NFC


def test_a_file_in_another_form_is_found(tmp_path: Path) -> None:
    there = tmp_path / f"{NFD}.h5"
    assert find_existing(tmp_path / f"{NFC}.h5").name == f"{NFC}.h5"
    there.touch()
    assert find_existing(tmp_path / f"{NFC}.h5").exists()
    assert find_existing(there) == there
