"""SAM-MIL in napari: open a slide, click *Segment/Classify*, and see the result."""
