"""A slide to scores in five lines.

    python examples/slide_to_scores.py SLIDE PROJECT

Uses the bundled colon classifier: not for diagnosis. It warns where a slide is unlike those it was trained on.
"""

import sys

import sam_mil_engine as sme

if __name__ == "__main__":
    model = sme.load_model("colon")
    slide = sme.process_slide(sys.argv[1], sys.argv[2], settings=sme.settings_for(model))
    scores = sme.predict(model, slide.bag)
    sys.stdout.write(f"{scores.slide_id}: {scores.predicted} {scores.probabilities.round(3)}\n")
    sys.stdout.write(f"{scores.warning or 'like the slides of the training'}\n")
