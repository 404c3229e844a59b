"""``sam-mil-engine demo``."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..settings import DemoSettings
from .console import err, print_line, print_table, progress
from .options import Device, Quiet

if TYPE_CHECKING:
    from ..demo import DemoResult

_demo = DemoSettings()


def command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Output folder.", metavar="DIR")] = Path(
        "sam-mil-demo"
    ),
    slides: Annotated[int, typer.Option(help="Generated slides.", min=8)] = _demo.slides,
    seed: Annotated[int, typer.Option(help="Seed of the generated slides.")] = _demo.seed,
    window: Annotated[
        bool, typer.Option("--window/--no-window", help="Open napari, or draw its window off-screen.")
    ] = True,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Run the complete workflow on generated slides: process, train on slide labels, predict, compare, report.

    Opens napari with one slide if there is a display; otherwise saves the same window as an image.

    Example:  sam-mil-engine demo -o demo
    """
    from ..demo import run_demo

    settings = DemoSettings.of(slides=slides, seed=seed)
    with progress(quiet=quiet) as report:
        result = run_demo(output, settings=settings, device=device, progress=report)
    _print(result)
    if window and result.example is not None:
        _open_window(result.example, result)


def _print(result: DemoResult) -> None:
    print_table(
        [{"metric": name, "value": value} for name, value in result.metrics.items()],
        title=f"SAM-MIL on {result.test_slides} unseen generated slides",
    )
    print_line("")
    shown = ("slide_id", "segments", "best_iou", "cover_segments", "cover_iou", "attention_auc", "probability_auc")
    print_table(
        [{name: row[name] for name in shown} for row in result.comparisons],
        title="Segments and patches against the true tumour outlines (the model never saw them)",
    )
    print_line("")
    print_line(f"patch-level AUC of tumour probability, mean over slides: {result.mean_patch_auc:.3f}")
    print_line(f"seconds: {', '.join(f'{step} {seconds:.0f}' for step, seconds in result.seconds.items())}")
    print_line(f"report: {result.report}")
    if result.sample is not None:
        print_line(f"public sample slide: {result.sample}")
    elif result.sample_note:
        err.print(result.sample_note, markup=False)


def _open_window(slide: Path, result: DemoResult) -> None:
    """Show the result in napari, in a process of its own: the engine itself never loads a window."""
    if find_spec("napari") is None:
        print_line("napari is not installed; to view the slides: pip install 'napari-sam-mil[gui]'")
        return
    window_image = result.folder / "window.png"
    arguments = [sys.executable, "-m", "napari_sam_mil.showcase", str(slide)]
    arguments += ["--project", str(result.project), "--model", str(result.run), "--picture", str(window_image)]
    shown = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or sys.platform in {
        "win32",
        "darwin",
    }
    if subprocess.run([*arguments, "--show"] if shown else arguments, check=False).returncode:
        err.print("The window could not be drawn; see the lines above and `sam-mil-engine doctor`", style="red")
        raise typer.Exit(1)
    print_line(f"window: {window_image}")
