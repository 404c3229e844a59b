"""What a cell means: missing, a formula, the same name in another spelling."""

from __future__ import annotations

import unicodedata

import pytest

from sam_mil_engine.tables.cells import is_formula, is_missing, listing, near_duplicates, nfc, quoted, unquoted


@pytest.mark.parametrize(
    "cell", ["", " ", "NA", "na", "N/A", "nan", "NaN", "null", "NULL", "None", "#N/A", "<NA>", "'--"]
)
def test_what_programs_write_for_a_missing_value(cell: str) -> None:
    assert is_missing(cell)


@pytest.mark.parametrize("cell", ["0", "-1", "nano", "nation", "normal", "N", "no", "unknown"])
def test_what_is_a_value(cell: str) -> None:
    assert not is_missing(cell)


@pytest.mark.parametrize(
    "pair",
    [
        ("Tumor", "tumor"),
        ("non tumor", "non-tumor"),
        ("a  b", "A b"),
        ("1", "1.0"),
        ("07", "7"),
        ("Ｔumor", "tumor"),
    ],
)
def test_names_that_differ_only_in_spelling(pair: tuple[str, str]) -> None:
    assert near_duplicates([*pair, "other", pair[0]]) == [{pair[0]: 2, pair[1]: 1}]


@pytest.mark.parametrize(
    "pair", [("1", "-1"), ("HER2+", "HER2-"), ("a", "b"), ("1.5", "15"), ("stage 1", "stage 11")]
)
def test_names_that_are_different(pair: tuple[str, str]) -> None:
    assert near_duplicates(pair) == []


def test_formulas_are_quoted_and_come_back() -> None:
    for cell in ("=1+1", "@x", "-cmd", "+1-800", "\tx"):
        assert is_formula(cell)
        assert quoted(cell) == f"'{cell}"
        assert unquoted(quoted(cell)) == cell
    for cell in ("-1", "+0.5", "-1e-3", "a=b", "'quoted'", ""):
        assert quoted(cell) == cell
        assert unquoted(cell) == cell


def test_one_unicode_form() -> None:
    for form in ("NFC", "NFD"):
        assert nfc(unicodedata.normalize(form, "Müller")) == "M\u00fcller"


def test_a_long_list_is_cut() -> None:
    assert listing(["a", 1]) == "a, 1"
    assert listing(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
