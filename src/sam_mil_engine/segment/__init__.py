"""Segments: SAM and the weight-free regions, and the groups that segments make of patches."""
