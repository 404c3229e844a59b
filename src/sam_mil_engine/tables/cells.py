"""What a cell means: missing values, formulas, names that are the same, and lists of names for messages."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

#: How spreadsheets, R, pandas and the portals of TCGA write that a value is missing (in small letters).
_MISSING = frozenset(
    {"", "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "nil"}
    | {"-", "--", "'--", ".", "?", "not available", "[not available]", "[not applicable]", "[unknown]"}
)
#: The last four are the wide signs of East Asian keyboards, which spreadsheets read as the plain ones.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PLAIN_NUMBER = re.compile(r"([+-]?)0*(\d+)(\.\d*)?")
#: Names of devices on Windows, where no file can be called so, whatever its ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
#: Bytes of a name; file systems allow 255, and endings follow.
_LONGEST_NAME = 200
_BETWEEN_WORDS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")


def nfc(text: str) -> str:
    """Return a name in the one Unicode form (NFC) in which names are compared.

    macOS and some archives write é as two signs, tables as one: the same name, other bytes.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_missing(text: str) -> bool:
    """Whether a cell says that its value is missing: empty, ``NA``, ``nan``, ``N/A``, ``null`` and so on."""
    return text.strip().lower() in _MISSING


def is_number(text: str) -> bool:
    """Whether a cell is a number with a decimal point."""
    return _NUMBER.fullmatch(text) is not None


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run the cell as a formula; numbers such as -1 are none."""
    return text.startswith(_FORMULA_STARTS) and not is_number(text)


def is_file_name(name: str) -> bool:
    """Whether a file of one folder can be called so, on every system.

    Not if the name is empty, hidden or too long, begins as a formula does, holds a folder, a drive or a control
    character, or is one that Windows refuses: a device (``CON``), or with a dot or a space at its end.
    """
    bad = not name or name.startswith((".", "=", "+", "-", "@")) or name.endswith((".", " "))
    bad = bad or any(sign in name for sign in '/\\:"<>|?*') or not name.isprintable()
    return not bad and _RESERVED.fullmatch(name) is None and len(name.encode()) <= _LONGEST_NAME


def quoted(text: str) -> str:
    """Put a quote before a cell that a spreadsheet would run as a formula."""
    return f"'{text}" if is_formula(text) else text


def unquoted(text: str) -> str:
    """Take off the quote that :func:`quoted` put there."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA_STARTS) else text


def near_duplicates(names: Iterable[str]) -> list[dict[str, int]]:
    """Return groups of names that differ only in case, white space, hyphens or the way a number is written.

    Returns
    -------
    For each group of two or more: name -> how often it occurs.
    """
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    for name, count in Counter(names).items():
        groups[_spelling(name)][name] = count
    return [group for group in groups.values() if len(group) > 1]


def _spelling(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).strip()
    number = _PLAIN_NUMBER.fullmatch(text)
    if number:
        sign = "-" if number[1] == "-" else ""
        return sign + number[2] + (number[3] or "").rstrip("0").rstrip(".")
    return _BETWEEN_WORDS.sub(" ", text).casefold()


def listing(names: Iterable[object], most: int = 10) -> str:
    """Join names for a message; of those after the first ``most`` only the number is given."""
    texts = [str(name) for name in names]
    shown = ", ".join(texts[:most])
    return shown if len(texts) <= most else f"{shown} and {len(texts) - most} more"
