"""Maps against outlines: by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import box
from sklearn.metrics import average_precision_score, roc_auc_score

from sam_mil_engine.annotations.localisation import (
    FALSE_POSITIVES,
    MapOfSlide,
    find_lesions,
    lesion_scores,
    local_maxima,
    map_metrics,
)


def slide(
    name: str,
    *,
    negative: bool,
    probability: object = (0.0,),
    inside: object = None,
    detections: object = (),
    lesions: object = (),
    threshold: float = 0.5,
    unit: str = "",
) -> MapOfSlide:
    p = np.asarray(probability, dtype=float)
    truth = np.zeros(len(p), bool) if inside is None else np.asarray(inside, bool)
    maxima, found = np.asarray(detections, float), np.asarray(lesions, float)
    return MapOfSlide(name, unit or name, negative, p, p >= threshold, truth, maxima, found)


def test_local_maxima_have_no_higher_neighbour() -> None:
    cells = np.array([[x, y] for y in range(3) for x in range(4)])
    values = np.array([0.1, 0.2, 0.3, 0.9,
                       0.1, 0.8, 0.3, 0.2,
                       0.1, 0.1, 0.4, 0.7])  # fmt: skip
    found = local_maxima(cells * 256 + 17, (256.0, 256.0), values)
    assert np.flatnonzero(found).tolist() == [3, 5, 11]
    # a patch of tissue without neighbours is a maximum of its own
    alone = local_maxima([[0, 0], [256, 0], [2560, 0]], (256.0, 256.0), np.array([0.5, 0.4, 0.1]))
    assert alone.tolist() == [True, False, True]


def test_outlines_that_are_near_are_one_lesion() -> None:
    areas = [box(0, 0, 100, 100), box(120, 0, 200, 100), box(900, 0, 950, 50)]
    assert len(find_lesions(areas, mpp=(0.5, 0.5))) == 2, "10 µm apart"
    assert len(find_lesions(areas, mpp=(5.0, 5.0))) == 3, "100 µm apart"
    assert len(find_lesions(areas, mpp=None)) == 3


def test_a_lesion_is_found_by_the_highest_detection_that_meets_it() -> None:
    coords = np.array([[0, 0], [256, 0], [512, 0], [2560, 0]])
    values, peaks = np.array([0.3, 0.9, 0.2, 0.4]), np.array([False, True, False, True])
    lesions = [box(300, 10, 310, 20), box(2700, 0, 2900, 50), box(5000, 0, 5100, 50)]
    found = lesion_scores(lesions, coords, (256.0, 256.0), peaks, values)
    assert found.tolist() == [0.9, 0.4, 0.0]


def test_froc_by_hand() -> None:
    """Two slides without tumour with false positives at 0.9, 0.5 and 0.2; lesions found at 0.95, 0.6 and 0.1."""
    slides = [
        slide("n1", negative=True, detections=[0.9, 0.2]),
        slide("n2", negative=True, detections=[0.5]),
        slide("t1", negative=False, inside=[True], lesions=[0.95, 0.6], detections=[0.95, 0.7]),
        slide("t2", negative=False, inside=[True], lesions=[0.1]),
    ]
    found = {figure.name: figure.value for figure in map_metrics(slides)}
    expected = dict(zip(FALSE_POSITIVES, [1 / 3, 2 / 3, 2 / 3, 1, 1, 1], strict=True))
    for rate, value in expected.items():
        assert found[f"sensitivity at {rate:g} false positives"] == pytest.approx(value)
    assert found["FROC score"] == pytest.approx(np.mean(list(expected.values())))


def test_figures_of_patches_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    slides = []
    for number in range(12):
        truth = (rng.random(80) < 0.2) & (number % 2 == 1)
        p = np.clip(rng.normal(0.3 + 0.3 * truth, 0.15), 0, 1)
        slides.append(slide(f"s{number}", negative=number % 2 == 0, probability=p, inside=truth))
    found = {figure.name: figure for figure in map_metrics(slides)}
    tumour = [one for one in slides if not one.negative]
    aucs = [roc_auc_score(one.inside, one.probability) for one in tumour]
    precisions = [average_precision_score(one.inside, one.probability) for one in tumour]
    assert found["patch AUC, mean over slides"].value == pytest.approx(np.mean(aucs))
    assert found["average precision, mean over slides"].value == pytest.approx(np.mean(precisions))
    p, truth, marked = (
        np.concatenate([getattr(one, name) for one in slides]) for name in ("probability", "inside", "marked")
    )
    on_tumour = np.repeat([not one.negative for one in slides], 80)
    assert found["precision"].value == pytest.approx(truth[marked & on_tumour].mean())
    assert found["recall"].value == pytest.approx(marked[truth].mean())
    assert found["normal tissue marked"].value == pytest.approx(marked[~on_tumour].mean())
    assert found["patch Brier score"].value == pytest.approx(((p - truth) ** 2).mean())
    for figure in found.values():
        if np.isfinite(figure.value):
            assert figure.low <= figure.value <= figure.high
    assert np.isnan(found["FROC score"].value), "there is no lesion"
    row = tumour[0].row()
    assert row["patch_auc"] == pytest.approx(aucs[0])
    assert row["normal_marked"] is None
    assert slides[0].row()["precision"] is slides[0].row()["patch_auc"] is None


def test_patients_are_drawn_as_one() -> None:
    rng = np.random.default_rng(1)
    values = [np.clip(rng.normal(0.45 + 0.1 * (number // 5), 0.1, 40), 0, 1) for number in range(20)]
    apart = [slide(f"s{i}", negative=True, probability=p) for i, p in enumerate(values)]
    together = [slide(f"s{i}", negative=True, probability=p, unit=f"p{i // 5}") for i, p in enumerate(values)]
    widths = []
    for slides in (apart, together):
        (figure,) = [one for one in map_metrics(slides) if one.name == "normal tissue marked"]
        widths.append(figure.high - figure.low)
    assert widths[1] > 1.3 * widths[0]
