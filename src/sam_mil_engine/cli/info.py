"""``sam-mil-engine info``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import SlideError
from ..slide.info import SlideInfo
from .console import print_error, print_json, print_line
from .options import Json, slide_paths


def command(
    slides: Annotated[list[Path], typer.Argument(help="Slide files, or folders of them.", metavar="SLIDE...")],
    json: Json = False,
) -> None:
    """Describe each slide: vendor, size, levels, µm per pixel, power, and anything unusual about it.

    Ends with exit code 1 if a slide could not be opened.

    Examples:  sam-mil-engine info slide.svs  ·  sam-mil-engine info slides/ --json
    """
    from ..slide.reader import open_slide

    facts: list[dict[str, object]] = []
    failed = 0
    for path in slide_paths(slides):
        try:
            with open_slide(path) as slide:
                slide.read_region((0, 0), len(slide.info.level_sizes) - 1, (1, 1))
                facts.append(_facts(slide.info))
        except SlideError as error:
            failed += 1
            facts.append({"path": str(path), "error": error.what, "hint": error.hint})
            if not json:
                print_error(error)
            continue
        if not json:
            _print(slide.info)
    if json:
        print_json(facts)
    if failed:
        raise typer.Exit(1)


def _facts(info: SlideInfo) -> dict[str, object]:
    return {
        "path": str(info.path),
        "reader": info.reader,
        "vendor": info.vendor,
        "size_px0": info.size_px0,
        "level_sizes": info.level_sizes,
        "level_downsamples": info.level_downsamples,
        "mpp": info.mpp,
        "objective_power": info.objective_power,
        "icc_profile": info.icc_profile is not None,
        "bounds_px0": info.bounds_px0,
        "warnings": info.warnings,
    }


def _print(info: SlideInfo) -> None:
    mpp = "unknown" if info.mpp is None else f"{info.mpp[0]:.4g} x {info.mpp[1]:.4g}"
    power = "unknown" if info.objective_power is None else f"{info.objective_power:g}x"
    levels = "  ".join(
        f"{width} x {height} (1/{x:.4g})"
        for (width, height), (x, _) in zip(info.level_sizes, info.level_downsamples, strict=True)
    )
    print_line(f"{info.path}")
    print_line(f"  {info.vendor}, read by {info.reader}; {info.size_px0[0]} x {info.size_px0[1]} px")
    print_line(f"  levels: {levels}")
    print_line(f"  µm per pixel: {mpp}   objective: {power}   ICC profile: {'yes' if info.icc_profile else 'no'}")
    for warning in info.warnings:
        print_line(f"  note: {warning}")
