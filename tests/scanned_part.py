"""A Leica SCN whose scan covers a part of the glass: OpenSlide states bounds, as it does for MIRAX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

#: Corner of the scan on the glass, in level-0 pixels.
CORNER = (1536, 1024)
_GLASS, _NM = 5120, 500

_XML = """<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
<collection name="c" sizeX="{glass}" sizeY="{glass}"><barcode>MQ==</barcode><image name="i">
<creationDate>2020-01-01T00:00:00Z</creationDate><device model="d" version="1"/>
<pixels sizeX="{width}" sizeY="{height}"><dimension sizeX="{width}" sizeY="{height}" r="0" ifd="0"/></pixels>
<view sizeX="{w_nm}" sizeY="{h_nm}" offsetX="{x_nm}" offsetY="{y_nm}" spacingZ="0"/>
<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>
<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource>
</illuminationSettings></scanSettings></image></collection></scn>"""


def write_scanned_part(path: Path, image: npt.NDArray[np.uint8]) -> Path:
    """Write an image (height, width, 3), 0.5 µm per pixel, at :data:`CORNER` of a glass of 5120 x 5120 px."""
    height, width = image.shape[:2]
    text = _XML.format(
        **{"glass": _GLASS * _NM, "width": width, "height": height, "w_nm": width * _NM, "h_nm": height * _NM},
        **{"x_nm": CORNER[0] * _NM, "y_nm": CORNER[1] * _NM},
    )
    tifffile.imwrite(
        path,
        image,
        tile=(128, 128),
        photometric="rgb",
        metadata=None,
        description=text,
        resolution=(20000, 20000),
        resolutionunit=3,
    )
    return path
