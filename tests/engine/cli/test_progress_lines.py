"""Progress of many slides at once: lines in a log, bars on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sam_mil_engine.cli import console
from sam_mil_engine.cli.progress_lines import LOG_EVERY, ProgressLines
from sam_mil_engine.progress import Progress, notice


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_names_the_slides_that_are_worked_on_now_and_then() -> None:
    clock, lines = Clock(), list[str]()
    show = ProgressLines(lines.append, clock)
    show(Progress("cluster", 0, 6, "slides"))
    for number in range(6):
        show(Progress("process", 3, 5, "stages", "features", slide=f"s{number}"))
        show(Progress("features", 0, 100, "tiles", slide=f"s{number}"))
    clock.now = LOG_EVERY
    show(Progress("features", 20, 100, "tiles", slide="s0"))
    show(Progress("features", 30, 100, "tiles", slide="s1"))
    assert lines == [
        "now: s0 features 20/100 tiles, about 40 s left; s1 features 0/100 tiles; s2 features 0/100 tiles;"
        " s3 features 0/100 tiles; and 2 more"
    ]
    clock.now = 2 * LOG_EVERY
    for number in range(5):
        show(Progress("process", 5, 5, "stages", "done", slide=f"s{number}"))
    show(Progress("process", 4, 5, "stages", "groups", slide="s5"))
    assert lines[1:] == ["now: s5 groups"]
    show(Progress("cluster", 3, 6, "slides"))
    show(Progress("cluster", 6, 6, "slides"))
    assert lines[2:] == ["cluster: 3/6 slides in 20.0 s, about 20 s left", "cluster: 6/6 slides in 20.0 s"]


def test_one_slide_has_a_line_a_stage() -> None:
    clock, lines = Clock(), list[str]()
    show = ProgressLines(lines.append, clock)
    show(Progress("features", 0, 40, "tiles"))
    clock.now = 2.0
    show(Progress("features", 20, 40, "tiles"))
    assert not lines
    show(Progress("features", 40, 40, "tiles", "all of them"))
    assert lines == ["features: 40/40 tiles in 2.0 s all of them"]


def test_a_fact_is_told_at_once_in_a_log_and_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    show = ProgressLines(lines.append, Clock())
    show(notice("labels", "classes: a 1, b 2"))
    show(notice("labels", "[x] 3"))
    assert lines == ["labels: classes: a 1, b 2", "labels: [x] 3"]
    text = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=text, force_terminal=True, width=120, highlight=False))
    with console.progress() as draw:
        draw(notice("labels", "[x] 3"))
    assert "labels: [x] 3" in text.getvalue()


def test_a_terminal_has_one_bar_a_slide(monkeypatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(console, "err", terminal)
    drawn: list[list[str]] = []
    with console.progress() as show:
        bars = show.__closure__[0].cell_contents

        def tell(*reports: Progress) -> None:
            for report in reports:
                show(report)
            drawn.append([f"{task.description} {task.completed:.0f}/{task.total or 0:.0f}" for task in bars.tasks])

        tell(Progress("cluster", 0, 2, "slides"), Progress("process", 0, 5, "stages", "tissue", slide="s0"))
        tell(Progress("process", 3, 5, slide="s0", message="features"), Progress("features", 8, 40, slide="s0"))
        tell(Progress("features", 40, 40, slide="s0"), Progress("process", 1, 5, message="tiles", slide="s1"))
        tell(Progress("process", 5, 5, message="done", slide="s0"), Progress("cluster", 1, 2, "slides"))
        tell(Progress("process", 1, 1, message="done", slide="s0"))
    assert drawn == [
        ["cluster 0/2", "s0 tissue 0/0"],
        ["cluster 0/2", "s0 features 8/40"],
        ["cluster 0/2", "s0 features 40/40", "s1 tiles 0/0"],
        ["cluster 1/2", "s1 tiles 0/0"],
        ["cluster 1/2", "s1 tiles 0/0"],
    ]
