from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sam_mil_engine.drawing.colours import (
    ANNOTATION,
    HOLE,
    TISSUE,
    colour_table,
    colours_of,
    segment_colours,
)
from sam_mil_engine.drawing.images import (
    draw_map,
    draw_outlines,
    draw_patches,
    draw_segments,
    draw_tissue,
    save_image,
    segment_labels,
    soften,
    stitch,
)
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.tile_grid import TileGrid
from sam_mil_engine.slide.tissue_regions import TissueRegions


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 200, dtype=np.uint8)


def ring(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)


def mask(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    full = np.zeros((height, width), dtype=bool)
    full[rows, columns] = True
    return full


def test_map_colours_exactly_the_rectangle_of_each_patch() -> None:
    # one raster pixel is 10 x 20 level-0 pixels, and the image starts at (100, 200)
    frame = Frame((100, 200), (10, 20))
    image = grey(8, 12)
    coords = [(120, 240), (160, 240)]
    drawn = draw_map(image, frame, coords, (40, 60), [0.0, 1.0], colormap="viridis", limits=(0, 1), opacity=1)
    expected = image.copy()
    expected[2:5, 2:6] = colour_table("viridis")[0]
    expected[2:5, 6:10] = colour_table("viridis")[255]
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(image, grey(8, 12))


def test_map_blends_by_opacity() -> None:
    drawn = draw_map(grey(2, 2), Frame(), [(0, 0)], (2, 2), [1], colormap="gray", limits=(0, 1), opacity=0.25)
    assert (drawn == round(0.75 * 200 + 0.25 * 255)).all()
    untouched = draw_map(grey(2, 2), Frame(), [(0, 0)], (2, 2), [1], colormap="gray", limits=(0, 1), opacity=0)
    np.testing.assert_array_equal(untouched, grey(2, 2))


def test_map_gives_a_pixel_to_the_patch_that_holds_its_centre() -> None:
    # in patches of 2.5 pixels the centre of pixel 2 lies on an edge: it belongs to the patch that starts there
    drawn = draw_map(
        grey(1, 5), Frame(), [(0, 0), (5, 0)], (5, 2), [0, 1], colormap="gray", limits=(0, 1), opacity=1
    )
    assert drawn[0, :, 0].tolist() == [0, 0, 0, 0, 0]
    drawn = draw_map(
        grey(1, 5),
        Frame((0, 0), (2, 2)),
        [(0, 0), (5, 0)],
        (5, 2),
        [0, 1],
        colormap="gray",
        limits=(0, 1),
        opacity=1,
    )
    assert drawn[0, :, 0].tolist() == [0, 0, 255, 255, 255]


@example(step=20, downsample=4.0, origin=(0.0, 49.99999999999999))
@given(
    step=st.integers(3, 40),
    downsample=st.floats(1, 30),
    origin=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)
def test_neighbouring_patches_leave_no_gap_and_no_pixel_is_shared(
    step: int, downsample: float, origin: tuple[float, float]
) -> None:
    frame = Frame(origin, (downsample, downsample))
    columns, rows = np.meshgrid(np.arange(6), np.arange(5))
    coords = np.stack([columns.ravel(), rows.ravel()], axis=1) * step
    image = grey(40, 40)
    drawn = draw_map(image, frame, coords, (step, step), np.zeros(30), colormap="gray", limits=(0, 1), opacity=1)
    centres = frame.to_px0(np.stack(np.meshgrid(np.arange(40) + 0.5, np.arange(40) + 0.5), axis=-1))
    # a centre that lies on an edge, but for rounding, may go to either side
    inner, outer = (
        ((centres >= margin) & (centres < np.array([6 * step, 5 * step]) - margin)).all(axis=-1)
        for margin in (1e-6, -1e-6)
    )
    black = (drawn == 0).all(axis=-1)
    assert black[inner].all()
    if step >= downsample:
        assert outer[black].all()


def test_a_patch_thinner_than_a_pixel_is_still_seen() -> None:
    frame = Frame((0, 0), (100, 100))
    drawn = draw_map(grey(3, 3), frame, [(110, 120)], (10, 10), [0], colormap="gray", limits=(0, 1), opacity=1)
    assert np.argwhere((drawn == 0).all(axis=-1)).tolist() == [[1, 1]]


def test_patches_outside_the_image_and_values_that_are_not_numbers_are_left_out() -> None:
    coords = [(-50, -50), (90, 90), (2, 2)]
    drawn = draw_map(grey(6, 6), Frame(), coords, (2, 2), [0, 0, np.nan], colormap="gray", limits=(0, 1), opacity=1)
    np.testing.assert_array_equal(drawn, grey(6, 6))
    empty = draw_map(grey(6, 6), Frame(), np.zeros((0, 2)), (2, 2), [], colormap="gray", limits=(0, 1), opacity=1)
    np.testing.assert_array_equal(empty, grey(6, 6))


def test_map_refuses_values_that_do_not_fit() -> None:
    with pytest.raises(SettingsError, match="one value per patch"):
        draw_map(grey(2, 2), Frame(), [(0, 0)], (1, 1), [1, 2], colormap="gray", limits=(0, 1))
    with pytest.raises(SettingsError, match="no colour map 'nope'"):
        draw_map(grey(2, 2), Frame(), [(0, 0)], (1, 1), [1], colormap="nope", limits=(0, 1))


def test_colours_clip_at_the_limits_and_equal_limits_take_the_middle() -> None:
    table = colour_table("viridis")
    np.testing.assert_array_equal(
        colours_of([-5, 0, 1, 7], colormap="viridis", limits=(0, 1)), table[[0, 0, 255, 255]]
    )
    np.testing.assert_array_equal(colours_of([3.0], colormap="viridis", limits=(3, 3)), table[[128]])
    with pytest.raises(SettingsError, match="ascend"):
        colours_of([0], colormap="viridis", limits=(1, 0))


def test_segment_colours_differ_and_do_not_depend_on_their_number() -> None:
    many = segment_colours(300)
    np.testing.assert_array_equal(many[:7], segment_colours(7))
    near = np.abs(many[1:].astype(int) - many[:-1].astype(int)).sum(axis=1)
    assert near.min() > 40
    assert segment_colours(0).shape == (0, 3)


def test_segments_small_over_large_through_two_frames() -> None:
    large, small = mask(6, 6, slice(0, 6), slice(0, 6)), mask(6, 6, slice(2, 4), slice(2, 4))
    segments = Segments.from_masks([small, large], frame=Frame((40, 40), (4, 4)), size_raster=(6, 6))
    # the image has 2 level-0 pixels a pixel and starts at (36, 40): the segments begin at column 2, row 0
    labels = segment_labels(segments, Frame((36, 40), (2, 2)), (16, 12))
    expected = np.full((12, 16), -1)
    expected[:, 2:14] = 1
    expected[4:8, 6:10] = 0
    np.testing.assert_array_equal(labels, expected)
    drawn = draw_segments(grey(12, 16), Frame((36, 40), (2, 2)), segments, opacity=0.5)
    np.testing.assert_array_equal(drawn[:, :2], grey(12, 2))
    np.testing.assert_array_equal(drawn[:, 14:], grey(12, 2))
    colours = segment_colours(2).astype(float)
    np.testing.assert_array_equal(drawn[1, 4], np.floor(100 + colours[1] / 2 + 0.5))
    outline = np.round(colours * 0.62)
    np.testing.assert_array_equal(drawn[5, 6], outline[0])
    np.testing.assert_array_equal(drawn[5, 5], outline[1])
    np.testing.assert_array_equal(drawn[0, 2], outline[1])


def test_no_segment_changes_nothing() -> None:
    none = Segments.empty(Frame((0, 0), (4, 4)), (5, 5))
    np.testing.assert_array_equal(draw_segments(grey(9, 9), Frame(), none), grey(9, 9))


def test_tissue_and_holes_are_outlined_where_they_are() -> None:
    tissue = TissueRegions(((ring(20, 20, 180, 180), (ring(80, 80, 120, 120),)),), np.array([24000.0]))
    drawn = draw_tissue(grey(100, 100), Frame((0, 0), (2, 2)), tissue)
    assert tuple(drawn[9, 50]) == TISSUE or tuple(drawn[10, 50]) == TISSUE
    assert tuple(drawn[39, 50]) == HOLE or tuple(drawn[40, 50]) == HOLE
    changed = np.argwhere((drawn != 200).any(axis=-1))
    assert changed.min() >= 7
    assert changed.max() <= 92
    np.testing.assert_array_equal(drawn[20:30, 20:80], grey(10, 60))
    nothing = TissueRegions((), np.zeros(0))
    np.testing.assert_array_equal(draw_tissue(grey(5, 5), Frame(), nothing), grey(5, 5))


def test_annotations_are_outlined_in_blue_and_chosen_patches_filled() -> None:
    drawn = draw_outlines(grey(40, 40), Frame(), [(ring(10, 10, 30, 30), ())])
    assert tuple(drawn[20, 10]) == ANNOTATION or tuple(drawn[20, 9]) == ANNOTATION
    np.testing.assert_array_equal(drawn[15:25, 15:25], grey(10, 10))
    filled = draw_patches(grey(6, 6), Frame(), [(2, 2)], (2, 2), colour=(0, 100, 0), opacity=0.5)
    assert tuple(filled[2, 2]) == (100, 150, 100)
    assert (filled != 200).any(axis=-1).sum() == 4


class FakeSlide:
    def thumbnail(self, max_side: int) -> tuple[np.ndarray, Frame]:
        ramp = np.arange(max_side, dtype=np.uint8)
        return np.stack([np.tile(ramp, (max_side, 1))] * 3, axis=-1), Frame((0, 0), (10, 10))


def test_stitch_keeps_the_tiles_and_greys_the_rest() -> None:
    grid = TileGrid(np.array([(20, 30)], dtype=np.int32), (40, 40), 0, (40, 40), 40, (40, 40))
    stitched = stitch(FakeSlide(), grid, 12)  # type: ignore[arg-type]
    whole, _ = FakeSlide().thumbnail(12)
    np.testing.assert_array_equal(stitched[3:7, 2:6], whole[3:7, 2:6])
    outside = np.ones((12, 12), dtype=bool)
    outside[3:7, 2:6] = False
    assert (stitched[outside] == 205).all()


def test_softened_images_keep_white_white_and_lose_colour() -> None:
    image = np.array([[[255, 255, 255], [180, 40, 120]]], dtype=np.uint8)
    soft = soften(image)
    assert (soft[0, 0] == 255).all()
    assert np.ptp(soft[0, 1].astype(int)) < np.ptp(image[0, 1].astype(int)) / 4


def test_images_are_saved_as_their_suffix_says(tmp_path: Path) -> None:
    image = np.zeros((8, 9, 3), dtype=np.uint8)
    image[..., 0] = 250
    png = save_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(cv2.imread(str(png))[..., ::-1], image)
    jpg = save_image(tmp_path / "new" / "a.jpg", image)
    assert cv2.imread(str(jpg))[4, 4, 2] > 240
    assert {path.name for path in tmp_path.rglob("*")} == {"a.png", "new", "a.jpg"}
    with pytest.raises(SettingsError, match=r"\.gif"):
        save_image(tmp_path / "a.gif", image)


def test_segments_of_a_much_finer_raster_are_drawn_in_the_image() -> None:
    """Every eighth pixel of the raster is painted, and each label lies where its segment is."""
    rows, columns = np.mgrid[:320, :480]
    masks = [(columns - x) ** 2 + (rows - 160) ** 2 < radius**2 for x, radius in ((120, 90), (350, 70))]
    segments = Segments.from_masks(masks, frame=Frame((10.0, 20.0), (1.0, 1.0)), size_raster=(480, 320))
    labels = segment_labels(segments, Frame((10.0, 20.0), (8.0, 8.0)), (60, 40))
    exact = segments.label_image()[4::8, 4::8].astype(int) - 1
    assert labels.shape == exact.shape
    assert (labels == exact).mean() > 0.97
    assert set(np.unique(labels).tolist()) == {-1, 0, 1}
