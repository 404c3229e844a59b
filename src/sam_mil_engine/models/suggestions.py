"""Names that a person may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

#: Names that are suggested at most.
_MOST = 5


def suggestion(name: str, known: Iterable[str]) -> str:
    """Ask whether the known names nearest to one that does not exist are meant; empty where none is near.

    Case does not count. Names that begin as it does come first: ``kaiko`` means one of ``kaiko-vits16``,
    ``kaiko-vitb8`` and so on. A space follows, as this stands before other advice.
    """
    by_plain = {one.casefold(): one for one in known}
    wanted = name.casefold()
    found = [one for one in by_plain if wanted and one.startswith(wanted)]
    found += [one for one in get_close_matches(wanted, by_plain, n=3) if one not in found]
    near = ", ".join(by_plain[one] for one in found[:_MOST])
    return f"Did you mean {near}? " if near else ""
