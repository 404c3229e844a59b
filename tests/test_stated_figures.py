"""Figures in the README and in the results: each stands in a page that its row links to."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from documents import ROOT

#: Rows without a page behind them: their figures are printed or asserted where the name says.
MEASURED_ELSEWHERE = {
    "`sam-mil-engine demo`, generated slides": "the demo prints them",
    "tissue against the published mask of a real colon slide": "tests/engine/slide/test_tissue.py",
    "tissue of one real colon slide": "tests/engine/slide/test_tissue.py",
}
_LINK = re.compile(r"\]\(([^)#]+\.md)(?:#[^)]*)?\)")
_FIGURE = re.compile(r"(?<![\d.])\d\.\d{3}(?!\d)")
_LONG_FIGURE = re.compile(r"(?<![\d.])\d\.\d{3,}")


def rows() -> Iterator[tuple[str, str]]:
    """Page and row of every table row with figures of three decimals that names no other place for them."""
    for page in ("README.md", "docs/results.md"):
        for row in (ROOT / page).read_text(encoding="utf-8").splitlines():
            elsewhere = any(row.startswith(f"| {start}") for start in MEASURED_ELSEWHERE)
            if row.startswith("|") and _FIGURE.search(row) and not elsewhere:
                yield page, row


@pytest.mark.parametrize(("page", "row"), list(rows()), ids=lambda value: value[:40])
def test_every_figure_stands_in_a_page_that_its_row_links_to(page: str, row: str) -> None:
    folder = (ROOT / page).parent
    linked = " ".join((folder / link).read_text(encoding="utf-8") for link in _LINK.findall(row))
    known = {f"{float(figure):.3f}" for figure in _LONG_FIGURE.findall(linked)}
    assert [figure for figure in _FIGURE.findall(row) if figure not in known] == []


def test_the_rows_are_found() -> None:
    assert len(list(rows())) > 20
