"""The fuzzer itself: what a reader writes outside its folder is noticed, and noticing never waits for itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
#: In a fresh process, as in a child of the fuzzer: the first question for the folder of temporary files tries it.
CODE = """
import sys, tempfile
from fuzzing.pool import Watch
inside, outside = sys.argv[1:]
watch = Watch()
watch.folder = inside
open(inside + "/a", "w", encoding="utf-8").close()
assert not watch.seen, watch.seen
open(outside, "w", encoding="utf-8").close()
tempfile.TemporaryFile().close()
watch.folder = ""
print([line.split()[1] for line in watch.seen][0])
"""


def test_what_is_written_outside_the_folder_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(BENCHMARKS), *sys.path])}
    command = [sys.executable, "-c", CODE, str(inside), str(outside)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout.strip() == str(outside), done.stderr
