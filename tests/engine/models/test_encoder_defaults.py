"""Patches as the chosen encoder was trained, where the user chose neither size nor resolution."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam_mil_engine.cli.options import process_settings
from sam_mil_engine.models.encoder_defaults import with_encoder_defaults
from sam_mil_engine.settings import ProcessSettings


def filled(**typed):
    settings, note = with_encoder_defaults(process_settings(**typed))
    return settings.tiles.patch_size, settings.tiles.mpp, note


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({"encoders": ["uni2-h"]}, (224, 0.5)),
        ({"encoders": ["hf:MahmoodLab/UNI2-h"]}, (224, 0.5)),
        ({"encoders": ["conch"]}, (448, 0.5)),
        ({"encoders": ["ctranspath"], "patch_size": 256}, (256, 1.0)),
        ({"encoders": ["phikon-v2"], "mpp": 0.25}, (224, 0.25)),
        ({"encoders": ["quiltnet"]}, (224, None)),
        ({"assignments": ["features.encoder=virchow2", "tiles.patch_size=448"]}, (448, 0.5)),
    ],
)
def test_what_was_left_open_is_as_the_encoder_was_trained(typed, expected):
    *found, note = filled(**typed)
    assert tuple(found) == expected
    assert note.endswith("was trained on")
    assert f"{expected[0]} px" in note


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"encoders": ["efficientnet-lite0"]},
        {"encoders": ["timm:resnet18"]},
        {"encoders": ["uni"], "patch_size": 512, "mpp": 1.0},
    ],
)
def test_nothing_else_changes_anything(typed):
    before = process_settings(**typed)
    assert with_encoder_defaults(before) == (before, "")


def test_a_file_of_settings_counts_as_chosen(tmp_path: Path):
    path = tmp_path / "settings.toml"
    path.write_text('features.encoder = "uni"\ntiles.mpp = 1.0\n')
    assert filled(config=path)[:2] == (224, 1.0)
    assert with_encoder_defaults(ProcessSettings())[1] == ""


def test_the_first_encoder_decides_and_the_others_are_named():
    assert filled(encoders=["uni", "phikon-v2"])[2].endswith("which uni was trained on")
    assert filled(encoders=["uni", "conch"])[2].endswith("; conch was trained on others")
    assert filled(encoders=["uni", "conch", "ctranspath"])[2].endswith("conch, ctranspath were trained on others")
