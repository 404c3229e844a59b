"""The bag of patch features of a slide, and its files."""
