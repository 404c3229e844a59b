"""``sam-mil-engine models``."""

from __future__ import annotations

from dataclasses import asdict

from .console import print_json, print_line, print_table
from .options import Json


def command(json: Json = False) -> None:
    """List segmenters, encoders and classifiers: what each is, its licence, and whether it is on this machine.

    Example:  sam-mil-engine models
    """
    from ..features.registry import available_encoders
    from ..model_files import models_folder
    from ..segment.registry import available_segmenters
    from ..train.checkpoint import available_classifiers

    found = {
        "segmenters": [asdict(item) for item in available_segmenters()],
        "encoders": [asdict(item) for item in available_encoders()],
        "classifiers": [asdict(item) for item in available_classifiers()],
    }
    if json:
        print_json({"folder": str(models_folder()), **found})
        return
    for title, rows in found.items():
        print_table(
            [
                {
                    "name": row["name"],
                    "here": "yes" if row["on_disk"] else "no",
                    "licence": row["licence"],
                    "what": row["what"],
                }
                for row in rows
            ],
            title=title.capitalize(),
        )
        print_line("")
    print_line(f"Weight files that you fetch yourself go into {models_folder()}")
