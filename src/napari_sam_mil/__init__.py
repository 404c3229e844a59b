"""SAM-MIL in napari: open a slide, click *Segment/Classify*, look."""
