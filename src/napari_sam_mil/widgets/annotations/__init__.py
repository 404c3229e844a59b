"""The Annotations dock: outlines, their comparison with segments, the threshold map."""
