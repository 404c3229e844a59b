"""Recall of artefacts, and the good tissue that is lost to false alarms.

    python studies/artefacts.py DATA

writes ``studies/artefacts.md``. DATA is the folder of real slides (``MANIFEST.tsv``); a generated slide is added.
On each slide, pen of five colours, folds, blur, air bubbles and dark spots are drawn, one kind at a time. Recall is
the share of drawn pixels over tissue that is found as any artefact; loss is that of untouched tissue.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import spoiling

from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.synthetic import make_slide

HERE = Path(__file__).resolve().parent
#: Real slides at full resolution; the second does not state its µm per pixel, and 0.5 is taken.
SLIDES = {
    "CMU-1-Small-Region (skin)": "slides/aperio/CMU-1-Small-Region.svs",
    "P2_0039 (colon)": "slides/generic-tiff/P2_0039_section1_upper.tif",
}


def main(data: Path) -> None:
    """Write the table."""
    columns: dict[str, dict[str, float]] = {}
    for name, file in SLIDES.items():
        with open_slide(data / file) as slide:
            columns[name] = spoiling.measure(slide)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.tif"
        make_slide(path, seed=5, tumour=True, size_px0=(4096, 3072))
        with open_slide(path) as slide:
            columns["generated"] = spoiling.measure(slide)
    rows = list(next(iter(columns.values())))
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {row} | {' | '.join(_text(column[row]) for column in columns.values())} |" for row in rows]
    (HERE / "artefacts.md").write_text(f"{INTRO}\n{chr(10).join(lines)}\n{OUTRO}", encoding="utf-8")


def _text(share: float) -> str:
    return "–" if np.isnan(share) else f"{share:.1%}"


INTRO = """# Artefacts: recall and loss

`python studies/artefacts.py DATA` writes this page. Artefacts are drawn on real and generated tissue, one kind at a
time. Recall: share of the drawn pixels over tissue that is found as any artefact. Loss: share of untouched tissue
that is taken for an artefact.
"""
OUTRO = """
Drawn artefacts are cleaner than real ones: read the recall as what the rules can do, not as what a cohort shows.
Folds are found where they are darker than nearly all tissue of the slide; most drawn folds are missed, above all in
pale tissue. Blur is found from about 2 µm; the sharpness is that of two scanners. Bleeding may be taken for red
pen, and pigment for dark spots. Hence the default `keep`: nothing is left out unasked, and nothing is computed for
it. Look at a cohort with `--artefacts mark` before `--artefacts drop`: of fourteen generated slides without any
artefact, `drop` took 3.0% of the patches, and 9.7% of one of them ([the cohort](cohort_story.md)).
"""

if __name__ == "__main__":
    main(Path(sys.argv[1]))
