"""The segments stage at a physical resolution: from the command line to bag and label image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
import zarr

from sam_mil_engine.bag import h5
from sam_mil_engine.cli.options import process_settings
from sam_mil_engine.errors import Cancelled, SegmentError
from sam_mil_engine.process.job import Tools
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.recorded import with_recorded_segments
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.process.segmenting import tiles_folder
from sam_mil_engine.segment.tiled.layout import TileLayout
from sam_mil_engine.settings import FORMER_PARTS, ProcessSettings, SegmentSettings, TileSettings

STAGES = ("tissue", "segments")
#: Tiles of 64 px at 1 µm: about 30 on the tiny slide.
FINE = ProcessSettings(
    segments=SegmentSettings(segmenter="regions", mpp=1.0, max_side=64, superpixels=40, cuts=(2, 6))
)


def test_fine_segments_lie_in_bag_and_label_image(tiny_slide, tmp_path):
    done = process_slide(tiny_slide, tmp_path / "p", settings=FINE, stages=STAGES)
    segments = done.segments
    assert len(segments) > 30
    assert segments.frame.downsample == (2.0, 2.0)
    labels = zarr.open_array(tmp_path / "p" / "segments" / "tiny.ome.zarr" / "0")[:]
    assert np.array_equal(labels, segments.label_image())
    origin = h5.read_segment_origin(done.bag_path)
    assert origin.parts == {"superpixels": 40, "cuts": (2, 6), "segments_mpp": 1.0, "both_scales": False}
    assert not tiles_folder(done.bag_path).exists()
    assert process_slide(tiny_slide, tmp_path / "p", settings=FINE, stages=STAGES).reused == STAGES


def test_a_stopped_run_goes_on_and_both_scales_stand_together(tiny_slide, tmp_path, monkeypatch):
    whole = process_slide(tiny_slide, tmp_path / "whole", settings=FINE, stages=STAGES).segments
    read, image = [], TileLayout.image

    def counted(layout, slide, tissue, tile):
        read.append(tile)
        return image(layout, slide, tissue, tile)

    monkeypatch.setattr(TileLayout, "image", counted)

    def stop(report):
        if report.unit == "tiles" and report.done == 10:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        process_slide(tiny_slide, tmp_path / "p", settings=FINE, stages=STAGES, progress=stop)
    first = len(read)
    again = process_slide(tiny_slide, tmp_path / "p", settings=FINE, stages=STAGES).segments
    assert len(read) - first == len(set(read)) - 10
    assert np.array_equal(again.boxes_raster, whole.boxes_raster)
    assert again.area.tolist() == whole.area.tolist()
    both = FINE.model_copy(update={"segments": FINE.segments.model_copy(update={"both_scales": True})})
    joined = process_slide(tiny_slide, tmp_path / "p", settings=both, stages=STAGES).segments
    assert np.array_equal(joined.boxes_raster[-len(whole) :], whole.boxes_raster)
    assert len(joined) > len(whole)


def test_without_a_resolution_it_is_asked_for(tiny_slide, tmp_path):
    plain = tmp_path / "plain.png"
    cv2.imwrite(str(plain), tifffile.imread(tiny_slide)[..., ::-1])
    with pytest.raises(SegmentError, match="resolution") as caught:
        process_slide(plain, tmp_path / "p", settings=FINE, stages=STAGES)
    assert "--source-mpp" in str(caught.value)
    said = FINE.model_copy(update={"tiles": TileSettings(source_mpp=0.5)})
    assert len(process_slide(plain, tmp_path / "p", settings=said, stages=STAGES).segments) > 30


def test_the_key_of_segments_of_one_image_is_that_of_before():
    former = SegmentSettings(segmenter="regions", superpixels=FORMER_PARTS[0], cuts=FORMER_PARTS[1])
    one = Tools(ProcessSettings(segments=former)).stage_key("segments", "S", {"tissue": "T"})
    assert one == "764b7b4b25de"
    fine = Tools(ProcessSettings(segments=former.model_copy(update={"mpp": 2.0})))
    assert fine.stage_key("segments", "S", {"tissue": "T"}) != one


def test_the_command_has_options_for_it():
    found = process_settings(segment_mpp=2.0, both_scales=True).segments
    assert (found.mpp, found.both_scales) == (2.0, True)


def test_a_project_can_leave_fine_segments(tmp_path):
    Project(tmp_path).save_settings(FINE, {})
    assert with_recorded_segments(process_settings(), tmp_path).segments == FINE.segments
    found = with_recorded_segments(process_settings(segment_mpp=0), tmp_path).segments
    assert (found.mpp, found.max_side) == (None, 64)
