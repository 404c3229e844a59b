"""Slides: open any format, find tissue, make the grid of patches."""
