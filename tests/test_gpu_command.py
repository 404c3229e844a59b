"""``make gpu`` where there is no GPU, and its machinery with parts of a second."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from warm_commands import run_script

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import gpu  # noqa: E402  (the benchmarks are no package)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("script", ["gpu.py", "sam_automatic.py --device cuda"])
def test_without_a_gpu_it_says_so_and_changes_nothing(script, tmp_path, monkeypatch):
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    name, *options = script.split()
    monkeypatch.chdir(tmp_path)
    done = run_script(ROOT / "benchmarks" / name, *options, code=2)
    assert f"{name}: the device 'cuda' cannot be used here" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8") == readme


def part(name, code, seconds=60, **options):
    return gpu.Part(
        name, ("-c", f"import json, sys, time\n{code}"), seconds, lambda found: found["rows"], **options
    )


def test_parts_run_in_turn_and_one_that_fails_or_hangs_is_named(capsys):
    write = "json.dump({'rows': [['what', 'how much']]}, open(sys.argv[-1], 'w'))"
    hang = "import subprocess\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    parts = [
        part("good", write),
        part("bad", "sys.exit('no kernel image is available')"),
        part("slow", hang, seconds=1),
        part("tests", "print('3 passed')", has_json=False),
    ]
    results = gpu.run_all(parts, minutes=2)
    assert [result["state"] for result in results] == ["done", "failed (1)", "not finished in 1 s", "done"]
    assert "no kernel image" in results[1]["said"]
    assert results[0]["figures"] == {"rows": [["what", "how much"]]}
    text = gpu.table(results, "cuda (H200)")
    assert "| what | how much |" in text
    assert "| bad | failed (1) no kernel image is available |" in text
    assert "| tests | done 3 passed |" in text
    assert "good: done" in capsys.readouterr().out
    assert gpu.run_all(parts[:1], minutes=0) == [{"part": "good", "state": "no time left", "rows": []}]


def test_the_table_takes_the_place_between_the_marks(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- gpu -->\nold\n<!-- end gpu -->\nafter\n")
    gpu.write_table("new\n", readme)
    assert readme.read_text() == "before\n<!-- gpu -->\nnew\n<!-- end gpu -->\nafter\n"
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [page.count(mark) for mark in gpu.MARKS] == [1, 1]


def test_the_limits_of_all_parts_are_ten_minutes_and_their_scripts_are_there():
    assert sum(one.seconds for one in gpu.PARTS) <= 600
    for one in gpu.PARTS:
        assert one.command[0] == "-m" or Path(one.command[0]).is_file()


def test_the_tests_marked_gpu_are_where_it_looks():
    marked = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if "@pytest.mark.gpu\n" in path.read_text(encoding="utf-8")
    ]
    assert len(marked) >= 4
    assert [path for path in marked if not path.startswith((*gpu.GPU_TESTS, "tests/test_gpu_command"))] == []


def test_every_row_of_figures_becomes_a_row_of_the_table():
    run = {"model": "vit_h", "system": "bf16", "seconds": 2.0, "times_fewer_seconds": 9.5, "peak_bytes": 2**30}
    rows = gpu.sam_rows({"images": 2, "points_per_batch": 0, "rows": [run | {"masks": 105, "mean_iou": 0.89}]})
    assert rows == [
        (
            "vit_h, bf16, 2 images, points at once: default",
            "2.00 s per image, 9.5x; 1,024 MiB; 105 masks, IoU 0.890",
        )
    ]
    small = {"allowed_bytes": 2**29, "seconds": 1.0, "points_at_once": 8, "ended_on": "cuda:0", "masks": 9}
    assert gpu.memory_rows({"rows": [small]})[0][0] == "vit_b with 512 MiB of the memory"
    json.dumps(rows)
