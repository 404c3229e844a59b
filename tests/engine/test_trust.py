"""What SECURITY.md promises: no code from files, nothing outside the project, nothing that listens, no formulas."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

import sam_mil_engine
from sam_mil_engine.errors import ModelError, SamMilError
from sam_mil_engine.models.registry import cards
from sam_mil_engine.tables.cells import quoted, unquoted
from sam_mil_engine.tables.writing import csv_frame, csv_records, csv_text
from sam_mil_engine.training.checkpoint import load_model
from sam_mil_engine.training.model_folders import bundled_models

ENGINE = Path(sam_mil_engine.__file__).parent
SOURCES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in ENGINE.parent.rglob("*.py")}
#: Where processes of our own are started and talked to.
OWN_PIPES = {"child.py", "side_by_side.py", "worker.py", "worker_main.py", "sam_calls.py"}
FORMULAS = [
    "=1+1",
    "+cmd",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1+1",
    "\uff20A1",
]


def calls(name: str) -> list[tuple[Path, ast.Call]]:
    """Every call of a function or method that is written so, as ``torch.load`` or ``eval``."""
    found = []
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
                found.append((path, node))
    return found


@pytest.mark.parametrize(
    "name", ["eval", "exec", "os.system", "yaml.load", "marshal.loads", "shelve.open", "joblib.load"]
)
def test_nothing_runs_text_as_code(name: str) -> None:
    assert not calls(name)


def test_pickles_are_read_from_our_own_processes_alone() -> None:
    for name in ("pickle.load", "pickle.loads", "pickle.Unpickler"):
        assert {path.name for path, _ in calls(name)} <= OWN_PIPES


def test_torch_and_numpy_load_values_and_no_objects() -> None:
    loads = calls("torch.load")
    assert loads
    for path, call in loads:
        options = {one.arg: ast.unparse(one.value) for one in call.keywords}
        assert options.get("weights_only") == "True", path
    for path, call in calls("np.load"):
        options = {one.arg: ast.unparse(one.value) for one in call.keywords}
        assert options.get("allow_pickle", "False") == "False", path


def test_no_shell_and_no_archive_is_unpacked_into_folders() -> None:
    for path, call in [*calls("subprocess.Popen"), *calls("subprocess.run")]:
        assert "shell" not in {one.arg for one in call.keywords}, path
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert not re.search(r"\.extractall\(|shutil\.unpack_archive|tarfile", text)


def test_nothing_listens_but_the_scheduler_that_was_asked_for() -> None:
    listening = re.compile(
        r"import (socketserver|http\.server)|socket\.socket|\.bind\(|\.listen\(|QTcpServer|QLocalServer"
    )
    for path in SOURCES:
        assert not listening.search(path.read_text(encoding="utf-8")), path
    client = (ENGINE / "cluster" / "client.py").read_text(encoding="utf-8")
    assert '_HERE = "127.0.0.1"' in client
    assert "0.0.0.0" not in client


def test_every_download_is_https_with_a_checksum() -> None:
    files = [card for kind in ("encoder", "segmenter") for card in cards(kind).values() if card.file]
    assert files
    for card in files:
        assert card.source.startswith("https://"), card.name
        # its makers publish no checksum, which SECURITY.md says
        assert re.fullmatch(r"[0-9a-f]{64}", card.sha256) or card.name.startswith("pathosam"), card.name
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "http://" in node.value:
                assert "w3.org" in node.value, f"{path}: {node.value}"


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_neutralised_in_every_kind_of_table(text: str) -> None:
    assert quoted(text) == f"'{text}"
    assert unquoted(quoted(text)) == text
    frame = pd.DataFrame({"name": [text], text: ["a"], "value": [-1.5]})
    for table in (
        csv_text((text, "b"), [(text, 1)]),
        csv_records([{"a": text}]),
        csv_frame(frame),
        csv_frame(frame.astype({"name": "category"})),
    ):
        cells = re.split(r'[,"]|(?<=\w)\n', table)
        assert not [cell for cell in cells if cell.startswith(text)], table
    assert "-1.5" in csv_frame(frame)


def test_every_table_is_written_in_one_place() -> None:
    for name in ("csv.writer", "csv.DictWriter"):
        assert {path.name for path, _ in calls(name)} <= {"writing.py"}
    written = [path for path, tree in SOURCES.items() for node in ast.walk(tree)
               if isinstance(node, ast.Attribute) and node.attr == "to_csv"]  # fmt: skip
    assert {path.name for path in written} <= {"writing.py"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundled_models()["demo"] if "demo" in bundled_models() else _any(), tmp_path / "m"))


def _any() -> Path:
    return next(iter(bundled_models().values()))


def described(folder: Path, **changes: object) -> Path:
    file = folder / "model.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["model"] |= changes
    file.write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize("hidden", [2**31, 10**30])
def test_a_model_cannot_ask_for_more_memory_than_its_weights(model: Path, hidden: int) -> None:
    with pytest.raises(ModelError, match=r"weights|Input should|too large"):
        load_model(described(model, hidden=hidden), device="cpu")


def test_a_model_names_no_module_to_import(model: Path) -> None:
    for name in ("os:system", "builtins:eval", "../x", "sam_mil_engine.cli.main:run"):
        with pytest.raises(SamMilError):
            load_model(described(model, name=name), device="cpu")


@pytest.mark.parametrize("name", ["../secret/0", "/secret/0", "a/../../secret/0"])
def test_a_zarr_leads_to_no_other_folder(tmp_path: Path, name: str) -> None:
    pixels = np.full((3, 64, 64), 200, np.uint8)
    zarr.open_group(tmp_path / "secret", mode="w", zarr_format=2).create_array("0", data=pixels)
    group = zarr.open_group(tmp_path / "s.zarr", mode="w", zarr_format=2)
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    datasets = [{"path": name, "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    with pytest.raises(SamMilError):
        sam_mil_engine.open_slide(tmp_path / "s.zarr")


def test_labels_and_macro_images_are_never_read() -> None:
    """OpenSlide's associated images hold the label of the slide, which names the patient."""
    for path in SOURCES:
        assert "associated_images" not in path.read_text(encoding="utf-8"), path


def test_the_engine_starts_without_a_connection(tmp_path: Path) -> None:
    """Importing and opening a slide opens no socket."""
    program = (
        "import sys\n"
        "def note(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.bind'):\n"
        "        raise SystemExit(f'{event} {arguments}')\n"
        "sys.addaudithook(note)\n"
        "import sam_mil_engine as sme\n"
        "from sam_mil_engine.cli.main import app\n"
        "sme.open_slide, sme.load_model\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
