"""How texts are written in the window."""

from __future__ import annotations


def sentence_case(text: str) -> str:
    """Return a text whose first letter is large; the others stay as they are."""
    return text[:1].upper() + text[1:]
