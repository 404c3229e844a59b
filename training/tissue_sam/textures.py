"""Real tissue as stain amounts: what the drawn images borrow their texture from.

Only images whose licence allows a derived model: LC25000 (its training groups) and the upper half of
CMU-1-Small-Region.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).parents[1] / "colon_classifier"))
from tiles import CLASSES, divide, read_rgb, separate

Amounts = npt.NDArray[np.float32]
#: Side of the squares cut from CMU-1-Small-Region, and the share of one that must be tissue.
_CUT, _TISSUE = 300, 0.7
_SEED = 7


@dataclass(frozen=True, slots=True)
class Textures:
    """Squares of tissue as amounts of haematoxylin and eosin (side, side, 2), and as pictures.

    Attributes
    ----------
    tumour, skin
        Amounts. Tiles of normal colon are not among them: their crypts would be glands that no truth knows.
    images
        RGB uint8 of all, normal colon too: what the teacher divides.
    """

    tumour: list[Amounts]
    skin: list[Amounts]
    pictures: list[npt.NDArray[np.uint8]]

    def field(self, rng: np.random.Generator, side: int, *, stroma: bool = False) -> Amounts:
        """One texture at a random zoom, mirrored until it covers (side, side, 2)."""
        tiles = self.skin if stroma else self.tumour
        tile = tiles[int(rng.integers(len(tiles)))]
        zoom = float(np.exp(rng.uniform(np.log(0.35), np.log(2.2))))
        tile = cv2.resize(
            tile, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
        )
        tile = np.rot90(tile, int(rng.integers(4)))
        repeats = -(-side // min(tile.shape[:2])) + 1
        rows = np.concatenate([tile if n % 2 else tile[::-1] for n in range(repeats)])
        both = np.concatenate([rows if n % 2 else rows[:, ::-1] for n in range(repeats)], axis=1)
        top, left = (int(rng.integers(length - side + 1)) for length in both.shape[:2])
        return both[top : top + side, left : left + side]


def load_textures(data: Path, *, part: str, most: int | None = None) -> Textures:
    """Tiles of one part of LC25000 (``train``, ``val``) and of a half of the skin slide (the lower for ``val``)."""
    table = divide(data / "lc25000_colon", seed=_SEED)
    table = table[table["part"] == part].sample(frac=1, random_state=_SEED)
    colon = {
        label: [read_rgb(path) for path in table.loc[table["label"] == label, "path"].head(most or len(table))]
        for label in CLASSES
    }
    skin = _skin(data / "slides" / "aperio" / "CMU-1-Small-Region.svs", lower=part != "train")[:most]
    tumour, dermis = ([separate(picture).density for picture in some] for some in (colon["tumour"], skin))
    return Textures(tumour, dermis, [*colon["normal"], *colon["tumour"], *skin])


def _skin(path: Path, *, lower: bool) -> list[npt.NDArray[np.uint8]]:
    from sam_mil_engine import open_slide

    with open_slide(path) as slide:
        width, height = slide.info.size_px0
        picture = slide.read_image(bounds_px0=(0, 0, width, height), downsample=1)[0]
    half = picture[height // 2 :] if lower else picture[: height // 2]
    found = []
    for top in range(0, half.shape[0] - _CUT + 1, _CUT // 2):
        for left in range(0, width - _CUT + 1, _CUT // 2):
            square = np.ascontiguousarray(half[top : top + _CUT, left : left + _CUT])
            if (square.min(axis=2) < 215).mean() > _TISSUE:
                found.append(square)
    return found
