"""What is asked of the engine, and what is known of a slide: no Qt, no napari, so that no test needs a window."""
