"""Methods of other packages: the three that CONTRIBUTING shows in the command line, and broken ones beside them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sam_mil_engine.bag.h5 import read_bag
from sam_mil_engine.cli.main import app
from sam_mil_engine.errors import EncoderError, ModelError, SamMilError, SegmentError, SettingsError
from sam_mil_engine.features.loading import load_encoder
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.models import registry, store
from sam_mil_engine.models.classifiers import bundled_classifiers
from sam_mil_engine.models.encoders import ENCODERS
from sam_mil_engine.segment.loading import load_segmenter
from sam_mil_engine.settings import ModelSettings
from sam_mil_engine.training.model_folders import find_model
from tiny_slides import write_tiny_slide
from toy_methods import install, install_toy_classifier, install_toys


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    return result.stdout


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take modules that a test brings out of memory again, since another test may bring others of the same name."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("toy_", "other_")):
            del sys.modules[name]


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: None) -> Path:
    folder = install_toys(tmp_path / "site")
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_three_methods_from_one_file_each_go_from_slides_to_a_prediction(toys: Path, tmp_path: Path) -> None:
    (tmp_path / "slides").mkdir()
    labels = ["slide_id,label"]
    for number in range(12):
        write_tiny_slide(tmp_path / "slides" / f"s{number:02d}.tiff", seed=number, size=(384, 320))
        labels.append(f"s{number:02d},{'tumour' if number % 2 else 'normal'}")
    (tmp_path / "labels.csv").write_text("\n".join(labels) + "\n")
    project, trained = tmp_path / "study", tmp_path / "run"
    run("process", tmp_path / "slides", "-o", project, "--segmenter", "toy", "--encoder", "toy")
    bag = read_bag(project / "bags" / "s03.h5")
    assert (bag.attrs["encoder"], bag.features.shape[1]) == ("toy", 6)
    assert len(bag.groups) == 2, "dark and pale"
    options = ("--labels", tmp_path / "labels.csv", "--epochs", 2, "--min-epochs", 0, "--device", "cpu", "-q")
    run("train", "--bags", project / "bags", *options, "--model", "toy", "-o", trained)
    found = json.loads(run("predict", trained, tmp_path / "slides" / "s03.tiff", "-o", project, "--json", "-q"))
    assert "tumour" in json.dumps(found)
    with pytest.raises(SettingsError, match="does not take group tokens"):
        build_aggregator(ModelSettings(name="toy+groups"), dim=6, n_classes=2)


def test_the_list_the_help_and_the_messages_know_them(toys: Path) -> None:
    listed = json.loads(run("models", "--json"))
    for kind, what in (("segmenters", "dark tissue"), ("encoders", "spread"), ("aggregators", "ten most")):
        (toy,) = (entry for entry in listed[kind] if entry["name"] == "toy")
        assert what in toy["what"]
        assert toy["on_disk"]
        assert toy["source"] == "comes with the package toy-methods"
    code = "import sys; from sam_mil_engine.cli.main import app; app(sys.argv[1:])"
    for command, line in (("process", "tissue-sam, toy"), ("process", "hf:NAME, toy"), ("train", "sam-mil, toy")):
        shown = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(toys)!r}); {code}", command, "--help"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "400"},
        )
        assert line in " ".join(shown.stdout.split())
    for load, error in ((load_encoder, EncoderError), (load_segmenter, SegmentError)):
        with pytest.raises(error, match=", toy"):
            load("toyy")
    assert store.verify("toy").startswith("needs no weights; loads, 6 numbers per patch")
    assert run("models", "list", "toy").count("role: ") == 3
    with pytest.raises(ModelError, match="comes with the package toy-methods"):
        store.remove("toy")


BROKEN = {
    "raises": "other_raises:CARD",
    "missing": "other_missing:CARD",
    "number": "other_cards:NUMBER",
    "renamed": "other_cards:GOOD",
    "resnet50": "other_cards:RESNET",
    "good": "other_cards:make",
    "lost": "other_cards:LOST",
}
CARDS = """
from sam_mil_engine.models.card import ModelCard

NUMBER = 3
GOOD = ModelCard(name="good", kind="encoder", what="a test", builder="other_cards:build", options={"dim": 5})
RESNET = ModelCard(name="resnet50", kind="encoder", what="a test", builder="other_cards:build")
LOST = ModelCard(name="lost", kind="encoder", what="a test", builder="other_cards:gone")


def make():
    return GOOD


class Encoder:
    name, version, weights_sha256, preprocessing = "good", "1", "", "none"

    def __init__(self, dim):
        self.dim = dim


def build(*, dim, device, precision):
    return Encoder(dim)
"""


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: None) -> None:
    files = {"other_raises.py": "raise RuntimeError('no licence key')", "other_cards.py": CARDS}
    folder = install(tmp_path / "others", "other-methods", files, {"sam_mil_engine.encoders": BROKEN})
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.usefixtures("others")
def test_a_broken_method_is_told_and_stops_no_other() -> None:
    reasons = {one.name: one.reason for one in registry.broken("encoder")}
    assert reasons.pop("raises") == "RuntimeError: no licence key"
    assert "No module named 'other_missing'" in reasons.pop("missing")
    assert reasons.pop("number") == "other_cards:NUMBER is not a ModelCard but int"
    assert "its card is of the encoder 'good'" in reasons.pop("renamed")
    assert "with this name already" in reasons.pop("resnet50")
    assert reasons == {}
    assert load_encoder("good", device="cpu").dim == 5, "options reach the builder"
    assert registry.cards("encoder")["resnet50"] is ENCODERS["resnet50"]
    said = "the encoder 'raises' of the package other-methods cannot be used: RuntimeError: no licence key"
    with pytest.raises(EncoderError, match=said):
        load_encoder("raises")
    with pytest.raises(EncoderError, match="'lost' cannot be loaded"):
        load_encoder("lost")
    for work in (store.get, store.verify, store.remove):
        with pytest.raises(ModelError, match=said):
            work("raises")
    shown = " ".join(run("models").split())
    assert "raises no cannot be used: RuntimeError: no licence key" in shown
    assert said in " ".join(run("doctor").split())


@pytest.mark.usefixtures("forget")
def test_the_classifier_that_contributing_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = install_toy_classifier(tmp_path / "site")
    demo = bundled_classifiers()["demo"].folder
    assert demo is not None
    shutil.copytree(demo, site / "colitis")
    monkeypatch.syspath_prepend(str(site))
    assert find_model("colitis") == site / "colitis"
    assert not registry.broken("classifier")


@pytest.mark.usefixtures("forget")
def test_a_classifier_of_another_package_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    files = {"other_classifier.py": f"FOLDER = {str(site / 'colitis')!r}\nEMPTY = {str(site)!r}\n"}
    points = {"colitis": "other_classifier:FOLDER", "empty": "other_classifier:EMPTY"}
    install(site, "other-classifier", files, {"sam_mil_engine.classifiers": points})
    demo = bundled_classifiers()["demo"].folder
    assert demo is not None
    shutil.copytree(demo, site / "colitis")
    monkeypatch.syspath_prepend(str(site))
    assert find_model("colitis") == site / "colitis"
    assert "weights and description fit" in store.verify("colitis")
    (one,) = registry.broken("classifier")
    assert one.name == "empty"
    with pytest.raises(SamMilError, match="colitis"):
        find_model("nothing")


def test_the_registry_imports_no_method(toys: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(toys)!r});"
        "from sam_mil_engine.models.registry import cards, names; from sam_mil_engine.models.card import KINDS;"
        "assert 'toy' in names('aggregator') and 'toy_aggregator' not in sys.modules;"
        "[cards(kind) for kind in ('segmenter', 'encoder', 'classifier')];"
        "heavy = {'torch', 'timm', 'segment_anything', 'skimage', 'huggingface_hub'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", registry.GROUPS)
def test_every_card_of_this_package_names_a_builder_that_is_there(kind: str) -> None:
    cards = registry.bundled(kind)  # type: ignore[arg-type]
    assert cards
    for name, card in cards.items():
        assert (card.name, card.kind) == (name, kind)
        assert card.what
        assert card.licence
        if not (card.missing_package or card.elsewhere):
            assert callable(registry.load_builder(card, error=ModelError))
