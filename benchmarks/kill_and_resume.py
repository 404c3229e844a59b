"""Cross-validation that is killed at random and resumed ends with the same table as one that is left alone.

python benchmarks/kill_and_resume.py --kills 6 --json killed.json
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from measured import keep

#: Files of a run that must be the same byte for byte; others hold seconds and versions.
SAME = ("predictions.csv", "history.csv", "splits.csv")
PATCHES, WIDTH = 60, 32


def write_cohort(place: Path, slides: int) -> None:
    """Write bags of two classes and their labels."""
    from sam_mil_engine.bag import h5
    from sam_mil_engine.slide.tile_grid import TileGrid

    rng = np.random.default_rng(0)
    (place / "bags").mkdir(parents=True)
    lines = ["slide_id,label"]
    for number in range(slides):
        label = number % 2
        corners = np.stack([np.arange(PATCHES) % 10, np.arange(PATCHES) // 10], axis=1) * 256
        features = rng.normal(0, 1, (PATCHES, WIDTH)).astype(np.float32)
        features[: PATCHES // 6, :4] += 1.5 * label
        grid = TileGrid(corners.astype(np.int32), (256.0, 256.0), 0, (256, 256), 256, (256.0, 256.0), mpp=0.5)
        with h5.edit_bag(place / "bags" / f"s{number:02d}.h5") as file:
            h5.put_attributes(file, {"slide_id": f"s{number:02d}", "mpp": (0.5, 0.5)})
            h5.put_tiles(file, grid, size_px0=(2560, 1536), power=20.0)
            h5.put_features(file, features, {"encoder": "toy", "encoder_version": "1"})
            for stage in ("tiles", "features"):
                h5.mark_stage(file, stage, "0")
        lines.append(f"s{number:02d},{('normal', 'tumour')[label]}")
    (place / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def command(place: Path, run: str) -> list[str]:
    options = [
        "--labels",
        str(place / "labels.csv"),
        "--output",
        str(place / run),
        "--folds",
        "3",
        "--repeats",
        "2",
    ]
    options += ["--model", "abmil", "--epochs", "6", "--device", "cpu", "--quiet", "--resume"]
    return [sys.executable, "-m", "sam_mil_engine", "cross-validate", "--bags", str(place / "bags"), *options]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--slides", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rng, environment = random.Random(args.seed), {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="kill-and-resume-") as folder:
        place = Path(folder)
        write_cohort(place, args.slides)
        begun = time.monotonic()
        subprocess.run(command(place, "whole"), check=True, env=environment)
        whole, kills, finished = time.monotonic() - begun, 0, False
        while kills < args.kills and not finished:
            process = subprocess.Popen(command(place, "killed"), env=environment)
            try:
                finished = process.wait(timeout=whole * rng.uniform(0.3, 0.8)) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
        if not finished:
            subprocess.run(command(place, "killed"), check=True, env=environment)
        names = [name for name in SAME if (place / "whole" / name).exists()]
        other = [name for name in names if not filecmp.cmp(place / "whole" / name, place / "killed" / name, False)]
        litter = [path.name for path in (place / "killed").rglob(".*") if path.suffix != ".lock"]
    report = {"seconds of a whole run": round(whole, 1), "kills": kills, "compared": names, "different": other}
    report["litter"] = litter
    print(report)
    keep(report, args.json)
    if other or litter or not names:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
