"""How often a test finds a difference where there is none, when patients have several slides that are alike.

    .venv/bin/python studies/patients.py

Two models score the slides of made-up cohorts equally well: the score of a slide is its class, plus what a model
makes of the patient, plus noise, and `likeness` is the patient's share of the variance. So every difference in AUC
is chance, and a test at 5% should find one in 5% of the cohorts. Prints the table and writes it to patients.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sam_mil_engine.training.bootstrap import Scored, interval, resample, two_sided
from sam_mil_engine.training.delong import delong
from sam_mil_engine.training.metrics import weighted_auc

COHORTS, RESAMPLES = 2000, 1000
#: Patients, slides per patient, and how alike the slides of a patient are.
CASES = ((100, 1, 0.0), (40, 3, 0.5), (40, 3, 0.9), (100, 3, 0.7), (60, "1 to 5", 0.7), (24, 4, 0.7))
SEPARATION = 1.2


def cohort(
    rng: np.random.Generator, patients: int, slides: int | str, likeness: float
) -> tuple[Scored, np.ndarray, np.ndarray]:
    """Slides with their patients and labels, and the scores (n,) of two models that are equally good."""
    counts = rng.integers(1, 6, patients) if slides == "1 to 5" else np.full(patients, slides)
    patient = np.repeat(np.arange(patients), counts)
    labels = (np.arange(patients) % 2)[patient]
    first, second = (
        SEPARATION * labels
        + np.sqrt(likeness) * rng.normal(size=patients)[patient]
        + np.sqrt(1 - likeness) * rng.normal(size=len(patient))
        for _ in range(2)
    )
    names = [f"slide {number}" for number in range(len(patient))]
    empty = np.zeros((len(patient), 2))
    return Scored(names, labels, labels, empty, [f"patient {number}" for number in patient]), first, second


def main() -> None:
    truth = float(weighted_auc(*_many(np.random.default_rng(1)))[0])
    lines = [
        "| patients | slides per patient | likeness | over slides | over patients | DeLong, over slides"
        " | interval over slides holds the AUC | over patients |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for patients, slides, likeness in CASES:
        rng = np.random.default_rng(0)
        rejected, held = np.zeros(3), np.zeros(2)
        for number in range(COHORTS):
            scored, first, second = cohort(rng, patients, slides, likeness)
            positive = scored.labels > 0
            for place, names in enumerate((scored.slides, scored.units)):
                weights = resample(names, resamples=RESAMPLES, seed=number)
                ours = weighted_auc(positive, first, weights)
                rejected[place] += two_sided(ours - weighted_auc(positive, second, weights)) < 0.05
                low, high = interval(ours)
                held[place] += low <= truth <= high
            rejected[2] += delong(positive, first, second).p < 0.05
        found = [f"{100 * value / COHORTS:.1f}%" for value in (*rejected, *held)]
        lines.append(f"| {patients} | {slides} | {likeness} | {' | '.join(found)} |")
        print(lines[-1], flush=True)
    text = f"""# Slides of a patient are alike

How often a test at 5% finds a difference in AUC between two models that are equally good, and how often the 95%
interval of an AUC holds its true value ({truth:.3f}): {COHORTS} made-up cohorts a row, {RESAMPLES} resamples each.
Made by `studies/patients.py`. Chance moves these shares by about ±1 point.

{chr(10).join(lines)}

The software resamples patients wherever one has several slides, and leaves DeLong's test out there.

What this does not show: cohorts of fewer patients than these, models whose errors are alike (here they are
independent), or folds, whose models share training slides: that part of chance is in no interval here.
"""
    (Path(__file__).parent / "patients.md").write_text(text)


def _many(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.arange(200_000) % 2 > 0
    return labels, SEPARATION * labels + rng.normal(size=len(labels)), np.ones((1, len(labels)))


if __name__ == "__main__":
    main()
