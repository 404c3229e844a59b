"""Names of the files of a project and of a run stand in one place."""

import re
from pathlib import Path

import sam_mil_engine
from sam_mil_engine import layout

NAMES = [value for name, value in vars(layout).items() if name.isupper() and "." in value[1:]]
#: Files of others, or of another kind, that have the same name.
OTHERS = {("hub.py", "model.safetensors"), ("bundle.py", "model.safetensors"), ("bundle.py", "card.md")}


def test_each_name_is_written_once() -> None:
    package = Path(sam_mil_engine.__file__).parent
    files = [file for root in (package, package.with_name("napari_sam_mil")) for file in root.rglob("*.py")]
    assert len(NAMES) > 10
    pattern = re.compile("|".join(f'"({re.escape(name)})"' for name in NAMES))
    found = {
        (file.name, match[0].strip('"'))
        for file in files
        if file.name != "layout.py"
        for match in pattern.finditer(file.read_text(encoding="utf-8"))
    }
    assert found == OTHERS


def test_what_a_folder_is(tmp_path: Path) -> None:
    assert not layout.is_project(tmp_path)
    (tmp_path / "bags").mkdir()
    assert layout.has_bags(tmp_path)
    assert not layout.is_project(tmp_path)
    (tmp_path / "bags" / "a.h5").touch()
    assert layout.is_project(tmp_path)
    assert not layout.is_finished_run(tmp_path)
    (tmp_path / "metrics.json").touch()
    assert layout.is_finished_run(tmp_path)
    assert layout.side_folder("timm:resnet 50") == "bags-timm-resnet-50"
