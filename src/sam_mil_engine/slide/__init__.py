"""Slides: open any format, find tissue, lay the grid of patches."""
