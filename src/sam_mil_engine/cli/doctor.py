"""``sam-mil-engine doctor``."""

from __future__ import annotations

import typer

from .console import print_json, print_line
from .options import Json


def command(json: Json = False) -> None:
    """Check versions, devices, codecs, display, write access and models, and say what to do about each.

    Ends with exit code 1 if the engine cannot work as it is.

    Example:  sam-mil-engine doctor
    """
    from ..doctor import examine

    findings = examine()
    if json:
        print_json([{"name": f.name, "state": f.state, "found": f.found, "advice": f.advice} for f in findings])
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            mark = {"good": "ok     ", "note": "note   ", "bad": "MISSING"}[finding.state]
            print_line(f"{mark}  {finding.name:<{width}}  {finding.found}")
            if finding.advice:
                print_line(f"{'':<{width + 11}}{finding.advice}")
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)
