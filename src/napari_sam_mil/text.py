"""Text for the window."""

from __future__ import annotations


def sentence_case(text: str) -> str:
    """Capitalise the first letter of a text and leave the others as they are."""
    return text[:1].upper() + text[1:]
