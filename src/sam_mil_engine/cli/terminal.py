"""Terminals that are not UTF-8 (cp932, gbk, latin-1, ASCII): characters they lack are replaced by plain ones."""

from __future__ import annotations

import codecs
import sys

_HANDLER = "sam-mil-plain"
#: Characters in messages that many terminals lack, and their replacements.
_PLAIN = {
    "µ": "u",
    "μ": "u",
    "²": "2",
    "×": "x",
    "·": "-",
    "±": "+/-",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "“": '"',
    "”": '"',
    "’": "'",
}


def write_in_any_encoding() -> None:
    """Prevent characters that the terminal lacks from ending a command with a traceback."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign, "?") for sign in part), error.end
