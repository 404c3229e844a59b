import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from shapely import Polygon, box

from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.bag import h5
from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.drawing.images import save_image
from sam_mil_engine.errors import Cancelled, DataError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.mil.score_files import save_scores
from sam_mil_engine.mil.scores import GroupScores, SlideScores
from sam_mil_engine.progress import Progress
from sam_mil_engine.report.annotated import rings_of, with_annotations
from sam_mil_engine.report.page import render
from sam_mil_engine.report.project import build_report
from sam_mil_engine.report.runs import flat, make_charts
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.tile_grid import TileGrid
from sam_mil_engine.slide.tissue_regions import TissueRegions

WIDTH, HEIGHT, SIDE = 512, 384, 128


def write_slide(path: Path) -> Path:
    image = np.full((HEIGHT, WIDTH, 3), 240, dtype=np.uint8)
    image[64:320, 64:448] = (200, 90, 150)
    tifffile.imwrite(path, image, tile=(128, 128), photometric="rgb")
    return path


def write_bag(project: Path, slide_id: str, slide: Path, *, until: str = "groups") -> Path:
    """The bag of a slide, tissue in the middle, two segments: the left half and one patch of it."""
    columns, rows = np.meshgrid(np.arange(4), np.arange(3))
    coords = (np.stack([columns.ravel(), rows.ravel()], axis=1) * SIDE).astype(np.int32)
    grid = TileGrid(coords, (SIDE, SIDE), 0, (SIDE, SIDE), SIDE, (SIDE, SIDE))
    left, patch = np.zeros((2, 96, 128), dtype=bool)
    left[:, :64] = True
    patch[:32, :32] = True
    segments = Segments.from_masks([left, patch], frame=Frame((0, 0), (4, 4)), size_raster=(128, 96))
    inside = np.flatnonzero(coords[:, 0] < 2 * SIDE).astype(np.int32)
    groups = Groups(
        indptr=np.array([0, len(inside), len(inside) + 1]),
        indices=np.append(inside, np.int32(0)),
        area_raster=segments.area.astype(np.float64),
        area_um2=np.full(2, np.nan),
        group_of_patch=np.where(coords[:, 0] < 2 * SIDE, 0, -1).astype(np.int32),
        segment_of_group=np.array([0, 1], dtype=np.int32),
    )
    features = np.random.default_rng(0).standard_normal((12, 8)).astype(np.float32)
    bag = FeatureBag(slide_id, coords, features).with_groups(groups)
    ring = np.array([(64.0, 64.0), (448.0, 64.0), (448.0, 320.0), (64.0, 320.0)])
    path = project / "bags" / f"{slide_id}.h5"
    with h5.edit_bag(path) as file:
        h5.put_attributes(file, {"slide_id": slide_id, "slide_path": str(slide)})
        h5.put_tissue(file, TissueRegions(((ring, ()),), np.array([384.0 * 256])))
        h5.mark_stage(file, "tissue", "k")
        if until == "tissue":
            return path
        h5.put_tiles(file, grid, size_px0=(WIDTH, HEIGHT), power=None)
        h5.put_segments(file, segments, segmenter="fake", version="1")
        h5.put_features(file, features, {"encoder": "fake"})
        h5.put_groups(file, bag, segments)
        for stage in ("tiles", "segments", "features", "groups"):
            h5.mark_stage(file, stage, "k")
    return path


def scores_of(bag: Path) -> SlideScores:
    read = h5.read_bag(bag)
    p = np.where(read.coords_px0[:, 0] < 2 * SIDE, 0.9, 0.2).astype(np.float32)
    both = np.stack([1 - p, p], axis=1)
    two = np.float32([[0.4, 0.6], [0.1, 0.9]])
    return SlideScores(
        slide_id=read.slide_id,
        classes=("normal", "tumour"),
        coords_px0=read.coords_px0,
        probabilities=np.float32([0.3, 0.7]),
        attention=p / p.sum(),
        evidence=both,
        patch_probability=both,
        logits=np.float32([0, 1]),
        bias=np.float32([0, 0]),
        groups=GroupScores(np.float32([0.8, 0.2]), two, two, np.zeros(2, np.float32), two * 0, two),
        attrs={
            "model": "sam-mil",
            "encoder": "fake",
            "path": str(bag),
            "size_px0": (SIDE, SIDE),
            "notes": ("a note",),
        },
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    (folder / "bags").mkdir(parents=True)
    write_bag(folder, "one", write_slide(tmp_path / "one.tif"))
    write_bag(folder, "two", write_slide(tmp_path / "two.tif"), until="tissue")
    (folder / "process.csv").write_text(
        "slide_id,path,state,tiles,segments,seconds_tissue,seconds_tiles,error,hint\n"
        "one,/x/one.tif,done,12,2,0.500,0.100,,\n"
        "two,/x/two.tif,failed,,,0.500,,no <b>patch</b>,Choose another --patch-size\n"
        "'=bad,/x/bad.tif,failed,,,,,no such file,\n"
    )
    (folder / "settings.json").write_text(
        json.dumps(
            {"key": "abc", "settings": {"tiles": {"patch_size": 128}, "cuts": [4, 8]}, "previous": [{"key": "old"}]}
        )
    )
    return folder


def test_a_project_becomes_a_page_with_its_slides_and_failures(project: Path) -> None:
    content = build_report(project)
    assert content.title == "study"
    assert dict(content.facts) == {"Slides": "3", "Done": "1", "Failed": "2"}
    assert dict(content.settings) == {"key": "abc", "settings.tiles.patch_size": "128", "settings.cuts": "4, 8"}
    (table,) = content.tables
    assert [row[0].text for row in table.rows] == ["one", "two", "=bad"]
    assert [row[1].mark for row in table.rows] == ["right", "wrong", "wrong"]
    assert table.rows[1][-1].text == "no <b>patch</b>. Choose another --patch-size"
    one, two = content.slides
    assert one.image is not None
    assert one.info is not None
    assert one.info.size_px0 == (WIDTH, HEIGHT)
    assert one.groups is not None
    assert one.patch_size_px0 == (SIDE, SIDE)
    assert two.tissue is not None
    assert (two.segments, two.groups, two.coords_px0) == (None, None, None)
    text = render(content)
    assert text.count("<img") == 3
    assert "no &lt;b&gt;patch" in text


def test_a_slide_that_is_gone_is_shown_by_its_mask_image_or_in_words(project: Path) -> None:
    (project.parent / "one.tif").unlink()
    (section, _) = build_report(project).slides
    assert section.image is None
    assert "there is no such file" in section.notes[0]
    assert "there are no images" in section.notes[0]
    save_image(project / "masks" / "one.jpg", np.full((96, 128, 3), 90, dtype=np.uint8))
    (section, _) = build_report(project).slides
    assert section.frame == Frame((0, 0), (4, 4))
    assert section.image is not None
    assert "masks/one.jpg" in section.notes[0]
    assert render(build_report(project)).count("<img") == 3


def test_a_damaged_bag_is_named_and_the_others_are_shown(project: Path) -> None:
    (project / "bags" / "three.h5").write_bytes(b"not a bag")
    content = build_report(project)
    assert [section.slide_id for section in content.slides] == ["one", "two"]
    assert "three.h5" in content.notes[0]


def test_only_some_slides_get_images_and_the_page_says_so(project: Path) -> None:
    content = build_report(project, max_slides=1)
    assert [section.slide_id for section in content.slides] == ["one"]
    assert content.notes == ("Images show 1 of 2 slides; the tables list all.",)


def test_progress_is_told_and_can_stop(project: Path) -> None:
    seen: list[Progress] = []
    build_report(project, progress=seen.append)
    assert [(item.done, item.total, item.message) for item in seen] == [(0, 2, "one"), (1, 2, "two")]

    def stop(progress: Progress) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        build_report(project, progress=stop)


def test_a_prediction_shows_the_scores_over_the_slide(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    save_scores(scores_of(project / "bags" / "one.h5"), folder)
    (folder / "notes.json").write_text("{}")
    content = build_report(folder, labels={"one": "normal"})
    (row,) = content.predictions
    assert (row.slide_id, row.label, row.predicted, row.positive) == ("one", "normal", "tumour", "tumour")
    assert row.probability == pytest.approx(0.7)
    (section,) = content.slides
    assert section.notes == ("a note",)
    assert section.groups is not None
    text = render(content)
    assert text.count("<img") == 4
    assert "✗ labelled normal" in text


def test_a_prediction_whose_bag_is_gone_or_changed_says_so(project: Path, tmp_path: Path) -> None:
    bag = project / "bags" / "one.h5"
    folder = tmp_path / "scores"
    scores = scores_of(bag)
    save_scores(scores, folder)
    with h5.edit_bag(bag) as file:
        file["coords"][...] = file["coords"][...] + 1
    (section,) = build_report(folder).slides
    assert section.groups is None
    assert "changed after the prediction" in section.notes[0]
    np.testing.assert_array_equal(section.coords_px0, scores.coords_px0)
    bag.unlink()
    (section,) = build_report(folder).slides
    assert "no longer at" in section.notes[0]
    assert section.patch_size_px0 == (SIDE, SIDE)
    assert "<img" not in render(build_report(folder))


def test_annotations_are_compared_with_groups_and_patches(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    save_scores(scores_of(project / "bags" / "one.h5"), folder)
    file = tmp_path / "one.geojson"

    def feature(name: str, area: Polygon) -> dict[str, object]:
        shape = {"type": "Polygon", "coordinates": [[list(point) for point in area.exterior.coords]]}
        return {"type": "Feature", "geometry": shape, "properties": {"classification": {"name": name}}}

    features = [feature("Tumor", box(0, 0, 256, 384)), feature("Stroma", box(256, 0, 512, 384))]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    content = build_report(folder, annotations={"one": file})
    (section,) = content.slides
    assert section.agreement is not None
    np.testing.assert_allclose(section.agreement, [1, 1])
    rows = dict(section.comparison)
    assert rows["Annotated class"] == "Tumor"
    assert rows["Patch AUC of the probability"] == "1.000"
    assert rows["Best single segment"] == "1, IoU 1.00"
    assert render(content).count("<img") == 5


def test_annotations_without_scores_or_segments_are_only_outlined(project: Path) -> None:
    section = build_report(project).slides[1]
    outlined = with_annotations(section, [Annotation("a", "Tumor", box(0, 0, 100, 100))])
    assert len(outlined.annotation) == 1
    assert (outlined.agreement, outlined.comparison) == (None, ())
    assert with_annotations(section, []) is section
    ring = Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(3, 3), (6, 3), (6, 6), (3, 6)]])
    ((outer, (hole,)),) = rings_of(ring)
    assert (len(outer), len(hole)) == (4, 4)


def test_a_run_shows_figures_curves_predictions_and_slides(project: Path) -> None:
    from sam_mil_engine.settings import ModelSettings, TrainSettings
    from sam_mil_engine.training.loop import train

    lines = ["slide_id,label,split"]
    for number in range(12):
        label, part = ("normal", "tumour")[number % 2], ("train", "val", "test")[number // 4]
        bag = write_bag(project, f"s{number:02d}", project.parent / "one.tif")
        with h5.edit_bag(bag) as file:
            file["features"][...] = file["features"][...] + number % 2
            file["groups/features"][...] = file["groups/features"][...] + number % 2
        lines.append(f"s{number:02d},{label},{part}")
    for name in ("one", "two"):
        (project / "bags" / f"{name}.h5").unlink()
    labels = project / "labels.csv"
    labels.write_text("\n".join(lines) + "\n")
    model = ModelSettings(name="abmil", hidden=8, attention=4)
    settings = TrainSettings(model=model, epochs=3, device="cpu", cache_dtype="float32")
    run = project / "runs" / "first"
    train(project / "bags", labels, run, settings=settings)
    content = build_report(run)
    assert content.title == "first"
    (metrics,) = content.metrics
    assert metrics.model == "abmil"
    assert [name for name, _ in metrics.metrics][:2] == ["auc", "accuracy"]
    assert {row.slide_id for row in content.predictions} == {"s08", "s09", "s10", "s11"}
    assert [chart.title for chart in content.charts][1:] == ["Validation loss", "Validation AUC"]
    x, _ = content.charts[0].series[0].runs[0]
    assert x.tolist() == [1, 2, 3]
    assert len(content.slides) == 4
    known = {row.slide_id: row for row in content.predictions}
    for section in content.slides:
        assert section.scores is not None
        assert section.label == known[section.slide_id].label
        assert float(section.scores.probabilities[1]) == pytest.approx(
            known[section.slide_id].probability, abs=1e-5
        )
    right = [row.label == row.predicted for row in (known[section.slide_id] for section in content.slides)]
    assert right == sorted(right)
    assert render(content).count("<img") == 16
    several = build_report(run.parent)
    assert [item.model for item in several.metrics] == ["abmil"]
    for bag in (project / "bags").iterdir():
        bag.unlink()
    gone = build_report(run)
    assert gone.slides == ()
    assert "s08: the bag is no longer in" in " ".join(gone.notes)


def test_history_of_folds_becomes_one_line_a_fold() -> None:
    history = pd.DataFrame(
        {
            "repeat": [0, 0, 0, 0],
            "fold": [0, 0, 1, 1],
            "epoch": [0, 1, 0, 1],
            "train_loss": [3.0, 2, 3, 1],
            "train_bag": [2.0, 1, 2, 1],
            "train_pseudo_bags": [1.0, 1, 1, 0],
            "val_loss": [1.0, 2, 3, 4],
            "val_auc": [0.4, 0.5, 0.6, np.nan],
        }
    )
    loss, validation, auc = make_charts(history)
    assert [series.name for series in loss.series] == ["total", "bag", "pseudo bags"]
    assert [len(series.runs) for series in validation.series] == [2]
    assert auc.y_limits == (0, 1)
    assert make_charts(history.iloc[:0]) == ()
    assert flat({"a": {"b": None, "c": [1, 2]}}) == (("a.b", "–"), ("a.c", "1, 2"))


def test_folders_that_hold_nothing_to_report_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        build_report(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a project, a finished run or a prediction"):
        build_report(tmp_path)
    (tmp_path / "process.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"process\.csv is damaged"):
        build_report(tmp_path)
    (tmp_path / "process.csv").write_text("slide_id,state\n")
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(DataError, match="not readable"):
        build_report(tmp_path)
