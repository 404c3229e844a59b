from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from sam_mil_engine.errors import EncoderError
from sam_mil_engine.models.card import ModelCard
from sam_mil_engine.models.files import MODELS_VARIABLE, models_folder

FILE = ModelCard(
    name="tiny",
    kind="encoder",
    what="a test",
    builder="",
    file="tiny.bin",
    source="https://example.org/tiny.bin",
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    return tmp_path


def test_the_folder_is_in_the_users_cache_unless_it_is_moved(folder, monkeypatch):
    assert models_folder() == folder
    monkeypatch.delenv(MODELS_VARIABLE)
    assert models_folder().parts[-2:] == ("napari-sam-mil", "models")


def test_a_missing_file_is_an_error_of_the_asking_kind():
    with pytest.raises(EncoderError, match=r"tiny\.bin.*https://example\.org/tiny\.bin"):
        FILE.find(error=EncoderError)


@pytest.mark.parametrize("digits", [8, 64])
def test_the_checksum_is_checked(folder, digits):
    (folder / "tiny.bin").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert replace(FILE, sha256=digest[:digits]).find(error=EncoderError) == (folder / "tiny.bin", digest)
    (folder / "tiny.bin").write_bytes(b"weight")
    with pytest.raises(EncoderError, match="checksum"):
        replace(FILE, sha256=digest[:digits]).find(error=EncoderError)
