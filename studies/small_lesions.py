"""Lesions of 5 to 20 px in the paper's image: what fine segments find, and what one image of the slide cannot.

    python studies/small_lesions.py PCAM_ZIP WORK

PCAM_ZIP is the archive of PatchCamelyon tiles (CC0). Slides of 15.5 x 11.6 mm are composed of them: two mosaics,
one of normal and one of tumour tiles, every tile brought to the mean colour of its class as on a slide of one
stain; lesions are smooth outlines in which the second shows through the first. The image of the whole slide has
eight pixels of the slide in one of its own. Writes the table to small_lesions.md.
"""

from __future__ import annotations

import argparse
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sam_mil_engine.files import atomic_write
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.settings import FORMER_PARTS, ProcessSettings, SegmentSettings
from sam_mil_engine.synthetic.noise import closed_curve
from sam_mil_engine.synthetic.pyramid import write_pyramid

SIZE, MPP, DOWNSAMPLE = (8000, 6000), 1.94, 8
#: Side of a tile of PatchCamelyon at this resolution.
SIDE = 48
#: Diameters in pixels of the image of the whole slide, and lesions of each on a slide.
DIAMETERS, EACH = (5, 10, 15, 20), 6
FORMER = {"superpixels": FORMER_PARTS[0], "cuts": FORMER_PARTS[1]}
WAYS: dict[str, SegmentSettings] = {
    "`regions`, one image, former cuts": SegmentSettings(segmenter="regions", **FORMER),
    "`stain-regions`, one image, former cuts": SegmentSettings(segmenter="stain-regions", **FORMER),
    "`stain-regions`, one image": SegmentSettings(segmenter="stain-regions"),
    "`stain-regions`, fine, 4 µm": SegmentSettings(segmenter="stain-regions", mpp=4.0),
    "`stain-regions`, fine, 2 µm": SegmentSettings(segmenter="stain-regions", mpp=2.0),
    "`stain-regions`, both, 2 µm": SegmentSettings(segmenter="stain-regions", mpp=2.0, both_scales=True),
}

Image = npt.NDArray[np.uint8]


def read_tiles(archive: Path, folder: str) -> Image:
    """(N, 48, 48, 3): the tiles of a folder of the archive, at half their size."""
    tiles = []
    with zipfile.ZipFile(archive) as members:
        for name in sorted(members.namelist()):
            if name.startswith(folder) and not name.endswith("/"):
                bgr = cv2.imdecode(np.frombuffer(members.read(name), dtype=np.uint8), cv2.IMREAD_COLOR)
                half = cv2.resize(bgr, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                tiles.append(cv2.cvtColor(half, cv2.COLOR_BGR2RGB))
    return np.stack(tiles)


def mosaic(tiles: Image, rng: np.random.Generator) -> Image:
    """Cover a slide with tiles, each brought to the mean colour of all."""
    side = SIDE
    lab = np.stack([cv2.cvtColor(tile, cv2.COLOR_RGB2LAB) for tile in tiles]).astype(np.float32)
    mean = lab.mean(axis=(1, 2), keepdims=True)
    lab = (lab - mean + mean.mean(axis=0)).clip(0, 255).astype(np.uint8)
    even = np.stack([cv2.cvtColor(tile, cv2.COLOR_LAB2RGB) for tile in lab])
    columns, rows = -(-SIZE[0] // side), -(-SIZE[1] // side)
    chosen = even[rng.integers(len(even), size=(rows, columns))]
    return np.ascontiguousarray(chosen.swapaxes(1, 2).reshape(rows * side, columns * side, 3)[: SIZE[1], : SIZE[0]])


def compose(path: Path, normal: Image, tumour: Image, seed: int) -> list[tuple[int, npt.NDArray[np.int64]]]:
    """Write a slide; return for every lesion its diameter in the image and its pixels (n, 2) as x, y."""
    rng = np.random.default_rng(seed)
    canvas, inside = mosaic(normal, rng), mosaic(tumour, rng)
    cells = [(column, row) for row in range(4) for column in range(6)]
    rng.shuffle(cells)
    lesions = []
    for number, cell in enumerate(cells[: len(DIAMETERS) * EACH]):
        diameter = DIAMETERS[number % len(DIAMETERS)]
        centre = [
            (place + 0.5 + rng.uniform(-0.25, 0.25)) * side / count
            for place, side, count in zip(cell, SIZE, (6, 4), strict=True)
        ]
        radius = diameter * DOWNSAMPLE / 2
        curve = closed_curve(rng, (centre[0], centre[1]), (radius * 1.15, radius / 1.15), wobble=0.12)
        mask = np.zeros((SIZE[1], SIZE[0]), dtype=np.uint8)
        cv2.fillPoly(mask, [curve.round().astype(np.int32)], 1)
        rows, columns = np.nonzero(mask)
        lesions.append((diameter, np.stack([columns, rows], axis=1)))
    for _, pixels in lesions:
        canvas[pixels[:, 1], pixels[:, 0]] = inside[pixels[:, 1], pixels[:, 0]]
    write_pyramid(
        path, canvas, mpp=MPP, description="composed of PatchCamelyon tiles, not a real slide", quality=90
    )
    return lesions


def best_iou(segments: Segments, lesion: npt.NDArray[np.int64]) -> float:
    """Return the highest IoU of any segment with a lesion, in pixels of the slide."""
    places = np.floor(segments.frame.from_px0(lesion + 0.5)).astype(np.int64)
    area = segments.frame.area_to_px0(segments.area)
    x, y, width, height = segments.boxes_raster.T
    low, high = places.min(axis=0), places.max(axis=0)
    near = (x <= high[0]) & (x + width > low[0]) & (y <= high[1]) & (y + height > low[1])
    best = 0.0
    for number in np.flatnonzero(near).tolist():
        at = places - segments.boxes_raster[number, :2]
        within = ((at >= 0) & (at < segments.boxes_raster[number, 2:])).all(axis=1)
        crop = segments.crops[number]
        common = int(crop[at[within, 1], at[within, 0]].sum())
        best = max(best, common / (len(lesion) + float(area[number]) - common))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--slides", type=int, default=3)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    normal, tumour = (read_tiles(arguments.archive, folder) for folder in ("test/0/", "test/1/"))
    found: dict[str, list[tuple[int, float]]] = {way: [] for way in WAYS}
    counts: dict[str, list[tuple[int, float]]] = {way: [] for way in WAYS}
    for seed in range(arguments.slides):
        slide = arguments.work / f"small-lesions-{seed}.tiff"
        lesions = compose(slide, normal, tumour, seed)
        for number, (way, settings) in enumerate(WAYS.items()):
            start = time.process_time()
            process = ProcessSettings(preset="tcga", segments=settings)
            folder = arguments.work / f"way-{number}"
            segments = process_slide(slide, folder, settings=process, stages=("tissue", "segments")).segments
            counts[way].append((len(segments), time.process_time() - start))
            found[way] += [(diameter, best_iou(segments, pixels)) for diameter, pixels in lesions]
            print(slide.name, way, counts[way][-1], flush=True)
    write_table(found, counts, arguments.slides)


def write_table(
    found: dict[str, list[tuple[int, float]]], counts: dict[str, list[tuple[int, float]]], slides: int
) -> None:
    lines = [
        "# Small lesions",
        "",
        f"{slides} slide{'' if slides == 1 else 's'} composed of PatchCamelyon tiles, {SIZE[0] * MPP / 1000:.1f} x"
        f" {SIZE[1] * MPP / 1000:.1f} mm, all tissue; {EACH * slides} lesions of each size. Diameters are pixels of"
        f" the image of the whole slide, of {MPP * DOWNSAMPLE:.1f} µm. Mean IoU of the best segment, and"
        " in brackets the share of lesions with at least 0.5. Composed slides are easier than real ones in"
        " colour and harder in"
        " texture: what they show is scale. Made by `studies/small_lesions.py`.",
        "",
        "| segments | number | CPU s | " + " | ".join(f"{diameter} px" for diameter in DIAMETERS) + " |",
        "|---" * (3 + len(DIAMETERS)) + "|",
    ]
    for way, rows in found.items():
        cells = []
        for diameter in DIAMETERS:
            values = np.array([iou for one, iou in rows if one == diameter])
            cells.append(f"{values.mean():.2f} ({(values >= 0.5).mean():.0%})")
        number, seconds = np.mean(counts[way], axis=0)
        lines.append(f"| {way} | {number:.0f} | {seconds:.0f} | {' | '.join(cells)} |")
    lines += [
        "",
        "At 2 µm a superpixel is about 70 µm wide: a lesion of 5 px, 78 µm, needs a finer resolution still.",
    ]
    atomic_write(Path(__file__).with_suffix(".md"), "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
