"""What CONTRIBUTING says that can be compared with the code: its sections, tables, walks and examples.

CONTRIBUTING is the one list of the files that tests name: a file that gets another name is changed there.
"""

from __future__ import annotations

import re
from pathlib import Path

from traces import SRC, Trace

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
#: What begins the list of files that a run passes and a reader need not follow.
BESIDE = "Beside the way:"


def section(heading: str) -> str:
    """Text from a heading to the next one of the same or a higher level."""
    level = len(heading) - len(heading.lstrip("#"))
    start = TEXT.index(f"\n{heading}") + 1
    end = re.compile(rf"^#{{1,{level}}} ", re.MULTILINE).search(TEXT, start + len(heading))
    return TEXT[start : end.start() if end else len(TEXT)]


def table(text: str) -> list[list[str]]:
    """Rows of the only table in a text, without its head."""
    lines = [line.strip().strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in lines[2:]]


def code(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def examples() -> dict[str, str]:
    """Name of the file -> its text, of every Python example."""
    return dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", TEXT, flags=re.DOTALL))


class Walk:
    """A walk as CONTRIBUTING tells it: numbered steps, and what lies beside the way."""

    def __init__(self, text: str, package: str):
        steps, beside = text.split(BESIDE)
        steps = "\n".join(re.findall(r"^(?:\d+\. |   ).*$", steps, flags=re.MULTILINE))
        self._package = package
        self.steps = [
            (self._file(file), function) for file, function in re.findall(r"`([\w/]+\.py)`\s+`([\w.]+)`", steps)
        ]
        self.beside = tuple(self._file(name) for name in code(beside.split("\n\n")[0]))

    def _file(self, name: str) -> str:
        return name if (SRC / name).exists() else f"{self._package}/{name}"

    def check(self, trace: Trace) -> None:
        """Compare with a run: every step in its order, and no file of the package that is not named."""
        missing = [step for step in self.steps if step not in trace.functions]
        assert not missing, f"CONTRIBUTING names what the run does not enter: {missing}"
        steps = list(dict.fromkeys(self.steps))
        order = sorted(steps, key=trace.functions.index)
        assert steps == order, f"the run enters them in another order: {order}"
        named = {file for file, _ in self.steps}
        entered = trace.files_below(self._package, begun_in=named)
        unknown = [file for file in entered if file not in named and not file.startswith(self.beside)]
        assert not unknown, f"CONTRIBUTING does not name {unknown}"
        stale = [name for name in self.beside if not any(file.startswith(name) for file in entered)]
        assert not stale, f"CONTRIBUTING names what the run does not pass: {stale}"
