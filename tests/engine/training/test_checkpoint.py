"""Model folders: what is saved, found again, and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from sam_mil_engine.errors import ModelError
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.settings import ModelSettings
from sam_mil_engine.training import model_folders
from sam_mil_engine.training.checkpoint import TrainedModel, load_model, save_model
from sam_mil_engine.training.expects import Expects
from sam_mil_engine.training.model_folders import find_model


@pytest.fixture
def saved(tmp_path: Path) -> tuple[TrainedModel, Path]:
    settings = ModelSettings(name="sam-mil", hidden=16, attention=8, gated=True)
    model = TrainedModel(
        model=build_aggregator(settings, dim=5, n_classes=3).eval(),
        classes=("a", "b", "c"),
        threshold=0.4,
        expects=Expects(5, encoder="fake", encoder_version="1", segmenter="regions", patch_size=256, mpp=0.5),
        name="sam-mil",
        seed=3,
        card="# A card",
        split=(2, 1),
    )
    folder = tmp_path / "run" / "fold-0-0"
    save_model(folder, model)
    return model, folder


def test_everything_comes_back(saved: tuple[TrainedModel, Path]) -> None:
    model, folder = saved
    loaded = load_model(folder.parent, device="cpu")  # the RUN with one fold
    assert loaded.path == folder
    for name in ("classes", "threshold", "expects", "name", "seed", "card", "settings", "split"):
        assert getattr(loaded, name) == getattr(model, name), name
    weights = model.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in loaded.model.state_dict().items())
    assert not loaded.model.training


def test_a_model_of_before_has_its_split_in_the_name_of_its_folder(saved: tuple[TrainedModel, Path]) -> None:
    _, folder = saved
    file = folder / "model.json"
    description = json.loads(file.read_text(encoding="utf-8"))
    del description["split"]
    file.write_text(json.dumps(description), encoding="utf-8")
    assert load_model(folder, device="cpu").split == (0, 0)
    assert load_model(folder.rename(folder.with_name("copied")), device="cpu").split is None


def test_a_run_of_several_folds_lists_them(saved: tuple[TrainedModel, Path]) -> None:
    model, folder = saved
    save_model(folder.with_name("fold-0-1"), model)
    with pytest.raises(ModelError, match=r"holds 2 models. Choose one: fold-0-0, fold-0-1"):
        load_model(folder.parent)
    assert load_model(folder, device="cpu").name == "sam-mil"


def test_bundled_models_by_name(saved: tuple[TrainedModel, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = saved
    monkeypatch.setattr(model_folders, "named_models", lambda: {"demo": folder})
    monkeypatch.chdir(folder.parent)
    (folder.parent / "demo").mkdir()
    assert find_model("demo") == folder
    with pytest.raises(ModelError, match="no trained model is in this folder"):
        find_model("./demo")
    with pytest.raises(ModelError, match="bundled model: demo"):
        find_model("other")


def damaged(folder: Path, how: str) -> None:
    weights, description = folder / "model.safetensors", folder / "model.json"
    content = json.loads(description.read_text())
    if how == "no weights":
        weights.unlink()
    elif how == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "one bit":
        raw = bytearray(weights.read_bytes())
        raw[-1] ^= 1
        weights.write_bytes(bytes(raw))
    elif how == "no json":
        description.write_text("{")
    elif how == "a list":
        description.write_text("[]")
    else:
        changes = {
            "other dim": {"expects": {**content["expects"], "dim": 6}},
            "other classes": {"classes": ["a", "b"]},
            "unknown model": {"model": {**content["model"], "name": "nonsense"}},
            "unknown setting": {"model": {**content["model"], "nonsense": 1}},
            "later format": {"format_version": 99},
            "no threshold": {"threshold": None},
            "bad expects": {"expects": {"nonsense": 1}},
        }
        description.write_text(json.dumps({**content, **changes[how]}))


@pytest.mark.parametrize(
    "how",
    [
        *("no weights", "cut weights", "one bit", "no json", "a list", "other dim", "other classes"),
        *("unknown model", "unknown setting", "later format", "no threshold", "bad expects"),
    ],
)
def test_a_damaged_folder_is_refused_by_name(saved: tuple[TrainedModel, Path], how: str) -> None:
    _, folder = saved
    damaged(folder, how)
    with pytest.raises(ModelError) as caught:
        load_model(folder, device="cpu")
    assert caught.value.where is not None
    assert caught.value.where.startswith(str(folder))
    assert caught.value.hint


CALIBRATION = {
    **{"negative": "a", "scores": ["instance"], "weights": [1.0], "intercept": 0.0, "prior": 0.2, "slides": 8},
    **{"negative_slides": 4, "operating_point": 1.5, "log_odds": [0.0, 1.5], "shares": [0.5, 0.01]},
}


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"threshold": float("nan")},
        {"threshold": 7},
        {"calibration": CALIBRATION | {"negative": "another"}},
        {"calibration": CALIBRATION | {"weights": []}},
        {"calibration": CALIBRATION | {"scores": [], "weights": []}},
        {"calibration": CALIBRATION | {"shares": [0.5]}},
        {"calibration": CALIBRATION | {"log_odds": [], "shares": []}},
        {"calibration": CALIBRATION | {"intercept": float("inf")}},
    ],
)
def test_numbers_that_no_prediction_can_use_are_refused(
    saved: tuple[TrainedModel, Path], changes: dict[str, object]
) -> None:
    """They would be met in the middle of a prediction otherwise."""
    _, folder = saved
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(description | {"calibration": CALIBRATION}))
    assert load_model(folder, device="cpu").calibration is not None
    (folder / "model.json").write_text(json.dumps(description | changes))
    with pytest.raises(ModelError, match="do not fit together"):
        load_model(folder, device="cpu")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"segments_mpp": [0.5]}, {"segments_mpp": 0}, {"mpp": 0}, {"mpp": float("nan")}, {"mpp": "0.5"}),
        *({"encoder": 3}, {"patch_size": -1}, {"patch_size": True}, {"cuts": [4, "8"]}, {"both_scales": 1}),
    ],
)
def test_expectations_of_the_wrong_type_are_refused(
    saved: tuple[TrainedModel, Path], wrong: dict[str, object]
) -> None:
    _, folder = saved
    description = json.loads((folder / "model.json").read_text())
    expects = description["expects"] | wrong
    (folder / "model.json").write_text(json.dumps(description | {"expects": expects}))
    with pytest.raises(ModelError, match=f"the expected {next(iter(wrong))} is"):
        load_model(folder, device="cpu")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no trained model"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match="there is no such model"):
        load_model(tmp_path / "none")


def test_a_folder_may_be_moved(saved: tuple[TrainedModel, Path], tmp_path: Path) -> None:
    shutil.move(saved[1], tmp_path / "elsewhere")
    assert load_model(tmp_path / "elsewhere", device="cpu").path == tmp_path / "elsewhere"
