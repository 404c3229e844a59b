"""Everything that only a GPU can show, in at most ten minutes: ``make gpu``.

    python benchmarks/gpu.py [--output out/gpu.json] [--readme benchmarks/README.md] [--minutes 10]

One after the other: the tests marked ``gpu``; SAM's automatic masks (shapes ViT-B and ViT-H, float32 and bfloat16)
beside Meta's generator, several images at once, and points in batches of 16, 64 and 256; a GPU that is too small;
extraction beside the encoder alone; the step of training. Each part is a process of its own with a limit of time;
one that is not finished in time, or fails, is named as such and stops no other. All figures go into one JSON file,
and the table between the marks in the README is replaced. Without a CUDA device it says so and ends.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from measured import device_named, machine

HERE = Path(__file__).resolve().parent
#: The table in the README stands between these.
MARKS = ("<!-- gpu -->\n", "<!-- end gpu -->\n")
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Part:
    """One process: its command without Python, its limit in seconds, and the rows of the table that it gives."""

    name: str
    command: tuple[str, ...]
    seconds: int
    rows: Callable[[dict], Rows]
    has_json: bool = True


def script(name: str, *options: str) -> tuple[str, ...]:
    return (str(HERE / name), *options)


def mebibytes(count: int | None) -> str:
    return "all" if count is None else f"{count / 2**20:,.0f} MiB"


def sam_rows(found: dict) -> Rows:
    rows = []
    for row in found["rows"]:
        beside = "" if row["system"] == "Meta" else f", {row['times_fewer_seconds']:.1f}x"
        at_once = found["points_per_batch"] or "default"
        rows.append(
            (
                f"{row['model']}, {row['system']}, {found['images']} images, points at once: {at_once}",
                f"{row['seconds']:.2f} s per image{beside}; {row['peak_bytes'] / 2**20:,.0f} MiB;"
                f" {row['masks']} masks, IoU {row['mean_iou']:.3f}",
            )
        )
    return rows


def memory_rows(found: dict) -> Rows:
    return [
        (
            f"vit_b with {mebibytes(row['allowed_bytes'])} of the memory",
            f"{row['seconds']:.2f} s, {row['points_at_once']} points at once, ended on {row['ended_on']},"
            f" {row['masks']} masks",
        )
        for row in found["rows"]
    ]


def extraction_rows(found: dict) -> Rows:
    return [
        (
            f"features, {found['precision']}, {row['system']}",
            f"{found['patches'] / min(row['seconds']):,.0f} patches per second, {row['share']:.1%} of the bound",
        )
        for row in found["rows"]
    ]


def training_rows(found: dict) -> Rows:
    return [
        (
            f"SAM-MIL step, {row['patches']:,} patches",
            f"{row['best_ms']['sam-mil']:.1f} ms, {row['ratio']:.2f}x of plain AB-MIL; peak of all"
            f" {row['peak_bytes'] / 2**20:,.0f} MiB",
        )
        for row in found["rows"]
    ]


def sam(model: str, seconds: int, *options: str) -> Part:
    command = script("sam_automatic.py", "--device", "cuda", "--models", model, *options)
    return Part(f"SAM {model} {' '.join(options)}".strip(), command, seconds, sam_rows)


#: Where tests are marked ``gpu``.
GPU_TESTS = ("tests/engine/features", "tests/engine/mil", "tests/engine/segment")
#: The most important first: what comes last may find no time. Limits add up to the ten minutes.
PARTS = (
    Part(
        "tests marked gpu",
        ("-m", "pytest", "-q", "-n0", "-m", "gpu", *GPU_TESTS),
        110,
        lambda _: [],
        has_json=False,
    ),
    sam("vit_b", 90, "--images", "4"),
    sam("vit_h", 150, "--images", "2"),
    Part("a GPU that is too small", script("gpu_memory.py"), 50, memory_rows),
    Part(
        "extraction",
        script(
            "extract.py", "--device", "cuda", "--precision", "bfloat16", "--batch-size", "256", "--repeats", "2"
        ),
        60,
        extraction_rows,
    ),
    Part("training", script("sam_mil_step.py", "--device", "cuda"), 30, training_rows),
    sam("vit_b", 35, "--crop-layers", "0", "--points-per-batch", "16"),
    sam("vit_b", 35, "--crop-layers", "0", "--points-per-batch", "64"),
    sam("vit_b", 35, "--crop-layers", "0", "--points-per-batch", "256"),
)


def run_part(part: Part, seconds: float) -> dict:
    """Run one part; its figures, or what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        figures, said = Path(folder) / "figures.json", Path(folder) / "said.txt"
        command = [sys.executable, *part.command, *(["--json", str(figures)] if part.has_json else [])]
        begun = time.monotonic()
        with said.open("w") as stream:
            # A session of its own, so that the processes that it starts end with it.
            process = subprocess.Popen(
                command, cwd=HERE.parent, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return {"part": part.name, "state": f"not finished in {seconds:.0f} s", "rows": []}
        text = said.read_text(errors="replace").strip()
        result = {"part": part.name, "state": "done", "seconds": time.monotonic() - begun, "rows": []}
        if code:
            return {**result, "state": f"failed ({code})", "said": text[-4000:]}
        if not part.has_json:
            return {**result, "said": text.rpartition("\n")[2]}
        found = json.loads(figures.read_text())
        return {**result, "figures": found, "rows": part.rows(found)}


def run_all(parts: Sequence[Part], minutes: float) -> list[dict]:
    """Run the parts in turn; one for which no time is left is named."""
    end, results = time.monotonic() + 60 * minutes, []
    for part in parts:
        left = end - time.monotonic()
        if left < 5:
            results.append({"part": part.name, "state": "no time left", "rows": []})
            continue
        results.append(run_part(part, min(part.seconds, left)))
        print(f"{part.name}: {results[-1]['state']}, {results[-1].get('said', '')}".rstrip(", "), flush=True)
        for what, value in results[-1]["rows"]:
            print(f"    {what}: {value}", flush=True)
    return results


def table(results: Sequence[dict], gpu: str) -> str:
    """The table of the README."""
    lines = [f"{gpu}, `make gpu`:", "", "| what | |", "|---|---|"]
    for result in results:
        if not result["rows"]:
            said, *_ = f"{result['state']} {result.get('said', '')}".strip().split("\n")
            lines.append(f"| {result['part']} | {said} |")
        lines += [f"| {what} | {value} |" for what, value in result["rows"]]
    return "\n".join(lines) + "\n"


def write_table(text: str, readme: Path) -> None:
    """Put the table between its marks."""
    page = readme.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    readme.write_text(f"{before}{MARKS[0]}{text}{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/gpu.json"))
    parser.add_argument("--readme", type=Path, default=HERE / "README.md")
    parser.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    from sam_mil_engine.devices import describe

    gpu = describe(device_named("cuda"))
    print(gpu)
    results = run_all(PARTS, args.minutes)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps({"gpu": gpu, **machine(), "parts": results}, indent=2) + "\n")
    write_table(table(results, gpu), args.readme)
    print(f"figures: {args.output}; table: {args.readme}")
    if any(result["state"] != "done" for result in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
