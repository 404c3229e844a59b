"""Outlines as layers and back, without a window: names, parts, classes, transforms, and the image of many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from napari.layers import Layer, Shapes

from napari_sam_mil.analysis.placement import points_to_world, world_to_points
from napari_sam_mil.layers.annotations import (
    MOST_SHAPES,
    annotations_layer,
    drop_extra_rows,
    shape_annotations,
    update_outline_image,
)
from napari_sam_mil.layers.outline_raster import edges_and_insides, fill
from napari_sam_mil.session.annotations import SlideOutlines, classes_of, shape_text_at
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.errors import AnnotationError, DataError
from sam_mil_engine.slide.info import SlideInfo

MPP = (0.5, 0.25)
INFO = SlideInfo(Path("a"), "openslide", "x", (2000, 1500), ((2000, 1500),), ((1.0, 1.0),), mpp=MPP)


def layer_of(annotations):
    return Layer.create(*annotations_layer(annotations, INFO, mpp=MPP))


def back(layer):
    data, meta, _ = layer.as_layer_data_tuple()
    return shape_annotations(data, meta, mpp=MPP)


def box(x, y, side=40):
    return shapely.box(x, y, x + side, y + side)


def few():
    ring = shapely.Polygon(box(400, 400, 200).exterior, [box(450, 450, 50).exterior])
    return [
        Annotation("core A", "Tumor", shapely.MultiPolygon([box(0, 0), box(100, 0)])),
        Annotation("core B", None, box(200, 0)),
        Annotation("ring", "Stroma", ring),
    ]


def many(count=MOST_SHAPES + 50):
    rows, columns = np.divmod(np.arange(count), 40)
    return [
        Annotation(f"cell {n}", "Tumor" if n % 3 else "Stroma", box(45 * x + 10, 45 * y + 10, 30))
        for n, (y, x) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True))
    ]


def same(found, expected):
    assert [(one.name, one.classification, one.polygon.geom_type) for one in found] == [
        (one.name, one.classification, one.polygon.geom_type) for one in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert shapely.symmetric_difference(one.polygon, other.polygon).area < 1e-3


@pytest.mark.parametrize("outlines", [few(), many()], ids=["shapes", "image"])
def test_names_classes_and_parts_survive_the_layer(outlines):
    layer = layer_of(outlines)
    assert isinstance(layer, Shapes) == (len(outlines) <= MOST_SHAPES)
    same(back(layer), outlines)
    assert len(classes_of(layer)) == len(outlines), "an annotation of several polygons counts once"


def test_a_copied_shape_is_an_outline_of_its_own_and_a_deleted_part_is_gone():
    layer = layer_of(few())
    layer.selected_data = {0}
    layer._copy_data()
    layer._paste_data()
    found = back(layer)
    assert [(one.name, one.polygon.geom_type) for one in found] == [
        ("core A", "MultiPolygon"),
        ("core B", "Polygon"),
        ("ring", "Polygon"),
        ("core A", "Polygon"),
    ]
    assert classes_of(layer) == ["Tumor", "unclassified", "Stroma", "Tumor"]
    layer.remove([1])
    assert back(layer)[0].polygon.geom_type == "Polygon"


def test_what_is_drawn_has_the_class_and_a_name_of_its_own():
    layer = layer_of(few())
    layer.add_polygons(np.array([(10, 10), (10, 50), (50, 50)]))
    drawn = back(layer)[-1]
    assert (drawn.classification, drawn.name) == ("Tumour", "annotations 5")


def test_a_line_is_not_counted_as_it_is_not_saved():
    layer = layer_of(few())
    layer.add_lines(np.array([(10, 10), (50, 50)]))
    assert len(classes_of(layer)) == len(back(layer)) == 3


def test_a_missing_class_is_none_and_never_the_word_nan():
    data, meta, _ = layer_of(few()).as_layer_data_tuple()
    features = meta["features"].assign(**{"class": [np.nan, None, "", "unclassified"]})
    assert {one.classification for one in shape_annotations(data, meta | {"features": features}, mpp=MPP)} == {None}


def test_rows_that_do_not_fit_the_shapes_are_refused():
    data, meta, _ = layer_of(few()).as_layer_data_tuple()
    with pytest.raises(AnnotationError, match="3 shapes but 4 values of 'class'"):
        shape_annotations(data[:3], meta, mpp=MPP)


def test_a_row_that_a_drawing_leaves_behind_goes_and_the_class_to_draw_stays():
    layer = layer_of(few())
    drop_extra_rows(layer)
    layer.feature_defaults = layer.feature_defaults.assign(**{"class": "Necrosis"})
    # as napari does where a lasso encloses nothing: a shape with its row comes, and the shape alone goes
    layer.add_polygons(np.array([(10, 10), (10, 50), (50, 50)]))
    layer._data_view.remove(len(layer.data) - 1)
    assert len(layer.features) == len(layer.data) + 1
    layer.events.data(value=layer.data, action="added", data_indices=(-1,), vertex_indices=((),))
    assert len(layer.features) == len(layer.data)
    layer.add_polygons(np.array([(10, 10), (10, 50), (50, 50)]))
    assert list(layer.features["class"]) == ["Tumor", "Tumor", "unclassified", "Stroma", "Necrosis"]


TRANSFORMS = {
    "moved": {"translate": (30.0, -12.5)},
    "scaled": {"scale": (1.0, 0.25)},
    "turned": {"rotate": 30},
    "sheared": {"shear": [0.4]},
    "affine": {"affine": np.array([[1.2, 0.3, 40.0], [-0.2, 0.9, 7.0], [0, 0, 1]])},
}


@pytest.mark.parametrize("change", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("outlines", [few(), many()], ids=["shapes", "image"])
def test_outlines_lie_where_the_layer_shows_them(outlines, change):
    layer = layer_of(outlines)
    corners = np.array([outlines[-1].polygon.bounds[:2], outlines[-1].polygon.bounds[2:]])
    world = points_to_world(corners, MPP)
    inside = np.array([layer.world_to_data(point) for point in world])
    for name, value in change.items():
        setattr(layer, name, value)
    moved = world_to_points(np.array([layer.data_to_world(point) for point in inside]), MPP)
    found = back(layer)[-1].polygon
    for point, other in zip(moved, corners, strict=True):
        assert found.distance(shapely.Point(point)) < 1e-3, "a corner of the outline"
        assert np.abs(point - other).max() > 1, "the layer did move"


def test_a_shape_turned_by_its_layer_keeps_its_ellipse():
    layer = Shapes([np.array([(0, 0), (0, 40), (20, 40), (20, 0)], float)], shape_type="ellipse", rotate=30)
    data, meta, _ = layer.as_layer_data_tuple()
    (found,) = shape_annotations(data, meta, mpp=(1.0, 1.0))
    assert found.polygon.area == pytest.approx(np.pi * 10 * 20, rel=5e-3)
    rectangle = found.polygon.minimum_rotated_rectangle
    assert sorted(np.hypot(*np.diff(np.array(rectangle.exterior.coords)[:3], axis=0).T)) == pytest.approx(
        [20, 40], rel=1e-2
    )


def test_the_status_bar_tells_class_and_name_of_a_shape_and_nothing_between_shapes():
    layer = layer_of(few())
    shape = points_to_world([(120, 20), (300, 300)], MPP)
    assert shape_text_at(layer, shape[0]) == "class: Tumor, name: core A"
    assert shape_text_at(layer, shape[1]) == ""
    assert shape_text_at(Shapes([np.eye(4, 2) * 9]), (1, 1)) == "", "shapes without classes"
    assert shape_text_at(layer_of(many()), shape[0]) is None, "napari says it of an image"


def label_at(layer, level, x, y):
    step = layer.data[level].step
    return int(layer.data[level][int(y / step), int(x / step)])


def test_the_image_of_many_tells_lines_insides_classes_and_names():
    outlines = many()
    layer = layer_of(outlines)
    assert not any(isinstance(level, np.ndarray) for level in layer.data), "drawn only where it is looked at"
    for level in range(3):
        for number in (0, 7, len(outlines) - 1):
            x, y = outlines[number].polygon.centroid.coords[0]
            assert label_at(layer, level, x, y) == 2 * number + 2, "inside"
            left = outlines[number].polygon.bounds[0] + 0.6 * layer.data[level].step
            assert label_at(layer, level, left, y) == 2 * number + 1, "on the line"
            row = layer.features[layer.features["index"] == 2 * number + 2].iloc[0]
            assert (row["class"], row["name"]) == (outlines[number].classification, outlines[number].name)
    assert label_at(layer, 0, 5, 5) == 0
    colours = layer.colormap.map(np.array([0, 1, 2, 77, 78]))
    np.testing.assert_array_equal(colours[:, 3], [0, 1, 0, 1, 0])


def test_all_levels_of_the_image_lie_at_the_same_place():
    layer = layer_of(many())
    sizes = np.array(layer.level_shapes, float)
    np.testing.assert_array_equal(sizes[:-1], 2 * sizes[1:])
    steps = [level.step for level in layer.data]
    np.testing.assert_array_equal(steps[1:], 2 * np.array(steps[:-1]))
    world = np.asarray(layer.extent.world)
    np.testing.assert_allclose(world[0], points_to_world([(0, 0)], MPP)[0], atol=0.2)
    assert (world[1] >= points_to_world([INFO.size_px0], MPP)[0] - 0.2).all(), "it covers the slide"


def test_fill_is_exact_at_pixel_centres_for_holes_and_overlaps():
    rng = np.random.default_rng(3)
    areas = [shapely.Point(*rng.uniform(5, 55, 2)).buffer(rng.uniform(0.5, 15), quad_segs=4) for _ in range(60)]
    areas = [one.difference(one.centroid.buffer(2)) if n % 2 else one for n, one in enumerate(areas)]
    edges, owner = [], []
    for number, area in enumerate(areas):
        for ring in shapely.get_rings(shapely.get_parts(area)):
            points = shapely.get_coordinates(ring)
            edges.append(np.hstack([points[:-1], points[1:]]))
            owner += [number] * (len(points) - 1)
    spots = shapely.get_coordinates(shapely.point_on_surface(np.array(areas, dtype=object)))
    drawn = fill(np.vstack(edges), np.array(owner), spots, (60, 50))
    y, x = np.mgrid[:50, :60] + 0.5
    expected = np.full((50, 60), -1)
    for number, area in enumerate(areas):
        expected[shapely.contains_xy(area, x, y)] = number
    columns, rows = np.floor(spots).astype(int).T
    seen = (rows < 50) & (columns < 60)
    differ = drawn != expected
    differ[rows[seen], columns[seen]] = False
    assert not differ.any()


def test_an_outline_smaller_than_a_pixel_is_still_seen():
    tiny = [*many()[:-1], Annotation("tiny", "Tumor", box(1990, 1490, 0.5))]
    layer = layer_of(tiny)
    for level in range(len(layer.data)):
        assert (2 * len(tiny) - 1 == np.asarray(layer.data[level][-40:, -40:])).any()


def test_a_small_outline_is_drawn_over_the_large_one_around_it():
    around = Annotation("region", "Region", box(0, 0, 1400))
    layer = layer_of([*many(), around])
    assert label_at(layer, 0, 25, 25) == 2
    assert label_at(layer, 0, 6, 200) == 2 * (len(many()) + 1)


def test_lines_are_two_pixels_inside_the_area():
    labels = np.zeros((14, 14), np.uint32)
    labels[3:11, 3:11] = 5
    drawn = edges_and_insides(labels)
    assert drawn.shape == (10, 10)
    assert (drawn == 10).sum() == 4 * 4
    assert (drawn == 9).sum() == 8 * 8 - 4 * 4


def test_the_image_takes_others_unless_the_user_moved_it():
    layer = layer_of(many())
    assert update_outline_image(layer, annotations_layer(many()[5:], INFO, mpp=MPP))
    same(back(layer), many()[5:])
    assert layer.features["name"][0] == "cell 5"
    layer.translate = (100, 100)
    assert not update_outline_image(layer, annotations_layer(many(), INFO, mpp=MPP))


def test_some_of_many_become_editable_and_none_is_lost():
    outlined = SlideOutlines().with_added(many())
    assert not outlined.shapes
    edited = outlined.made_editable(None, (0, 0, 100, 100), "in view")
    assert {one.name for one in edited.shapes} == {"cell 0", "cell 1", "cell 40", "cell 41"}
    more = edited.made_editable("Stroma", None, "of the class Stroma")
    assert all(one.classification == "Tumor" for one in more.many)
    assert sorted(one.name for one in more.all) == sorted(one.name for one in many())
    with pytest.raises(DataError, match="no outline of the image is in view"):
        edited.made_editable(None, (0, 0, 100, 100), "in view")
    with pytest.raises(DataError, match="350 outlines are in view, but only about 300 can be edited"):
        outlined.made_editable(None, None, "in view")


def test_outlines_are_added_as_shapes_as_long_as_all_can_be_edited():
    outlined = SlideOutlines().with_added(few()).with_added(few())
    assert (len(outlined.shapes), outlined.many) == (6, ())
    outlined = outlined.with_added(many())
    assert (len(outlined.shapes), len(outlined.many)) == (6, len(many()))
    assert len(outlined.with_added(few()).many) == len(many()) + 3


@pytest.mark.parametrize("side", [2_000, 100_000])
def test_a_line_is_never_wider_than_a_part_of_what_it_surrounds(side):
    info = SlideInfo(Path("a"), "openslide", "x", (side, side), ((side, side),), ((1.0, 1.0),), mpp=MPP)
    cell = Annotation("cell", "Tumor", shapely.Point(500, 500).buffer(20))
    _, keywords, _ = annotations_layer([cell], info, mpp=MPP)
    assert 0 < keywords["edge_width"] <= 4
