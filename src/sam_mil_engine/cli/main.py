"""The command ``sam-mil-engine``: finds the module of a command only when the command is run.

Listing the commands loads none of them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

#: Command -> what it does in one line. The module ``cli/NAME.py`` holds the function ``command``.
COMMANDS: dict[str, str] = {
    "info": "What a slide file contains, and what of it cannot be read.",
    "process": "Slides to bags: tissue, patches, segments, features, groups.",
    "import": "Features of CLAM, TRIDENT, SAM-MIL or STAMP to bags.",
    "group": "SAM groups for existing features.",
    "export": "Bags for CLAM, TRIDENT, SAM-MIL or QuPath.",
    "train": "Train a classifier on bags with slide labels alone.",
    "cross-validate": "Train and compare models on the same folds.",
    "evaluate": "Metrics of a trained run on other data.",
    "compare-models": "Differences between runs on the same folds, with tests.",
    "predict": "Tumour probability of slides or bags, and its evidence.",
    "compare-groups": "Segments against an annotation: purity, recall, overlap.",
    "report": "One HTML page of a project, a run or a prediction.",
    "models": "Models: list, get, verify, add, remove.",
    "settings": "Every setting: name, default, unit and meaning.",
    "doctor": "What is installed, what is missing, and what to do.",
    "demo": "The complete workflow on generated slides, in a few minutes.",
}

#: Commands whose own name cannot be a module's.
_MODULES = {"import": "import_features"}

EPILOG = "Research use only; not for diagnosis."


class LazyGroup(TyperGroup):
    """A group of commands that are imported one by one, when asked for."""

    _listing = False

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """Return the command; while the list is printed, only its name and summary."""
        if cmd_name not in COMMANDS:
            return None
        if self._listing:
            return TyperCommand(name=cmd_name, help=COMMANDS[cmd_name])
        module = import_module(f"sam_mil_engine.cli.{_MODULES.get(cmd_name, cmd_name.replace('-', '_'))}")
        app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
        app.command(name=cmd_name, epilog=EPILOG)(module.command)
        return typer.main.get_command(app)

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Print the list of commands without loading them."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: rich alone would take longer to load than everything else
    epilog=EPILOG,
    help="SAM-MIL for whole-slide images: from slides and slide labels to tumour probability and its evidence.",
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    offline: bool = typer.Option(False, "--offline", help="Download nothing: use only what is on this machine."),
) -> None:
    if offline:  # before anything that reads them is imported
        os.environ.update(SAM_MIL_OFFLINE="1", HF_HUB_OFFLINE="1")
    if version:
        from .. import __version__

        typer.echo(__version__)
        raise typer.Exit


_with_the_place_in_the_code = warnings.formatwarning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Leave out the place in the code where a warning is meant for the user."""
    if category is UserWarning:
        return f"warning: {message}\n"
    return _with_the_place_in_the_code(message, category, filename, lineno, line)


def run() -> None:
    """Run the command line; every expected failure ends with one clear line and exit code 2."""
    from ..errors import SamMilError
    from .terminal import write_in_any_encoding

    write_in_any_encoding()
    warnings.formatwarning = _format_warning
    try:
        app()
    except SamMilError as error:
        from .console import print_error

        print_error(error)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("Stopped; finished results are saved.", err=True)
        sys.exit(130)
