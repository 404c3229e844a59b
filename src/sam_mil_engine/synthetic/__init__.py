"""Synthetic H&E-like slides with exact tumour outlines, for the demo and for tests.

They are made from the ground up: tissue pieces, stroma fibres, glands, lymphoid aggregates, fat, nuclei of five
kinds and tumour islands are laid out, drawn as haematoxylin and eosin densities, stained by the Beer-Lambert law
and written as a pyramid. They look like H&E at every zoom, and are good for trying software, for nothing else.
"""

from .cohort import make_cohort
from .slide import SyntheticSlide, make_slide

__all__ = ["SyntheticSlide", "make_cohort", "make_slide"]
