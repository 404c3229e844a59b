"""Reading what spoils a slide from its bag."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...geometry import Frame
from ...slide.artefact_map import ArtefactMap, count_kinds
from .layout import plain
from .reading import open_bag


@dataclass(frozen=True, slots=True)
class StoredArtefacts:
    """Artefacts of a slide as its bag holds them.

    Attributes
    ----------
    map
        Where they are.
    patches, dropped
        Kind -> spoilt patches of the bag, and those that were left out.
    """

    map: ArtefactMap
    patches: dict[str, int]
    dropped: dict[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """Kind -> all spoilt patches, also those that were left out."""
        names = dict.fromkeys([*self.patches, *self.dropped])
        return {name: self.patches.get(name, 0) + self.dropped.get(name, 0) for name in names}

    @property
    def warning(self) -> str | None:
        """What to tell the user; None where no patch is spoilt."""
        found = self.counts
        if not found:
            return None
        kinds = ", ".join(f"{count} {name}" for name, count in found.items())
        spoilt, gone = sum(found.values()), sum(self.dropped.values())
        left_out = f"; {gone} {'is' if gone == 1 else 'are'} left out" if gone else ""
        return f"artefacts spoil {spoilt} {'patch' if spoilt == 1 else 'patches'} ({kinds}){left_out}"


def read_artefacts(path: Path) -> StoredArtefacts | None:
    """Return the artefacts of a bag, or None where nobody looked for them.

    Raises
    ------
    BagError
        If the file is missing or damaged.
    """
    with open_bag(path) as file:
        if "artefacts" not in file:
            return None
        group = file["artefacts"]
        attrs, said = plain(group["kinds"].attrs), plain(group["of_patch"].attrs)
        return StoredArtefacts(
            map=ArtefactMap(group["kinds"][:], Frame(tuple(attrs["origin_px0"]), tuple(attrs["downsample"]))),
            patches=count_kinds(group["of_patch"][:]),
            dropped={str(name): int(count) for name, count in json.loads(said.get("dropped", "{}")).items()},
        )
