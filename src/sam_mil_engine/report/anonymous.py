"""A report that names no patient: slides by numbers, without paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from .content import Cell, ReportContent, SlideSection, Strip, Table
from .tables import anchor

#: What stands for a text that could not be shown.
LEFT_OUT = "left out of the anonymous report"
_TITLE = "Anonymous report"
_PATH = re.compile(r"[\\/]")


def anonymous(content: ReportContent) -> ReportContent:
    """Return the report with the names of slides and patients replaced by numbers, and without paths.

    Numbers are given in the order of the names, so that pages of the same slides have the same numbers. The name of
    the folder is left out too, and every sentence and setting that holds a path. Images are kept as they are: they
    show the slide itself, never its label.
    """
    numbers = _numbers(content)
    return replace(
        content,
        title=_TITLE,
        facts=_without_paths(content.facts, numbers),
        settings=_without_paths(content.settings, numbers),
        predictions=tuple(replace(row, slide_id=numbers[row.slide_id]) for row in content.predictions),
        strips=tuple(_strip(strip, numbers) for strip in content.strips),
        tables=tuple(_table(table, numbers) for table in content.tables),
        slides=tuple(_section(section, numbers) for section in content.slides),
        notes=_sentences(content.notes, numbers),
    )


def _numbers(content: ReportContent) -> dict[str, str]:
    """Return name -> what it is called instead."""
    names = {row.slide_id for row in content.predictions} | {one.slide_id for one in content.slides}
    names |= {patch.slide_id for strip in content.strips for patch in strip.patches}
    names |= {row[0].text for table in content.tables if _lists_slides(table) for row in table.rows}
    return {name: f"Slide {number}" for number, name in enumerate(sorted(names), start=1)}


def _lists_slides(table: Table) -> bool:
    return table.columns[0].name == "Slide"


def _text(text: str, numbers: Mapping[str, str]) -> str:
    """Return a text without names; all of it is left out where it holds a path."""
    if _PATH.search(text):
        return LEFT_OUT
    for name in sorted(numbers, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", numbers[name], text)
    return text


def _sentences(texts: Iterable[str], numbers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_text(text, numbers) for text in texts))


def _without_paths(pairs: Iterable[tuple[str, str]], numbers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(value, numbers)) for name, value in pairs)


def _strip(strip: Strip, numbers: Mapping[str, str]) -> Strip:
    return replace(strip, patches=tuple(replace(one, slide_id=numbers[one.slide_id]) for one in strip.patches))


def _table(table: Table, numbers: Mapping[str, str]) -> Table:
    rows = tuple(tuple(_cell(cell, numbers) for cell in row) for row in table.rows)
    return replace(table, rows=rows, note=_text(table.note, numbers))


def _cell(cell: Cell, numbers: Mapping[str, str]) -> Cell:
    name = numbers.get(cell.text)
    if name is not None:
        return replace(cell, text=name, sort=name, link=anchor(name) if cell.link else "")
    return replace(
        cell,
        text=_text(cell.text, numbers),
        sort=_text(cell.sort, numbers) if isinstance(cell.sort, str) else cell.sort,
    )


def _section(section: SlideSection, numbers: Mapping[str, str]) -> SlideSection:
    return replace(
        section,
        slide_id=numbers[section.slide_id],
        notes=_sentences(section.notes, numbers),
        comparison=_without_paths(section.comparison, numbers),
    )
