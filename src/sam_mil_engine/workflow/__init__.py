"""Models by name: what there is, and fetching, checking and removing it."""
