"""The small bundled weights and their model cards."""
