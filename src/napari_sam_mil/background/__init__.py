"""Jobs in threads, the worker process, progress, and napari's activity panel."""
