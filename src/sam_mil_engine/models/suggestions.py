"""Names that a person may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def near_names(name: str, known: Iterable[str], *, most: int = 5) -> list[str]:
    """Return the known names nearest to one that does not exist; case does not count.

    Names that begin as it does come first: ``kaiko`` means one of ``kaiko-vits16``, ``kaiko-vitb8`` and so on.
    """
    by_plain = {one.casefold(): one for one in known}
    wanted = name.casefold()
    found = [one for one in by_plain if wanted and one.startswith(wanted)]
    found += [one for one in get_close_matches(wanted, by_plain, n=3) if one not in found]
    return [by_plain[one] for one in found[:most]]
