"""Every setting of preprocessing can be set from the command line: options, a file, and ``--set``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sam_mil_engine.cli.options import process_settings
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.settings import TISSUE_PRESETS, ProcessSettings, TrainSettings
from sam_mil_engine.settings.changes import merge, setting_names
from warm_commands import run_command as run


def test_set_wins_over_options_and_options_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "a.toml"
    config.write_text('preset = "biopsy"\n[tiles]\npatch_size = 64\nmpp = 0.5\n[segments]\npred_iou_thresh = 0.5\n')
    settings = process_settings(patch_size=128, config=config, assignments=["segments.pred_iou_thresh=0.7"])
    assert (settings.preset, settings.tiles.patch_size, settings.tiles.mpp) == ("biopsy", 128, 0.5)
    assert settings.segments.pred_iou_thresh == 0.7
    assert process_settings() == ProcessSettings()


def test_one_value_of_the_tissue_keeps_the_rest_of_its_preset() -> None:
    settings = process_settings(preset="biopsy", assignments=["tissue.otsu=true"])
    assert settings.tissue == TISSUE_PRESETS["biopsy"].model_copy(update={"otsu": True})


def test_every_setting_has_a_name_and_unknown_ones_are_refused_with_near_ones() -> None:
    names = setting_names(ProcessSettings)
    assert {"tissue.otsu", "segments.stability_score_thresh", "groups.rule", "features.block"} <= set(names)
    with pytest.raises(SettingsError, match="pred_iou_tresh") as caught:
        process_settings(assignments=["segments.pred_iou_tresh=1"])
    assert "segments.pred_iou_thresh" in caught.value.hint
    with pytest.raises(SettingsError, match="pred_iou_thresh"):
        process_settings(assignments=["segments.pred_iou_thresh=7"])


def test_values_are_merged_at_every_depth() -> None:
    merged = merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "e": 5})
    assert merged == {"a": {"b": 1, "c": 4}, "d": 3, "e": 5}


@pytest.mark.parametrize("command", ["process", "group", "predict", "train", "cross-validate"])
def test_every_command_with_settings_takes_them(command: str) -> None:
    done = run(command, "--help")
    assert "--set" in done.stdout
    assert "--config" in done.stdout


def test_process_records_what_was_set(tiny_slide: Path, tmp_path: Path) -> None:
    words = ["process", tiny_slide, "-o", tmp_path / "p", "--stages", "tissue,segments", "--preset", "biopsy", "-q"]
    words += ["--set", "segments.cuts=[2, 4]", "--set", "tissue.max_holes=1"]
    run(*words)
    saved = json.loads((tmp_path / "p" / "settings.json").read_text(encoding="utf-8"))["settings"]
    assert saved["segments"]["cuts"] == [2, 4]
    assert saved["tissue"]["max_holes"] == 1
    assert saved["tissue"]["saturation_threshold"] == TISSUE_PRESETS["biopsy"].saturation_threshold


def test_every_setting_is_listed_with_what_it_means() -> None:
    listed = json.loads(run("settings", "--json").stdout)
    assert [one["setting"] for one in listed["processing"]] == setting_names(ProcessSettings)
    assert [one["setting"] for one in listed["training"]] == setting_names(TrainSettings)
    assert all(one["meaning"].endswith(".") for one in (*listed["processing"], *listed["training"]))
    nothing = run("settings", "--json", "no-such", code=2)
    assert "no setting contains 'no-such'" in nothing.stderr


def test_an_unknown_encoder_is_refused_whatever_the_stages(tiny_slide: Path, tmp_path: Path) -> None:
    done = run(
        "process", tiny_slide, "-o", tmp_path / "p", "--encoder", "UNI2-h", "--stages", "tissue,tiles", code=2
    )
    assert "there is no encoder 'UNI2-h'" in done.stderr
    assert "Did you mean uni2-h" in done.stderr


def test_a_rule_for_two_settings_says_both(tiny_slide: Path, tmp_path: Path) -> None:
    words = ("--patch-size", "64", "--overlap", "64")
    done = run("process", tiny_slide, "-o", tmp_path / "p", *words, code=2)
    assert "error: the overlap of 64 px must be smaller than the patch of 64 px" in done.stderr
