"""Which slide file belongs to which features, by name."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from ..bag.foreign import SlideFiles
from ..slide.finding import require_own_names, slides_in
from ..slide.info import slide_id_of
from ..tables.cells import nfc


def slides_by_name(folder: Path, wanted: Sequence[SlideFiles]) -> dict[str, Path]:
    """Return name of the features -> slide file, for the slides below ``folder``; warn of features without a slide.

    The features of ``x.ome.tif`` may be called ``x`` or, as CLAM, TRIDENT and STAMP cut one extension, ``x.ome``.

    Raises
    ------
    DataError
        If two slides fit the same features.
    """
    names = {item.slide_id for item in wanted}
    fitting: list[tuple[str, Path]] = []
    for path in slides_in(folder):
        fits = [name for name in dict.fromkeys((nfc(slide_id_of(path)), nfc(path.stem))) if name in names]
        fitting += [(name, path) for name in fits]
    require_own_names(fitting)
    missing = sorted(names - {name for name, _ in fitting})
    if missing:
        named = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        warnings.warn(f"{len(missing)} of {len(names)} have no slide below {folder}: {named}", stacklevel=2)
    return dict(fitting)
