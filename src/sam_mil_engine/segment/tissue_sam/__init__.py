"""``tissue-sam``: a small SAM for tissue that comes with the package; ``training/tissue_sam`` makes it."""
