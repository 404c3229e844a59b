"""Engine results as layers of napari: data, placement, colours, line widths."""
