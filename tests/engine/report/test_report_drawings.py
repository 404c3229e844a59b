import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mil_engine.geometry import Frame
from sam_mil_engine.report.charts import Chart, Series, line_chart, nice_ticks
from sam_mil_engine.report.legends import colour_bar, key, overlay, scale_bar

NAN = float("nan")


def xy(*values: float) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(1.0, len(values) + 1), np.array(values)


@given(st.floats(0.05, 20), st.floats(1, 512), st.integers(50, 4000))
def test_scale_bar_is_round_and_as_long_as_it_says(mpp: float, downsample: float, width: int) -> None:
    bar = scale_bar(Frame((7, 9), (downsample, downsample)), (mpp, mpp), width)
    assert bar.pixels * mpp * downsample == pytest.approx(bar.length_um)
    assert 0.09 * width < bar.pixels <= 0.2500001 * width
    assert f"{bar.length_um:.6e}"[0] in "125"
    assert bar.label.endswith(("µm", "mm"))


def test_scale_bar_names_its_unit() -> None:
    assert scale_bar(Frame((0, 0), (32, 32)), (0.5, 0.5), 900).label == "2 mm"
    assert scale_bar(Frame(), (0.5, 0.5), 900).label == "100 µm"


def test_colour_bar_has_ticks_inside_its_limits_only() -> None:
    drawn = colour_bar("viridis", (0, 2), title="a < b", ticks=[(1, "one"), (3, "three"), (2, "<two>")])
    assert ">one</text>" in drawn
    assert "three" not in drawn
    assert "&lt;two&gt;" in drawn
    assert "a &lt; b" in drawn


def test_keys_and_overlays_escape_their_texts() -> None:
    assert "&lt;i&gt;" in key([((1, 2, 3), "<i>", "line")])
    assert "#010203" in key([((1, 2, 3), "x", "line")])
    assert overlay((10, 10)) == ""
    assert "&lt;b&gt;" in overlay((10, 10), marks=[(1, 2, "<b>")])


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_span_the_values_evenly(low: float, span: float) -> None:
    high = low + span
    ticks = nice_ticks(low, high)
    tolerance = 1e-6 * (ticks[1] - ticks[0])
    assert ticks[0] <= low + tolerance
    assert ticks[-1] >= high - tolerance
    assert 2 <= len(ticks) <= 8
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0], rtol=1e-3)


def test_equal_values_still_have_an_axis() -> None:
    assert nice_ticks(3, 3)[0] < 3 < nice_ticks(3, 3)[-1]
    assert nice_ticks(0, 0)[0] < 0 < nice_ticks(0, 0)[-1]
    assert "<path" in line_chart(Chart("c", (Series("flat", (xy(1, 1),)),)))


def test_several_runs_are_thin_lines_under_their_mean() -> None:
    series = Series("loss", (xy(1, 2, 3), xy(3, 4, NAN), xy(5)))
    x, y = series.mean()
    assert x.tolist() == [1, 2, 3]
    assert y.tolist() == [3, 3, 3]
    assert line_chart(Chart("c", (series,))).count("<path") == 4
    assert line_chart(Chart("c", (Series("one", (xy(1, 2),)),))).count("<path") == 1


def test_values_that_do_not_exist_leave_a_gap() -> None:
    drawn = line_chart(Chart("c", (Series("gap", (xy(1, 2, NAN, 2, 1),)),)))
    path = drawn.split('<path d="')[1].split('"')[0]
    assert path.count("M") == 2
    assert path.count("L") == 2
    assert "nan" not in path


def test_one_epoch_is_a_dot_and_none_is_said_in_words() -> None:
    assert "<circle" in line_chart(Chart("c", (Series("s", (xy(0.5),)),)))
    for series in ((), (Series("s", (xy(NAN),)),), (Series("s", ()),)):
        assert "No values for “&lt;c&gt;”" in line_chart(Chart("<c>", series))
