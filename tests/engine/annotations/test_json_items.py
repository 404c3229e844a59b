"""JSON that is parsed one shape at a time says what json.loads says."""

from __future__ import annotations

import json
import sys
import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sam_mil_engine.annotations import read_annotations
from sam_mil_engine.annotations.json_items import load_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def outcome(parse):
    """What a parser returns, or what it says is wrong."""
    try:
        return parse()
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


def plain(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value


@given(VALUES, st.sampled_from([None, 1]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_any_json_is_what_json_says(value, indent, encoding):
    assert plain(load_json(json.dumps(value, indent=indent).encode(encoding))) == value


@given(VALUES, st.integers(0, 200), st.sampled_from(["", ",", "}", "]", "[", "{", ":", '"', " ", "1"]))
def test_damaged_json_is_refused_where_json_refuses_it(value, place, put):
    text = json.dumps(value, ensure_ascii=False)
    damaged = text[:place] + put + text[place + 1 :]
    assert outcome(lambda: plain(load_json(damaged.encode()))) == outcome(lambda: json.loads(damaged))


def cells(count):
    ring = [[10.5, 10.5], [14.0, 10.5], [14.0, 14.0], [10.5, 14.0], [10.5, 10.5]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}
    return json.dumps({"type": "FeatureCollection", "features": [feature] * count})


def test_rings_are_arrays_and_areas_stay(tmp_path):
    content = load_json(cells(3).encode())
    assert all(isinstance(one["geometry"]["coordinates"][0], np.ndarray) for one in content["features"])
    path = tmp_path / "cells.geojson"
    path.write_text(cells(3))
    assert [item.polygon.area for item in read_annotations(path)] == [12.25] * 3


def test_other_threads_go_on_while_a_large_file_is_parsed():
    data, turns, done = cells(20_000).encode(), [], threading.Event()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    other = threading.Thread(target=lambda: [turns.append(1) for _ in iter(lambda: done.wait(0.0001), True)])
    other.start()
    try:
        load_json(data)
        during = len(turns)
    finally:
        done.set()
        other.join()
        sys.setswitchinterval(interval)
    # json.loads gives none while it works, and one or two at its ends
    assert during > 10
