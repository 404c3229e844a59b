import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mil_engine.geometry import Frame
from sam_mil_engine.report.charts import Chart, Series, line_chart
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


def lines(chart: Chart) -> list[str]:
    """The path of every line of a chart; axes and grid have other colours."""
    return re.findall(r'<path d="([^"]*)"[^>]*stroke: #', line_chart(chart))


def ticks(chart: Chart, label: str) -> list[float]:
    """Numbers at one axis: those of x come first, before the axis' name."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", line_chart(chart))
    x_name = texts.index(chart.x_label)
    shown = texts[:x_name] if label == "x" else texts[x_name + 1 : -1]
    return [float(text.replace("\N{MINUS SIGN}", "-")) for text in shown]


@pytest.mark.parametrize(
    ("low", "span"), [(0, 1e-3), (1e-3, 0.7), (-0.2, 0.7), (42, 0.7), (42, 5), (-3.7e5, 3e4), (0, 3e4)]
)
def test_ticks_are_round_and_span_the_values_evenly(low: float, span: float) -> None:
    high = low + span
    found = ticks(Chart("c", (Series("s", (xy(low, high),)),), y_label="loss"), "y")
    assert 2 <= len(found) <= 8
    assert found[0] <= low + 1e-6 * span
    assert found[-1] >= high - 1e-6 * span
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
    assert f"{steps[0]:.1e}"[:3] in ("1.0", "2.0", "2.5", "5.0")


def test_epochs_are_whole_numbers_and_limits_are_kept() -> None:
    chart = Chart("c", (Series("s", (xy(0.4, 0.5, 0.6),)),), y_label="AUC", y_limits=(0, 1))
    assert ticks(chart, "x") == [1, 2, 3]
    assert ticks(chart, "y")[::5] == [0, 1]
    assert ticks(Chart("c", (Series("one", (xy(0.4),)),), y_label="AUC"), "x") == [0, 1, 2]


def test_equal_values_still_have_an_axis() -> None:
    for value in (0, 3):
        chart = Chart("c", (Series("flat", (xy(value, value),)),), y_label="loss")
        found = ticks(chart, "y")
        assert found[0] < value < found[-1]
        assert len(lines(chart)) == 1


def test_several_runs_are_thin_lines_under_their_mean() -> None:
    series = Series("loss", (xy(1, 2, 3), xy(3, 4, NAN), xy(5)))
    x, y = series.mean()
    assert x.tolist() == [1, 2, 3]
    assert y.tolist() == [3, 3, 3]
    assert len(lines(Chart("c", (series,)))) == 4
    assert len(lines(Chart("c", (Series("one", (xy(1, 2),)),)))) == 1


def test_values_that_do_not_exist_leave_a_gap() -> None:
    (path,) = lines(Chart("c", (Series("gap", (xy(1, 2, NAN, 2, 1),)),)))
    assert path.count("M") == 2
    assert path.count("L") == 2
    assert "nan" not in path


def test_one_epoch_is_a_dot_and_none_is_said_in_words() -> None:
    drawn = line_chart(Chart("c", (Series("s", (xy(0.5),)),)))
    assert drawn.count("<use") == 1
    for series in ((), (Series("s", (xy(NAN),)),), (Series("s", ()),)):
        assert "No values for “&lt;c&gt;”" in line_chart(Chart("<c>", series))


def test_a_chart_is_the_same_each_time_and_has_the_colours_of_its_page() -> None:
    charts = [Chart(title, (Series("s", (xy(0.5),)),), y_label="a $ < $") for title in ("one", "two")]
    drawn = [line_chart(chart) for chart in charts]
    assert drawn == [line_chart(chart) for chart in charts]
    ids = re.findall(r'id="([^"]*)"', "".join(drawn))
    assert len(ids) == len(set(ids)) == 2
    assert re.findall(r'href="#([^"]*)"', "".join(drawn)) == ids
    assert {"var(--ink)", "var(--soft)", "var(--line)"} <= set(re.findall(r"var\(--\w+\)", drawn[0]))
    assert "#0102" not in drawn[0]
    assert ">a $ &lt; $</text>" in drawn[0]
    assert "font" not in drawn[0]
    assert "<style" not in drawn[0]
