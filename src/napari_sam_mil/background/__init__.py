"""Jobs in threads, the worker process, their progress and napari's activity panel."""
