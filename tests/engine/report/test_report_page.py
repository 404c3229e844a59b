import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from sam_mil_engine.errors import ProjectError, SamMilError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.mil.scores import GroupScores, SlideScores
from sam_mil_engine.report.charts import Chart, Series
from sam_mil_engine.report.content import (
    Cell,
    Column,
    Metric,
    ModelMetrics,
    PredictionRow,
    ReportContent,
    SlideSection,
    Table,
)
from sam_mil_engine.report.page import render, write_report
from sam_mil_engine.report.tables import anchor, groups_table
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.info import SlideInfo
from sam_mil_engine.slide.tissue_regions import TissueRegions

HOSTILE = '"><script>alert("x")</script><img src=http://evil.example/a.png onerror=alert(1)>&{{7*7}}\u0007\udc80'


class Page(HTMLParser):
    """Every element of a page, and the tags that stay open."""

    VOID = frozenset({"meta", "img", "link", "br", "hr", "input", "rect", "line", "path", "circle"})

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def slide(
    slide_id: str = "case 1", *, patches: int = 6, mpp: tuple[float, float] | None = (0.5, 0.5)
) -> SlideSection:
    image = np.full((60, 80, 3), 230, dtype=np.uint8)
    coords = np.array([(64 * (k % 3), 64 * (k // 3)) for k in range(patches)], dtype=np.int32)
    probability = np.linspace(0.1, 0.9, patches, dtype=np.float32)
    both = np.stack([1 - probability, probability], axis=1)
    masks = [np.zeros((30, 40), dtype=bool) for _ in range(2)]
    masks[0][:, :20] = True
    masks[1][5:10, 5:10] = True
    segments = Segments.from_masks(masks, frame=Frame((0, 0), (10, 10)), size_raster=(40, 30))
    groups = Groups(
        indptr=np.array([0, patches, patches + 1]),
        indices=np.array([*range(patches), 0], dtype=np.int32),
        area_raster=segments.area.astype(float),
        area_um2=segments.area * 100 * (np.nan if mpp is None else mpp[0] * mpp[1]),
        group_of_patch=np.zeros(patches, dtype=np.int32),
        segment_of_group=np.array([0, 1], dtype=np.int32),
    )
    nan = np.float32("nan")
    group_scores = GroupScores(
        attention_mass=np.float32([0.2, 0.9]),
        mean_probability=np.float32([[0.5, 0.5], [0.9, 0.1]]),
        evidence=np.float32([[0, 0.4], [0, -0.2]]),
        token_attention=np.zeros(2, np.float32),
        token_evidence=np.zeros((2, 2), np.float32),
        probability_without=np.array([[nan, nan], [0.3, 0.7]], dtype=np.float32),
    )
    scores = SlideScores(
        slide_id=slide_id,
        classes=("normal", "tumour"),
        coords_px0=coords,
        probabilities=np.float32([0.25, 0.75]),
        attention=np.full(patches, 1 / patches, dtype=np.float32),
        evidence=both - 0.5,
        patch_probability=both,
        logits=np.float32([0, 1]),
        bias=np.float32([0, 0]),
        groups=group_scores,
    )
    ring = np.array([(10.0, 10.0), (300.0, 10.0), (300.0, 200.0)])
    return SlideSection(
        slide_id,
        image=image,
        frame=Frame((0, 0), (5, 5)),
        info=SlideInfo(Path(f"{slide_id}.svs"), "openslide", slide_id, (400, 300), ((400, 300),), ((1.0, 1.0),)),
        mpp=mpp,
        tissue=TissueRegions(((ring, ()),), np.array([27550.0]), method=slide_id),
        segments=segments,
        groups=groups,
        coords_px0=coords,
        patch_size_px0=(64, 64),
        scores=scores,
        label="tumour",
        annotation=((ring, ()),),
        agreement=np.array([0.5, 1.0]),
        comparison=((slide_id, slide_id),),
        notes=(slide_id,),
    )


def report(name: str = "plain", **changes: object) -> ReportContent:
    epochs = np.arange(1.0, 4.0)
    content = ReportContent(
        title=name,
        date="2026-01-02 03:04",
        subtitle=name,
        facts=((name, name),),
        settings=((name, name),),
        metrics=(ModelMetrics(name, ((name, Metric(0.9, 0.1, 3)), ("auc", Metric(0.8, None, 1, (0.7, 0.9))))),),
        charts=(Chart(name, (Series(name, ((epochs, 1 / epochs),)),), x_label=name, y_label=name),),
        predictions=(PredictionRow(name, name, 0.75, name, name, name), PredictionRow("b", None, 0.5, "x")),
        tables=(Table(name, (Column(name, unit=name, help=name),), ((Cell(name, name),),), note=name),),
        slides=(slide(name),),
        notes=(name,),
    )
    return replace(content, **changes)  # type: ignore[arg-type]


def test_page_refers_to_nothing_outside_itself() -> None:
    page = Page(render(report()))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = 0
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name in ("src", "href", "srcset", "poster", "action", "data", "xlink:href", "background"):
                links += 1
                assert value.startswith("data:image/jpeg;base64,") or (value[0] == "#" and value[1:] in ids), tag
    assert links >= 6
    assert not page.all("link")
    text = render(report())
    assert not re.search(r"https?://|@import|url\(", text)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_hostile_names_are_shown_and_never_run() -> None:
    plain, hostile = Page(render(report())), Page(render(report(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    names = [sorted(attributes) for _, attributes in plain.elements]
    assert [sorted(attributes) for _, attributes in hostile.elements] == names
    text = render(report(HOSTILE))
    assert "<script>alert" not in text
    assert "evil.example/a.png onerror" in text
    assert "{{7*7}}" in text
    assert not re.search("[\x00-\x08\udc80]", text)
    assert text.encode()


def test_page_is_well_formed_and_can_be_read_aloud() -> None:
    page = Page(render(report()))
    assert page.open == []
    assert [a["lang"] for a in page.all("html")] == ["en"]
    assert len(page.all("h1")) == 1
    images = page.all("img")
    assert len(images) == 5
    assert all(image["alt"] and int(image["width"]) > 0 for image in images)
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "not for diagnosis" in render(ReportContent("empty", "today"))


def test_cells_carry_what_the_table_is_sorted_by() -> None:
    page = Page(render(report(slides=(slide(),), metrics=(), tables=(), predictions=(), charts=())))
    cells = [a["data-sort"] for a in page.all("td")]
    assert len(page.all("table")) == 1
    rows = [cells[:9], cells[9:]]
    # the most attended group first; a metric that does not exist sorts last by an empty value
    assert [row[0] for row in rows] == ["2.0", "1.0"]
    assert [float(row[3]) for row in rows] == pytest.approx([0.9, 0.2])
    assert [row[6] for row in rows][1] == ""
    assert float(rows[0][7]) == pytest.approx(-0.05)
    assert float(rows[0][1]) == pytest.approx(25 * 100 * 0.25)


def test_group_areas_have_their_unit() -> None:
    section = slide()
    assert section.groups is not None
    units = {}
    for name, area, segments in (
        ("mm", np.array([2e5, 10.0]), section.segments),
        ("um", np.array([2e4, 10.0]), section.segments),
        ("px", np.array([np.nan, np.nan]), section.segments),
        ("raster", np.array([np.nan, np.nan]), None),
    ):
        table = groups_table(replace(section, groups=replace(section.groups, area_um2=area), segments=segments))
        assert table is not None
        units[name] = (table.columns[1].unit, table.rows[1][1].sort)
    assert units == {
        "mm": ("mm²", 0.2),
        "um": ("µm²", 2e4),
        "px": ("px of level 0", 60000.0),
        "raster": ("px of the segmentation image", 600.0),
    }


def test_wrong_predictions_are_marked_and_counted() -> None:
    rows = (
        PredictionRow("a", "tumour", 0.9, "tumour", "tumour"),
        PredictionRow("b", "normal", 0.8, "tumour", "tumour"),
        PredictionRow("c", None, float("nan"), "tumour", "tumour"),
    )
    text = render(ReportContent("t", "d", predictions=rows))
    assert "1 of 2 right." in text
    classes = [a["class"].split()[-1] for a in Page(text).all("td") if a["class"].endswith(("right", "wrong"))]
    assert classes == ["right", "wrong"]


def test_the_index_links_to_every_slide() -> None:
    page = Page(render(ReportContent("t", "d", slides=(slide("a"), slide("b")))))
    assert {anchor("a"), anchor("b")} == {a["id"] for a in page.all("article")}
    assert {"#" + anchor("a"), "#" + anchor("b")} <= {a["href"] for a in page.all("a")}
    assert anchor("a b") != anchor("a_b")


@pytest.mark.parametrize(
    ("section", "images"),
    [
        (SlideSection("gone", notes=("the slide file is gone",)), 0),
        (replace(slide(), image=None), 0),
        (replace(slide(), scores=None), 3),
        (replace(slide(), segments=None), 4),
        (replace(slide(), segments=Segments.empty(Frame(), (4, 4)), groups=None), 5),
        (replace(slide(), tissue=TissueRegions((), np.zeros(0)), annotation=()), 4),
        (slide(patches=1), 5),
        (slide(mpp=None), 5),
    ],
    ids=["nothing", "no image", "no scores", "no segments", "empty", "no tissue", "one patch", "no mpp"],
)
def test_what_is_not_there_is_left_out(section: SlideSection, images: int) -> None:
    text = render(ReportContent("t", "d", slides=(section,)))
    page = Page(text)
    assert page.open == []
    assert len(page.all("img")) == images
    assert ("µm</text>" in text) == (section.mpp is not None and images > 0)


def test_a_model_without_attention_has_no_attention_map() -> None:
    section = slide()
    assert section.scores is not None
    text = render(
        ReportContent("t", "d", slides=(replace(section, scores=replace(section.scores, attention=None)),))
    )
    assert len(Page(text).all("img")) == 4
    assert "<h3>Attention</h3>" not in text


def test_a_slide_outside_of_what_the_model_knows_carries_a_warning() -> None:
    section = slide()
    assert section.scores is not None
    for distance, warned in ((0.9, False), (2.26, True)):
        scores = replace(section.scores, domain_distance=distance)
        text = render(ReportContent("t", "d", slides=(replace(section, scores=scores),)))
        assert ("Warning: outside the data that the model was trained on" in text) is warned
        assert ("2.3 times as far" in text) is warned


def test_groups_show_only_what_the_model_defines() -> None:
    section = slide()
    assert section.scores is not None
    for missing, names in (("attention", {"Attention"}), ("evidence", {"Evidence"})):
        table = groups_table(replace(section, scores=replace(section.scores, **{missing: None})))
        full = groups_table(section)
        assert table is not None
        assert full is not None
        assert {column.name for column in full.columns} - {column.name for column in table.columns} == names
    alone = groups_table(replace(section, scores=None, agreement=None))
    assert alone is not None
    assert [column.name for column in alone.columns] == ["Group", "Area", "Patches"]
    assert [row[0].text for row in alone.rows] == ["1", "2"]


def test_more_than_two_classes_show_the_most_probable() -> None:
    section = slide()
    assert section.scores is not None
    three = replace(
        section.scores,
        classes=("a", "b", "c"),
        probabilities=np.float32([0.1, 0.6, 0.3]),
        patch_probability=np.full((6, 3), 1 / 3, dtype=np.float32),
        groups=None,
    )
    text = render(ReportContent("t", "d", slides=(replace(section, scores=three, label="c", annotation=()),)))
    assert "<h3>Probability of b</h3>" in text
    assert "✗ labelled c" in text


def test_large_images_are_shrunk_and_many_slides_smaller() -> None:
    big = replace(slide(), image=np.zeros((1500, 3000, 3), dtype=np.uint8), frame=Frame((0, 0), (1, 1)))
    one = Page(render(ReportContent("t", "d", slides=(big,)))).all("img")[0]
    assert (one["width"], one["height"]) == ("900", "450")
    many = Page(render(ReportContent("t", "d", slides=tuple(replace(big, slide_id=str(k)) for k in range(4)))))
    assert {image["width"] for image in many.all("img")} == {"640"}


def test_written_in_one_step_over_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "report.html"
    assert write_report(path, report()) == path
    first = path.read_bytes()
    assert first.startswith(b"<!DOCTYPE html>")
    assert list(path.parent.iterdir()) == [path]

    def fail(self: Path, target: object) -> Path:
        raise PermissionError(13, "not now")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ProjectError, match="cannot write"):
        write_report(path, ReportContent("other", "d"))
    assert path.read_bytes() == first
    assert list(path.parent.iterdir()) == [path]


def test_tables_check_their_rows() -> None:
    with pytest.raises(SamMilError, match="row 0 has 1 cells for 2 columns"):
        Table("t", (Column("a"), Column("b")), ((Cell("1"),),))


def test_figures_of_runs() -> None:
    assert Metric.of([0.8, 0.9, float("nan")]) == Metric(pytest.approx(0.85), pytest.approx(0.0707, abs=1e-4), 2)
    assert Metric.of([0.5]) == Metric(0.5, None, 1)
    assert np.isnan(Metric.of([]).mean)
    text = render(report(metrics=(ModelMetrics("m", (("auc", Metric.of([0.8, 0.9])), ("f1", Metric.of([])))),)))
    assert "0.850 ± 0.071" in text
