"""Calls of the engine, and the results of a slide. No Qt, no napari, so that no test needs a window."""
