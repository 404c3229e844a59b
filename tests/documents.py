"""The commands that README and docs show, as a reader would type them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from typer.main import get_command

from sam_mil_engine.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = "sam-mil-engine"
#: Stands for what a line leaves out.
ELIDED = "..."
PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md", "training/*/*.md", "benchmarks/README.md", "examples/*.ipynb")


@dataclass(frozen=True)
class Shown:
    """A command of a page: in a block of code, or within a sentence."""

    page: str
    line: int
    words: tuple[str, ...]
    in_block: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {PROGRAM} {shlex.join(self.words)}"


def shown_commands() -> list[Shown]:
    """Every command of every page, in order."""
    paths = sorted({path for pattern in PAGES for path in ROOT.glob(pattern)})
    return [command for path in paths for command in commands_of(path)]


def commands_of(path: Path) -> list[Shown]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    found: list[Shown] = []
    for number, line, in_block in _lines(text):
        pieces = [line] if in_block else re.findall(r"`([^`]+)`", line)
        for piece in pieces:
            words = _words(piece)
            if words:
                found.append(Shown(path.relative_to(ROOT).as_posix(), number, words, in_block))
    return found


def _lines(text: str) -> list[tuple[int, str, bool]]:
    """(number, line, whether it is code); lines that end in a backslash are one with the next."""
    lines: list[tuple[int, str, bool]] = []
    fenced, begun = False, None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if begun is not None:
            number, line = begun[0], f"{begun[1]} {line.strip()}"  # noqa: PLW2901  (one line with the last)
        begun = (number, line[:-1].rstrip()) if line.endswith("\\") else None
        if begun is None:
            lines.append((number, line, fenced or line.startswith("    ")))
    return lines


def _words(text: str) -> tuple[str, ...]:
    """What follows the program's name; empty where the text does not call it."""
    text = re.sub(r"\$\([^)]*\)", "VALUE", text)
    if not re.search(rf"(?:^|[\s;&]){PROGRAM} [a-z]", text):
        return ()
    words = shlex.split(text.split(" && ")[-1], comments=True)
    return tuple(words[words.index(PROGRAM) + 1 :]) if PROGRAM in words else ()


def parse(words: tuple[str, ...], *, elided: bool = False) -> None:
    """Let the real command line read them, and run nothing; raises its usage errors.

    Where something is left out, what must be given is not asked for.
    """
    group = get_command(app)
    with group.make_context(PROGRAM, [words[0]], resilient_parsing=True) as context:
        command = group.get_command(context, words[0])
        assert command is not None, f"there is no command {words[0]!r}"
        rest = [word for word in words[1:] if word != ELIDED]
        if elided or ELIDED in words:
            inner = command.context_class(command, info_name=words[0], parent=context)
            inner.resilient_parsing = False
            command.make_parser(inner).parse_args(rest)
        else:
            command.make_context(words[0], rest, parent=context)
