"""Synthetic slides: real files, exact outlines, the same pixels for the same seed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import openslide
import pytest
import shapely

from sam_mil_engine.annotations import read_annotations, union_px0
from sam_mil_engine.errors import Cancelled, ProjectError, SettingsError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.progress import Progress
from sam_mil_engine.slide.place import SlidePlace
from sam_mil_engine.synthetic import SyntheticSlide, make_cohort, make_slide
from sam_mil_engine.synthetic.canvas import connective_tissue
from sam_mil_engine.synthetic.cells import _tumour_cells, populate
from sam_mil_engine.synthetic.layout import COARSE, plan
from sam_mil_engine.synthetic.noise import closed_curve

SMALL = (1536, 1200)


def pixels(path: Path, level: int = 0) -> np.ndarray:
    with openslide.OpenSlide(path) as slide:
        return np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSlide:
    folder = tmp_path_factory.mktemp("full")
    return make_slide(folder / "full.tiff", seed=3, tumour=True, annotations=folder / "full.geojson")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("cohort"), slides=7, seed=1, size_px0=SMALL)


def test_openslide_sees_all_levels_and_the_resolution(full: SyntheticSlide) -> None:
    with openslide.OpenSlide(full.path) as slide:
        assert slide.properties["openslide.vendor"] == "generic-tiff"
        assert slide.level_dimensions == ((4096, 3072), (2048, 1536), (1024, 768), (512, 384))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5, rel=1e-6)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.5, rel=1e-6)
        assert slide.properties["openslide.level[0].tile-width"] == "256"


def test_levels_show_the_same_image(full: SyntheticSlide) -> None:
    fine, coarse = pixels(full.path, 2).astype(float), pixels(full.path, 3).astype(float)
    halved = fine.reshape(384, 2, 512, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - coarse).mean() < 3


def test_background_is_nearly_white_and_tissue_is_pink_to_blue(full: SyntheticSlide) -> None:
    image = pixels(full.path, 2).astype(float)
    tissue = shapely.union_all(list(full.tissue_polygons))
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] * 4 + 2
    inside = shapely.contains_xy(tissue.buffer(-20), x, y)
    outside = ~shapely.contains_xy(tissue.buffer(20), x, y)
    assert 0.2 < inside.mean() < 0.9
    assert image[outside].mean() > 235
    assert image[outside].max(axis=1).mean() < 254
    red, green, blue = image[inside].mean(axis=0)
    assert red > green + 15
    assert blue > green + 15


def test_outlines_lie_in_the_tissue_and_in_the_slide(full: SyntheticSlide) -> None:
    tissue = shapely.union_all(list(full.tissue_polygons))
    frame = shapely.box(0, 0, *full.size_px0)
    assert full.tumour_polygons
    for island in full.tumour_polygons:
        assert island.is_valid
        assert tissue.contains(island)
        assert frame.contains(island)
    total = sum(island.area for island in full.tumour_polygons)
    assert full.tumour_fraction == pytest.approx(total / tissue.area)
    assert shapely.union_all(list(full.tumour_polygons)).area == pytest.approx(total)


def test_geojson_is_the_truth(full: SyntheticSlide) -> None:
    annotations = read_annotations(full.path.with_suffix(".geojson"), info=SlidePlace())
    assert {a.classification for a in annotations} == {"tumour"}
    assert shapely.equals(union_px0(annotations), shapely.union_all(list(full.tumour_polygons)))


@pytest.mark.parametrize("seed", range(4))
def test_every_share_of_tumour_is_modest_and_equals_its_mask(seed: int) -> None:
    layout = plan(np.random.default_rng(seed), size=(4096, 3072), mpp=0.5, tumour=True)
    area = sum(island.area for island in layout.tumour)
    tissue = sum(piece.area for piece in layout.tissue)
    assert 0.03 < area / tissue < 0.25
    assert layout.tumour_mask.sum() * COARSE**2 == pytest.approx(area, rel=0.02)
    assert layout.tissue_mask.sum() * COARSE**2 == pytest.approx(tissue, rel=0.01)
    assert not (layout.lymphoid_mask & layout.tumour_mask).any()
    tumour = shapely.union_all(list(layout.tumour))
    assert not any(tumour.intersects(shapely.Polygon(gland.outer)) for gland in layout.glands)
    assert layout.glands


def test_tumour_cells_lie_inside_the_outlines_only() -> None:
    """What the tumour's nuclei change on the canvas, they change inside the outlines."""
    layout = plan(np.random.default_rng(5), size=SMALL, mpp=0.5, tumour=True)
    rng = np.random.default_rng(6)
    canvas = connective_tissue(rng, layout)
    before = canvas.nuclei.copy()
    _tumour_cells(rng, canvas)
    rows, columns = np.nonzero(canvas.inner(canvas.nuclei) != canvas.inner(before))
    assert len(rows) > 1000
    # a nucleus may reach a few micrometres over the line, its centre may not
    grown = shapely.union_all(list(layout.tumour)).buffer(12 / layout.mpp)
    assert shapely.contains_xy(grown, columns + 0.5, rows + 0.5).all()


def test_tumour_regions_look_different_from_stroma_at_the_level_of_nuclei() -> None:
    layout = plan(np.random.default_rng(5), size=SMALL, mpp=0.5, tumour=True)
    canvas = connective_tissue(np.random.default_rng(6), layout)
    populate(np.random.default_rng(7), canvas)
    nuclei = canvas.inner(canvas.nuclei)[::COARSE, ::COARSE] > 40
    rest = layout.tissue_mask & ~layout.tumour_mask & ~layout.lymphoid_mask
    assert nuclei[layout.tumour_mask].mean() > 2 * nuclei[rest].mean()


def test_the_same_seed_gives_the_same_pixels_and_another_does_not(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.tiff", "b.tiff", "c.tiff", "d.tiff")]
    for path, seed, tumour in zip(paths, (1, 1, 2, 1), (True, True, True, False), strict=True):
        make_slide(path, seed=seed, tumour=tumour, size_px0=(700, 600))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not np.array_equal(pixels(paths[0]), pixels(paths[2]))
    assert not np.array_equal(pixels(paths[0]), pixels(paths[3]))


@pytest.mark.parametrize(("size", "mpp"), [((513, 777), 0.5), ((1000, 800), 0.25), ((900, 900), 1.0)])
def test_other_sizes_and_resolutions(tmp_path: Path, size: tuple[int, int], mpp: float) -> None:
    made = make_slide(tmp_path / "a.tiff", seed=0, tumour=True, size_px0=size, mpp=mpp)
    with openslide.OpenSlide(made.path) as slide:
        assert slide.dimensions == size
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(mpp, rel=1e-3)
    assert made.tumour_fraction > 0


def test_bad_arguments_and_bad_places(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be drawn"):
        make_slide(tmp_path / "a.tiff", seed=0, tumour=False, size_px0=(100, 4000))
    with pytest.raises(SettingsError, match="5 µm"):
        make_slide(tmp_path / "a.tiff", seed=0, tumour=False, mpp=5)
    (tmp_path / "file").write_text("")
    with pytest.raises(ProjectError, match="cannot be written"):
        make_slide(tmp_path / "file" / "a.tiff", seed=0, tumour=False, size_px0=(600, 600))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_curves_never_cross_themselves() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        curve = closed_curve(rng, (10.0, 20.0), tuple(rng.uniform(0.3, 3, 2)), wobble=0.3)
        assert shapely.Polygon(curve).is_valid


def test_cohort_layout(cohort: Path) -> None:
    with cohort.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert cohort.name == "labels.csv"
    assert list(rows[0]) == ["slide_id", "label", "patient_id"]
    assert [row["slide_id"] for row in rows] == [f"synthetic-{k:03d}" for k in range(7)]
    assert sorted(row["label"] for row in rows) == ["normal"] * 4 + ["tumour"] * 3
    assert len({row["patient_id"] for row in rows}) == 7
    slides = {path.name for path in (cohort.parent / "slides").iterdir()}
    assert slides == {f"{row['slide_id']}.tiff" for row in rows}
    outlines = {path.stem for path in (cohort.parent / "annotations").iterdir()}
    assert outlines == {row["slide_id"] for row in rows if row["label"] == "tumour"}


def test_stain_varies_between_slides(cohort: Path) -> None:
    colours = []
    for path in sorted((cohort.parent / "slides").iterdir()):
        image = pixels(path).astype(float)
        colours.append(image[np.ptp(image, axis=2) > 30].mean(axis=0))
    assert (np.std(colours, axis=0) > 3).all()


def test_a_cohort_goes_on_where_it_was(tmp_path: Path) -> None:
    def stop_after_two(progress: Progress) -> None:
        if progress.done >= 2:
            raise Cancelled("enough")

    options = {"slides": 6, "seed": 4, "size_px0": (600, 600)}
    with pytest.raises(Cancelled):
        make_cohort(tmp_path, **options, progress=stop_after_two)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "slides").glob("*.tiff")}
    assert 2 <= len(made) <= 6
    assert not (tmp_path / "labels.csv").exists()
    reports: list[Progress] = []
    make_cohort(tmp_path, **options, progress=reports.append)
    assert reports[-1].done == reports[-1].total == 6
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    assert not list(tmp_path.rglob("*.part"))


def test_another_seed_makes_the_slides_again_and_strangers_are_left_alone(tmp_path: Path) -> None:
    options = {"slides": 4, "size_px0": (600, 600)}
    make_cohort(tmp_path, seed=0, **options)
    before = (tmp_path / "slides" / "synthetic-000.tiff").read_bytes()
    labels = make_cohort(tmp_path, seed=1, **options)
    assert (tmp_path / "slides" / "synthetic-000.tiff").read_bytes() != before
    with labels.open(newline="") as file:
        tumours = {row["slide_id"] for row in csv.DictReader(file) if row["label"] == "tumour"}
    assert {path.stem for path in (tmp_path / "annotations").iterdir()} == tumours
    stranger = tmp_path / "slides" / "synthetic-000.tiff"
    stranger.write_bytes(b"a slide of mine")
    with pytest.raises(ProjectError, match="not made by the generator"):
        make_cohort(tmp_path, seed=1, **options)
    assert stranger.read_bytes() == b"a slide of mine"


def test_patches_outside_are_outside(full: SyntheticSlide) -> None:
    """The outlines are in level-0 pixels: at the coarsest level the frame puts them on the darker area."""
    image = pixels(full.path, 3).astype(float).mean(axis=2)
    frame = Frame((0.0, 0.0), (8.0, 8.0))
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    points = frame.to_px0(np.stack([x, y], axis=-1))
    inside = shapely.contains_xy(shapely.union_all(list(full.tumour_polygons)), points[..., 0], points[..., 1])
    tissue = shapely.contains_xy(shapely.union_all(list(full.tissue_polygons)), points[..., 0], points[..., 1])
    assert image[inside].mean() < image[tissue & ~inside].mean() - 5
